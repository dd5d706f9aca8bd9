"""Scores and gates, seen from outside."""

from __future__ import annotations

import json

from acceptance.conftest import SPEC, Project
from fakes.workspace import FakeWorkspace

SCORED = (
    SPEC
    + """\
scores:
  - {type: contains, name: numbered, expected: "number {{ id[2:] }}"}
  - {type: length, name: words}
  - {type: python, name: graded, function: "grades:grade"}
"""
)
GRADES = """\
def grade(record):
    if record["id"] == "T-4":
        raise ValueError("no idea")
    return {"value": record["id"] != "T-3", "explanation": record["status"]}
"""


def scored(project: Project, more: str = "") -> None:
    project.write("tickets.yaml", SCORED + more)
    project.write("grades.py", GRADES)


def test_records_hold_their_scores_and_the_summary_their_means(
    project: Project, workspace: FakeWorkspace
) -> None:
    scored(project)
    said = project.run("run", "tickets.yaml")
    assert said.code == 0
    records = project.records()
    assert records[3]["scores"]["numbered"] == {"value": True}
    assert records[3]["scores"]["graded"] == {"value": False, "explanation": "ok"}
    assert records[4]["status"] == "ok"
    graded = records[4]["scores"]["graded"]
    assert graded["value"] is None
    assert graded["explanation"].startswith("transform: grades:grade raised ValueError: no idea")
    scores = project.manifest()["scores"]
    assert scores["numbered"]["mean"] == 1
    assert (scores["graded"]["count"], scores["graded"]["failed"]) == (9, 1)
    assert "graded    0.889" in said.err
    assert "failed on 1 of 10 records" in said.err
    assert "graded: row T-4: transform" in said.err


def test_an_edited_score_sends_nothing(project: Project, workspace: FakeWorkspace) -> None:
    scored(project)
    project.run("run", "tickets.yaml")
    sent = len(workspace.calls)
    project.write("tickets.yaml", SCORED.replace("number {{", "no number {{"))
    assert project.run("run", "tickets.yaml").code == 0
    assert len(workspace.calls) == sent
    assert project.records()[0]["scores"]["numbered"]["value"] is False
    assert project.manifest()["scores"]["numbered"]["mean"] == 0


def test_rows_without_an_output_are_not_judged(project: Project, workspace: FakeWorkspace) -> None:
    scored(project)
    project.write("rows.jsonl", '{"id": "T-0"}\n{"id": "T-1", "text": "number 1"}\n')
    assert project.run("run", "tickets.yaml").code == 1
    assert [("scores" in record) for record in project.records()] == [False, True]


def test_gates_on_scores_say_by_how_much(project: Project, workspace: FakeWorkspace) -> None:
    scored(project, "gates: {numbered: {min: 1}, words: {max: 3, warn: 2}, graded: {min: 0.1}}\n")
    said = project.run("run", "tickets.yaml", "--json")
    assert said.code == 1
    gates = {(gate["name"], gate["warn"]): gate for gate in said.summary["runs"][0]["gates"]}
    assert gates["numbered", False]["met"] is True
    assert gates["words", False]["met"] is False
    assert gates["words", True]["wanted"] == "at most 2"
    assert gates["graded", False]["note"] == "failed on 1 of 10 records"
    assert "wanted at most 3" in said.err
    assert "missed by " in said.err


def test_results_are_kept_back_until_the_gates_are_met(
    project: Project, workspace: FakeWorkspace
) -> None:
    held = SCORED.replace(
        "sink: out/tickets.jsonl", "sink: {path: out/tickets.jsonl, publish: if_met}"
    )
    project.write("grades.py", GRADES)
    project.write("tickets.yaml", held + "gates: {numbered: {min: 1}}\n")
    assert project.run("run", "tickets.yaml").code == 0
    before = project.files()
    project.write("tickets.yaml", held + "gates: {words: {max: 1}}\n")
    said = project.run("run", "tickets.yaml")
    assert said.code == 1
    assert "out/tickets.unmet.jsonl" in said.err
    after = project.files()
    for name in ("out/tickets.jsonl", "out/tickets.run.json"):
        assert after[name] == before[name]
    kept = (project.folder / "out/tickets.unmet.jsonl").read_text()
    assert len(kept.splitlines()) == 10
    manifest = json.loads((project.folder / "out/tickets.unmet.run.json").read_text())
    assert manifest["exit_code"] == 1
    assert manifest["results"]["path"] == "tickets.unmet.jsonl"
    assert not (project.folder / "out/tickets.run.json.partial").exists()
    assert project.run("verify", "out/tickets.unmet.jsonl").code == 0
    (project.folder / "out/tickets.jsonl").unlink()
    said = project.run("verify", "tickets.yaml")
    assert "gates were not met, so they are in" in said.err


def test_a_gate_on_an_unknown_score_is_warned_of(
    project: Project, workspace: FakeWorkspace
) -> None:
    scored(project, "gates: {numberd: {min: 1}}\n")
    said = project.run("validate", "tickets.yaml")
    assert said.code == 0
    assert "gates.numberd: there is no score 'numberd'; did you mean 'numbered'?" in said.err


def test_verify_judges_anew(project: Project, workspace: FakeWorkspace) -> None:
    scored(project)
    project.run("run", "tickets.yaml")
    assert project.run("verify", "tickets.yaml").code == 0
    project.write("grades.py", GRADES.replace("T-3", "T-5"))
    said = project.run("verify", "tickets.yaml")
    assert said.code == 1
    assert "T-3" in said.err
    assert "T-5" in said.err


def test_worker_processes_judge_alike(project: Project, workspace: FakeWorkspace) -> None:
    scored(project, "repeats: 2\n")
    project.run("run", "tickets.yaml")
    before, scores = project.bytes(), project.manifest()["scores"]
    said = project.run("run", "tickets.yaml", "--fresh", "--set", "limits.processes=2")
    assert said.code == 0
    assert project.bytes() == before
    assert project.manifest()["scores"] == scores


JUDGED = (
    SPEC
    + """\
scores:
  - type: judge
    name: liked
    endpoint: {adapter: python, function: "judges:like"}
    prompt: "{{ output }} for {{ id }}?"
    params: {temperature: 0}
    value: score
"""
)
JUDGES = """\
def like(prompt, temperature):
    return "no idea" if "T-4" in prompt else '{"score": 0.5, "reason": "fair"}'
"""


def judged(project: Project, more: str = "") -> None:
    project.write("tickets.yaml", JUDGED + more)
    project.write("judges.py", JUDGES)


def test_judges_are_asked_once_and_for_all(project: Project, workspace: FakeWorkspace) -> None:
    judged(project, "gates: {liked: {min: 0.5}}\n")
    said = project.run("run", "tickets.yaml")
    assert said.code == 1  # of one row it has no idea
    assert "20 sent, 0 reused" in said.err
    records = project.records()
    assert records[0]["scores"] == {"liked": {"value": 0.5, "explanation": "fair"}}
    assert records[4]["status"] == "ok"
    assert records[4]["scores"]["liked"]["value"] is None
    before = project.bytes()
    assert "0 sent, 20 reused" in project.run("run", "tickets.yaml").err
    assert "0 sent, 20 reused" in project.run("run", "tickets.yaml", "--replay").err
    assert project.run("verify", "tickets.yaml").code == 0
    assert project.bytes() == before
    # Its answers are among those that are asked for.
    assert project.run("journal", "tickets.yaml", "--prune").code == 0
    assert "0 sent, 20 reused" in project.run("run", "tickets.yaml").err
    assert "to reuse              20\n" in project.run("plan", "tickets.yaml").out


def test_an_edited_judge_is_all_that_is_asked(project: Project, workspace: FakeWorkspace) -> None:
    judged(project)
    project.run("run", "tickets.yaml")
    project.write("tickets.yaml", JUDGED.replace("?", "!"))
    before = project.bytes()
    replayed = project.run("run", "tickets.yaml", "--replay")
    assert replayed.code == 1
    assert "left as they are" in replayed.err
    assert project.bytes() == before
    assert project.run("verify", "tickets.yaml").code == 1
    assert "10 sent, 10 reused" in project.run("run", "tickets.yaml").err


def test_what_a_judge_costs_is_spent_and_is_none_of_the_answers(
    project: Project, workspace: FakeWorkspace
) -> None:
    chat = "{adapter: databricks, name: chat, task: chat, price: {input_per_million: 1000}}"
    spec = JUDGED.replace("{adapter: databricks, name: chat, task: chat}", chat)
    spec = spec.replace('{adapter: python, function: "judges:like"}', chat)
    project.write("tickets.yaml", spec.replace("    value: score\n", ""))
    project.run("run", "tickets.yaml")
    cost = project.manifest()["cost"]
    assert cost["spent"] > cost["answers"] > 0
    assert "limits.max_cost" in project.run(
        "run", "tickets.yaml", "--fresh", "--set", "limits.max_cost=0.00001"
    ).err  # fmt: skip
