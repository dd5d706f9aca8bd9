"""What a run costs: told before, stopped at its cap, counted over its continuations."""

from __future__ import annotations

import json

import pytest
from acceptance.conftest import SPEC, Project
from fakes.workspace import FakeWorkspace

PRICED = SPEC.replace(
    "task: chat}", "task: chat, price: {input_per_million: 1000000, output_per_million: 0}}"
)
EACH = 4.0  # input tokens of a request to the fake workspace, at 1 USD each


def spent(project: Project) -> float:
    """What was paid for the answers in the journal, each once."""
    return sum(record["usage"]["input_tokens"] for record in project.records())


def test_a_plan_calls_nobody_and_tells_what_a_run_then_sends(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.write("tickets.yaml", PRICED)
    project.run("tickets.yaml", "--limit", "3")
    asked = len(workspace.requests)
    said = project.run("plan", "tickets.yaml", "--json")
    assert said.code == 0
    assert len(workspace.requests) == asked
    plan = json.loads(said.out)
    assert plan["rows"] == 10
    assert plan["requests"] == {"send": {"low": 7, "expected": 7, "high": 7}, "reuse": 3}
    assert plan["learnt_from"] == 3
    assert plan["cost"]["low"] <= 7 * EACH * 1.1
    assert plan["cost"]["high"] >= 7 * EACH * 0.9
    before = len(workspace.calls)
    assert project.run("tickets.yaml").code == 0
    assert len(workspace.calls) - before == 7


def test_a_plan_is_said_to_a_person(project: Project, workspace: FakeWorkspace) -> None:
    project.write("tickets.yaml", PRICED)
    project.run("tickets.yaml", "--limit", "3")
    said = project.run("plan", "tickets.yaml")
    assert "10 rows" in said.out
    assert "to reuse" in said.out
    assert "3 answers in the journal" in said.out


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_run_stops_before_its_cap_and_goes_on_when_it_is_raised(
    project: Project, workspace: FakeWorkspace, concurrency: int
) -> None:
    project.write("tickets.yaml", PRICED)
    project.run("tickets.yaml", "--limit", "2")  # how long answers are is known now
    paid = len(workspace.calls)
    cap = f"limits={{max_cost: 20, concurrency: {concurrency}}}"
    said = project.run("tickets.yaml", "--set", cap)
    refused_at_once = len(workspace.calls) == paid
    assert said.code == 3
    assert "max_cost" in said.err
    assert (len(workspace.calls) - paid) * EACH <= 20
    assert refused_at_once or len(workspace.calls) - paid >= 3
    raised = f"limits={{max_cost: 100, concurrency: {concurrency}}}"
    assert project.run("tickets.yaml", "--set", raised).code == 0
    assert len(project.records()) == 10
    assert len(workspace.calls) == 10
    assert spent(project) == 10 * EACH


def test_a_continuation_counts_what_was_spent_before_it(
    project: Project, workspace: FakeWorkspace
) -> None:
    # Input is estimated by its length: a price of output alone tells nothing before an answer.
    project.write("tickets.yaml", PRICED.replace("{{ text }}", "{{ text }} " + "word " * 40))
    first = project.run("tickets.yaml", "--set", "limits={max_cost: 400, concurrency: 1}")
    calls = len(workspace.calls)
    again = project.run("tickets.yaml", "--set", "limits={max_cost: 400, concurrency: 1}")
    if first.code == 0:  # all of it was affordable
        assert len(workspace.calls) == calls
    else:
        assert again.code == 3
        assert len(workspace.calls) == calls


def test_what_is_not_priced_cannot_be_capped(project: Project, workspace: FakeWorkspace) -> None:
    for option in (["--max-cost", "1"], ["--set", "limits.max_cost=1"]):
        said = project.run("tickets.yaml", *option)
        assert said.code == 2
        assert said.err.startswith("tickets.yaml:")  # where the price is to be written
        assert "limits.max_cost: 'endpoint' has no price" in said.err
    assert not workspace.calls


def test_a_run_that_cannot_be_paid_is_refused_before_it_begins(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.write("tickets.yaml", PRICED)
    said = project.run("tickets.yaml", "--max-cost", "0.5")
    assert said.code == 3
    assert "does not suffice" in said.err
    assert not workspace.calls
