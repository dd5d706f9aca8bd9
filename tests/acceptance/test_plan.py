"""`dbrun plan`: what it says a run would send is what the endpoint then receives."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from acceptance.conftest import Project
from acceptance.test_spending import PRICE, Shop, sell, shop
from jsonschema import Draft202012Validator

RANGE = {
    "type": "object",
    "required": ["low", "expected", "high"],
    "properties": {name: {"type": "number", "minimum": 0} for name in ("low", "expected", "high")},
}
COST = {**RANGE, "required": ["currency", *RANGE["required"]]}
PLAN = Draft202012Validator(
    {
        "type": "object",
        "additionalProperties": False,
        "required": [
            *["spec", "rows", "records", "failing", "first_failing", "requests", "tokens"],
            *["cost", "seconds", "learnt_from", "max_cost"],
        ],
        "properties": {
            "spec": {"type": "string"},
            "rows": {"type": "integer"},
            "records": {"type": "integer"},
            "failing": {"type": "integer"},
            "first_failing": {"type": ["string", "null"]},
            "requests": {"properties": {"send": RANGE, "reuse": {"type": "integer"}}},
            "tokens": {"properties": {"input": RANGE, "output": RANGE}},
            "cost": {"anyOf": [COST, {"type": "null"}]},
            "seconds": {"anyOf": [RANGE, {"type": "null"}]},
            "learnt_from": {"type": "integer"},
            "max_cost": {"anyOf": [{"required": ["cap", "spent"]}, {"type": "null"}]},
        },
    }
)


def plans(project: Project, *words: str) -> list[dict[str, Any]]:
    """The plans that the command tells, each as its schema says, low to high."""
    said = project.run("plan", "--json", *words)
    assert said.code == 0, said.err
    found = said.records
    for plan in found:
        PLAN.validate(plan)
        figures = [plan["requests"]["send"], *plan["tokens"].values()]
        for figure in [*figures, plan["cost"], plan["seconds"]]:
            if figure is not None:
                assert figure["low"] <= figure["expected"] <= figure["high"]
    return found


def plan_of(project: Project, *words: str) -> dict[str, Any]:
    (plan,) = plans(project, "tickets.yaml", *words)
    return plan


def exactly(count: int) -> dict[str, int]:
    return {"low": count, "expected": count, "high": count}


def check_against_run(project: Project, made: Shop, *words: str) -> dict[str, Any]:
    """The plan, which a run with the same options must bear out."""
    plan = plan_of(project, *words)
    served = made.served
    (told,) = project.run("tickets.yaml", *words, "--json").summary["runs"]
    assert plan["requests"]["send"] == exactly(made.served - served)
    assert plan["requests"]["reuse"] == told["requests"]["reused"]
    assert plan["records"] == told["counts"]["rows"]
    return plan


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--limit", "7"],
        ["--sample", "9", "--seed", "3"],
        ["--ids", "T-1,T-5,T-99"],
        ["--fresh"],
        ["--set", "repeats=3"],
        ["--set", "journal.share=false"],
        ["--set", "source.where=\"'number 1' in text\""],
        ["--set", "prompt='the same for all'"],
    ],
    ids=lambda words: " ".join(words) or "all",
)
def test_a_run_bears_out_its_plan(project: Project, words: list[str]) -> None:
    with shop() as made:
        sell(project, made, rows=20)
        project.rows(20, t3="ticket number 2", t9="ticket number 2", t12="{{ no }}")
        check_against_run(project, made, *words)
        project.run("tickets.yaml", "--limit", "4")
        check_against_run(project, made, *words)
        check_against_run(project, made, *words)


def test_rows_without_a_request_are_told_and_not_counted(project: Project) -> None:
    with shop() as made:
        sell(project, made, rows=10)
        spec = project.folder / "tickets.yaml"
        spec.write_text(spec.read_text().replace("{{ text }}", "{{ text.split()[2] }}"))
        rows = spec.parent / "rows.jsonl"
        rows.write_text(rows.read_text() + '{"id":"T-x","text":"short"}\n')
        plan = check_against_run(project, made)
        assert (plan["rows"], plan["failing"]) == (11, 1)
        first = "row T-x: render: the list of 1 has no item 2 (tickets.yaml:4:37)"
        assert plan["first_failing"] == first
        lines = project.run("plan", "tickets.yaml").out.splitlines()
        assert lines[1] == f"  failed    {first}"
        assert "dbrun render" not in lines[2]
        rows.write_text(rows.read_text() + '{"id":"T-y","text":"short"}\n{"id":"T-z","text":""}\n')
        lines = project.run("plan", "tickets.yaml").out.splitlines()
        assert lines[1] == f"  failed    {first}"
        assert lines[2] == "            and 2 others: dbrun render tickets.yaml tells of each"


def test_a_transform_that_fails_is_told_with_its_place(project: Project) -> None:
    with shop() as made:
        sell(project, made, rows=3)
        project.write("mine.py", "def refuse(**request):\n    raise ValueError('not\\nthis')\n")
        spec = project.folder / "tickets.yaml"
        spec.write_text(spec.read_text() + "transforms: {input: 'mine:refuse'}\n")
        said = project.run("plan", "tickets.yaml").out
        assert "  failed    row T-0: transform: mine:refuse raised ValueError: not this (" in said
        assert "mine.py:2)" in said.splitlines()[1]
        assert plan_of(project)["failing"] == 3


STEPS = """\
name: tickets
source: {path: rows.jsonl, id: id}
endpoint: {adapter: openai, base_url: "URL", model: m, PRICE}
steps:
  - {name: one, prompt: "{{ text }}"}
  - {name: two, prompt: "{{ steps.one.output }} of {{ id }}", WHEN}
sink: out/tickets.jsonl
"""


@pytest.mark.parametrize(("when", "second"), [("", 12), ("when: \"id != 'T-3'\"", 11)])
def test_what_hangs_on_answers_is_a_range_until_these_are_there(
    project: Project, when: str, second: int
) -> None:
    with shop() as made:
        text = STEPS.replace("URL", made.url).replace("PRICE", PRICE)
        project.write("tickets.yaml", text.replace(", WHEN", f", {when}" if when else ""))
        project.rows(12)
        send = plan_of(project)["requests"]["send"]
        assert (send["low"], send["high"]) == (12, 24)
        assert 12 < send["expected"] <= 24
        project.run("tickets.yaml", "--limit", "5")
        plan = plan_of(project)
        send = plan["requests"]["send"]
        known = made.served
        project.run("tickets.yaml")
        assert made.served == 12 + second
        assert send["low"] <= made.served - known <= send["high"]
        check_against_run(project, made)  # now that all is there, it is known exactly


def test_nothing_is_called_and_nothing_written(project: Project) -> None:
    with shop() as made:
        sell(project, made)
    before = project.files(".")
    assert plan_of(project)["requests"]["send"] == exactly(60)  # nobody is there to be asked
    assert project.files(".") == before


@pytest.mark.parametrize("seed", range(8))
def test_the_forecast_brackets_what_it_comes_to(project: Project, seed: int) -> None:
    generator = random.Random(seed)
    scale = generator.choice([3, 30, 300])
    lengths = [max(1, int(generator.expovariate(1 / scale))) for _ in range(1000)]
    with shop(lengths=lambda number: lengths[number]) as made:
        sell(project, made, rows=150)
        project.run("tickets.yaml", "--limit", str(generator.choice([15, 40])))
        plan = plan_of(project)
        charged = made.charged
        project.run("tickets.yaml")
        assert plan["cost"]["low"] <= made.charged - charged <= plan["cost"]["high"]


def test_lengths_are_learnt_from_answers_to_other_requests(project: Project) -> None:
    with shop(lengths=lambda number: 33) as made:
        sell(project, made, rows=20)
        project.run("tickets.yaml")
        plan = plan_of(project, "--set", "prompt='In a word: {{ text }}'")
        assert plan["requests"] == {"send": exactly(20), "reuse": 0}
        assert plan["learnt_from"] == 20
        assert plan["tokens"]["output"]["expected"] == 20 * 33
        said = project.run("plan", "tickets.yaml", "--set", "prompt='In a word: {{ text }}'")
        assert "20 answers to other requests" in said.out


def test_time_is_learnt_from_a_partial_run_where_there_is_no_other(project: Project) -> None:
    with shop() as made:
        sell(project, made)
        assert plan_of(project)["seconds"] is None
        project.run("tickets.yaml", "--limit", "5")
        assert plan_of(project)["seconds"]["expected"] > 0
        other = ["--set", "endpoint.model=another"]
        assert plan_of(project, *other)["seconds"] is None
        rate = ["--set", "limits.requests_per_minute=60"]
        assert plan_of(project, *rate)["seconds"]["low"] == pytest.approx(55)


def test_answers_that_tell_no_tokens_teach_nothing(project: Project) -> None:
    with shop(tells=False) as made:
        sell(project, made)
        project.run("tickets.yaml", "--limit", "5")
        assert plan_of(project)["learnt_from"] == 0
        assert "the answers tell no tokens" in project.run("plan", "tickets.yaml").out


def test_several_specs_are_a_line_each(project: Project) -> None:
    with shop() as made:
        sell(project, made, rows=5)
        text = (project.folder / "tickets.yaml").read_text()
        project.write("other.yaml", text.replace("name: tickets", "name: other"))
        found = plans(project, "tickets.yaml", "other.yaml")
        assert [plan["spec"] for plan in found] == ["tickets.yaml", "other.yaml"]


def test_a_cap_is_judged_with_what_the_unfinished_run_has_spent(project: Project) -> None:
    with shop() as made:
        sell(project, made)
        project.run("tickets.yaml", "--max-cost", "500")
        plan = plan_of(project, "--set", "limits.max_cost=500")
        assert plan["max_cost"] == {"cap": 500, "spent": made.charged}
        said = project.run("plan", "tickets.yaml", "--set", "limits.max_cost=500")
        assert "of which" in said.out
        assert "the run would be refused" in said.out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--set", "source={path: '-', format: jsonl}"], 2, "standard input"),
        (["--set", "source.path=none.jsonl"], 3, "none.jsonl"),
        (["--seed", "3"], 2, "--seed goes with --sample"),
        (["--set", "endpoint={adapter: databricks, name: x}"], 2, "endpoint.host"),
    ],
)
def test_what_cannot_be_planned_is_said(
    project: Project, words: list[str], code: int, message: str
) -> None:
    with shop() as made:
        sell(project, made)
    said = project.run("plan", "tickets.yaml", *words)
    assert (said.code, said.out) == (code, "")
    assert message in said.err


def test_a_plan_needs_no_journal_folder(project: Project) -> None:
    with shop() as made:
        sell(project, made)
    plan_of(project)
    assert not Path(project.folder / "out").exists()
    assert json.loads(project.run("plan", "--json", "tickets.yaml").out)["rows"] == 60
    repeated = json.loads(project.run("plan", "--json", "tickets.yaml", "--set", "repeats=3").out)
    assert (repeated["rows"], repeated["records"]) == (60, 180)
    said = project.run("plan", "tickets.yaml", "--set", "repeats=3").out
    assert said.startswith("tickets.yaml: 180 records of 60 rows\n")
