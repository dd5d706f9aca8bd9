"""Ids of requests: by them a row is found in the endpoint's inference table."""

from __future__ import annotations

from collections import defaultdict

import pytest
from acceptance.conftest import Project
from fakes.faults import fail, reset
from fakes.models import Endpoint
from fakes.workspace import FakeWorkspace, throttle

SPEC = """\
name: tickets
source: {path: rows.jsonl, id: id}
endpoint: {adapter: databricks, name: NAME, client_request_id: "{{ id }}"}
prompt: "{{ text }}"
params: {top_p: 0.5}
limits: {attempts: 4, retry_for: 60}
sink: out/tickets.jsonl
"""
IDS = [f"T-{number}" for number in range(10)]


def write(project: Project, name: str, id_: str = "{{ id }}") -> None:
    project.write("tickets.yaml", SPEC.replace("NAME", name).replace("{{ id }}", id_))


@pytest.mark.parametrize("name", ["custom", "external", "agent-responses"])
def test_one_for_each_row_whatever_is_tried_again(
    project: Project, workspace: FakeWorkspace, name: str
) -> None:
    write(project, name)
    project.rows(10, t7="ticket number 3")  # equal prompts, of two rows
    workspace.script([throttle(retry_after=0.01, at=2), fail(500, at=4), reset(at=6)])
    assert project.run("tickets.yaml").code == 0
    bodies = defaultdict(set)
    for call in workspace.calls:
        bodies[call.json["client_request_id"]].add(call.body)
    assert sorted(bodies) == IDS
    assert len(workspace.calls) == 13
    assert {len(said) for said in bodies.values()} == {1}, "each try says the same"
    assert len(workspace.calls[0].json) == (2 if name == "custom" else 3), "it is no column"
    assert project.run("tickets.yaml").code == 0
    assert len(workspace.calls) == 13, "known again by the journal"


@pytest.mark.parametrize(("id_", "sent"), [("{{ id }}", IDS[:4]), ("{{ id[:2] }}", ["T-"])])
@pytest.mark.parametrize("name", ["custom", "embedder"])
def test_rows_of_one_call_have_one(
    project: Project, workspace: FakeWorkspace, name: str, id_: str, sent: list[str]
) -> None:
    told = {"task": "llm/v1/embeddings"}
    workspace.endpoints["embedder"] = Endpoint(kind="embeddings", told=told)
    write(project, f"{name}, batch_size: 4", id_)
    project.rows(4)
    assert project.run("tickets.yaml", "--set", "params=null").code == 0
    assert sorted(body["client_request_id"] for body in workspace.bodies()) == sent


def test_a_foundation_model_takes_none(project: Project, workspace: FakeWorkspace) -> None:
    write(project, "chat")
    said = project.run("tickets.yaml")
    assert said.code == 1
    assert 'unknown field "client_request_id"' in said.err
    assert "this model takes none: remove it from the endpoint" in said.err


@pytest.mark.parametrize(
    ("returned", "sent"),
    [("{'prompt': prompt}", IDS), ("{'prompt': prompt, 'client_request_id': 'own'}", ["own"])],
)
def test_functions_on_the_request_are_not_given_it_and_may_give_their_own(
    project: Project, workspace: FakeWorkspace, returned: str, sent: list[str]
) -> None:
    project.write("f.py", f"def plain(prompt, top_p):\n    return {returned}\n")
    write(project, "external")
    assert project.run("tickets.yaml", "--set", "transforms={input: 'f:plain'}").code == 0
    assert sorted({body["client_request_id"] for body in workspace.bodies()}) == sent


def test_a_row_without_one_is_sent_without(project: Project, workspace: FakeWorkspace) -> None:
    project.write(
        "rows.jsonl", '{"id": 1, "n": 7, "text": "a"}\n{"id": 2, "n": null, "text": "b"}\n'
    )
    write(project, "external", "{{ n }}")
    assert project.run("tickets.yaml").code == 0
    given = {
        body["messages"][0]["content"]: body.get("client_request_id") for body in workspace.bodies()
    }
    assert given == {"a": "7", "b": None}


def test_what_it_is_made_of_is_checked(project: Project) -> None:
    write(project, "custom", "{{ idd }}")
    said = project.run("validate", "tickets.yaml")
    assert "tickets.yaml:3:66: endpoint.client_request_id: " in said.err
    write(project, "custom", "{{ id")
    assert project.run("validate", "tickets.yaml").code == 2
