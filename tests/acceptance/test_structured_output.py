"""`response_schema` end to end: native forms, asking again, what is refused and where."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from acceptance.conftest import Project, Said
from acceptance.test_interrupting import wait_for
from fakes.faults import say
from fakes.workspace import FakeWorkspace, Fault

SCHEMA = {"type": "object", "properties": {"label": {"enum": ["a", "b"]}}, "required": ["label"]}
SPEC = """\
name: tickets
source: {path: rows.jsonl, id: id}
endpoint: {adapter: databricks, name: NAME, price: {input_per_million: 1, output_per_million: 10}}
prompt: "{{ text }}"
response_schema:
  REST
  schema: SCHEMA
params: {temperature: 0}
sink: out/tickets.jsonl
"""


def spec(name: str, rest: str) -> str:
    made = SPEC.replace("NAME", name).replace("REST", rest)
    return made.replace("SCHEMA", json.dumps(SCHEMA))


def run(project: Project, name: str, rest: str, *words: str) -> Said:
    project.write("tickets.yaml", spec(name, rest))
    return project.run("tickets.yaml", *words)


# --- the endpoint's own form --------------------------------------------------------------------

STRICT = {"name": "main", "schema": SCHEMA, "strict": True}


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("chat", {"response_format": {"type": "json_schema", "json_schema": STRICT}}),
        ("reasoning", {"response_format": {"type": "json_schema", "json_schema": STRICT}}),
        ("external", {"response_format": {"type": "json_schema", "json_schema": STRICT}}),
        ("agent-responses", {"text": {"format": {"type": "json_schema", **STRICT}}}),
    ],
)
def test_the_schema_is_sent_in_the_endpoints_own_form(
    project: Project, workspace: FakeWorkspace, name: str, form: dict[str, Any]
) -> None:
    project.rows(2)
    said = run(project, name, "mode: native")
    (first, _) = workspace.bodies()
    assert {key: first[key] for key in form} == form
    if name != "agent-responses":  # the fake one does not hold to it
        assert said.code == 0
        assert [record["output"] for record in project.records()] == [{"label": "a"}] * 2


@pytest.mark.parametrize("name", ["completions", "embeddings", "custom"])
@pytest.mark.parametrize("task", ["auto", "set"])
def test_an_endpoint_without_such_a_form_is_refused_at_the_line(
    project: Project, workspace: FakeWorkspace, name: str, task: str
) -> None:
    """Whether the task is written down or found out when the run starts."""
    project.write("tickets.yaml", spec(name, "mode: native"))
    tasks = {"custom": "model"}
    words = [] if task == "auto" else ["--set", f"endpoint.task={tasks.get(name, name)}"]
    said = project.run("tickets.yaml", *words)
    assert said.code == 2
    assert "tickets.yaml:6:9: response_schema.mode: databricks" in said.err
    assert "has no native form of response_schema; leave `mode` out" in said.err
    assert not workspace.calls


def test_a_schema_that_the_endpoint_refuses_is_told_at_its_line(
    project: Project, workspace: FakeWorkspace
) -> None:
    said = 'Bad request: Invalid JSON schema - the "pattern" keyword is not supported'
    body = {"error_code": "BAD_REQUEST", "message": said}
    workspace.script([Fault(status=400, body=body)])
    told = run(project, "chat", "mode: native").err
    assert "T-0 and 9 rows like it: rejected: tickets.yaml:5:1: " in told
    assert "; remove 'pattern' from response_schema, or its mode: native\n" in told
    assert project.records()[0]["error"]["where"] == "tickets.yaml:5:1"


# --- asking again -------------------------------------------------------------------------------


def test_the_model_is_told_what_is_wrong(project: Project, workspace: FakeWorkspace) -> None:
    project.rows(1, t0="[tries=1] judge")
    assert run(project, "stubborn", "reask: 2").code == 0
    first, second = workspace.bodies()
    answer = "Echo: [tries=1] judge That was 2 words. END"
    assert second["messages"][:2] == [
        *first["messages"],
        {"role": "assistant", "content": answer},
    ]
    assert second["messages"][2]["role"] == "user"
    assert "the output is not JSON" in second["messages"][2]["content"]
    assert second["temperature"] == 0
    (record,) = project.records()
    assert record["output"] == {"label": "a", "tries": 1}


def test_all_asks_are_counted_and_paid_once(project: Project, workspace: FakeWorkspace) -> None:
    project.rows(3, t0="[tries=0]", t1="[tries=1]", t2="[tries=3]")
    said = run(project, "stubborn", "reask: 2", "--json")
    asked = [call.json for call in workspace.calls]
    assert len(asked) == 1 + 2 + 3  # the third is told off twice, and fails
    records = project.records()
    assert [record["status"] for record in records] == ["ok", "ok", "error"]
    assert records[2]["error"]["class"] == "invalid_output"

    def words(of: int) -> int:
        return sum(
            len(message["content"].split())
            for body in asked
            if f"[tries={of}]" in body["messages"][0]["content"]
            for message in body["messages"]
        )

    assert [record["usage"]["input_tokens"] for record in records] == [words(0), words(1), words(3)]
    costs = [record["cost"] for record in records]
    usages = [record["usage"] for record in records]
    assert costs == [
        pytest.approx((one["input_tokens"] + 10 * one["output_tokens"]) / 1e6) for one in usages
    ]
    assert said.summary["runs"][0]["cost"]["spent"] == pytest.approx(sum(costs))

    assert project.run("tickets.yaml").code == 1  # read again, not asked again
    assert len(workspace.calls) == 6
    assert project.records() == records


def test_only_errors_asks_again_from_the_start(project: Project, workspace: FakeWorkspace) -> None:
    project.rows(2, t0="[tries=0]", t1="[tries=9]")
    run(project, "stubborn", "reask: 1")
    assert len(workspace.calls) == 3
    project.run("tickets.yaml", "--only-errors")
    assert len(workspace.calls) == 5
    assert "[tries=0]" not in workspace.calls[3].body.decode()


def test_asks_of_a_batch_are_each_rows_own(project: Project, workspace: FakeWorkspace) -> None:
    project.write(
        "tickets.yaml",
        spec("custom", "reask: 1").replace("name: custom", "name: custom, batch_size: 4"),
    )
    project.rows(4)
    assert project.run("tickets.yaml", "--set", "params=null").code == 1
    rows = [len(body["dataframe_split"]["data"]) for body in workspace.bodies()]
    assert rows == [4, 1, 1, 1, 1]
    assert project.run("tickets.yaml", "--set", "params=null").code == 1
    assert len(workspace.calls) == 5


def test_a_model_that_cannot_be_told_is_not_asked_again(
    project: Project, workspace: FakeWorkspace
) -> None:
    """With columns of its own the request would be the same one again."""
    workspace.script([say({"predictions": ["no JSON"]})])
    columns = 'name: custom, columns: {question: "{{ text }}"}'
    made = spec("custom", "reask: 5").replace("name: custom", columns)
    project.write("tickets.yaml", made.replace('prompt: "{{ text }}"\nresp', "resp"))
    project.rows(1)
    assert project.run("tickets.yaml", "--set", "params=null").code == 1
    assert len(workspace.calls) == 1
    assert project.records()[0]["error"]["class"] == "invalid_output"


ASKS = 1 + 2 + 3 + 3
MIXED = {"t0": "[tries=0]", "t1": "[tries=1]", "t2": "[tries=2]", "t3": "[tries=5]"}


def undisturbed(project: Project, workspace: FakeWorkspace) -> bytes:
    """The results of a run that nothing disturbs, in a place of its own."""
    workspace.script([])
    project.run("tickets.yaml", "--set", "journal.path=other.journal", "--out", "other.jsonl")
    return project.bytes("other.jsonl")


@pytest.mark.parametrize("at", range(1, ASKS + 1))
def test_a_run_that_ends_at_any_ask_continues_with_the_next(
    project: Project, workspace: FakeWorkspace, at: int
) -> None:
    project.rows(4, **MIXED)
    project.write("tickets.yaml", spec("stubborn", "reask: 2"))
    denied = {"error_code": "PERMISSION_DENIED", "message": "no"}
    workspace.script([Fault(at=at, status=403, body=denied)])
    words = ("--set", "limits.concurrency=1")
    assert project.run("tickets.yaml", *words).code == 3
    assert len(workspace.calls) == at
    assert project.run("tickets.yaml", *words).code == 1
    assert len(workspace.calls) == ASKS + 1  # only the one that was denied is sent twice
    assert project.bytes() == undisturbed(project, workspace)


@pytest.mark.parametrize("after", [3, 7])
def test_a_run_killed_while_it_asks_again_is_continued(
    project: Project, workspace: FakeWorkspace, after: int
) -> None:
    project.rows(4, **MIXED)
    project.write("tickets.yaml", spec("stubborn", "reask: 2"))
    workspace.latency = 0.05
    process = project.start("tickets.yaml", "--set", "limits.concurrency=2")
    wait_for(lambda: len(workspace.calls) >= after)
    process.kill()
    project.end(process)
    workspace.latency = 0
    assert project.run("tickets.yaml").code == 1
    sent = Counter(call.body for call in workspace.calls)
    assert len(sent) == ASKS
    assert sum(count - 1 for count in sent.values()) <= 2, "only what was in flight"
    assert project.bytes() == undisturbed(project, workspace)
