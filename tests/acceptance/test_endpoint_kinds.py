"""Every kind of serving endpoint in a whole run: in batches, whole and cut, found out or told."""

from __future__ import annotations

import re
from contextlib import closing
from typing import Any

import pytest
from acceptance.conftest import Project
from fakes.models import Endpoint, vector
from fakes.server import Server, as_json
from fakes.workspace import FakeWorkspace, Fault, fail, short

SPEC = """\
name: tickets
source: {path: rows.jsonl, id: id}
endpoint: {adapter: databricks, name: NAME}
prompt: "{{ text }}"
sink: out/tickets.jsonl
"""


def write(project: Project, name: str, options: str = "", more: str = "") -> None:
    named = f"name: {name}{', ' if options else ''}{options}"
    project.write("tickets.yaml", SPEC.replace("name: NAME", named) + more)


def said(number: int) -> str:
    return f"Echo: ticket number {number} That was 3 words. END"


SHAPES = {
    "custom": lambda text: text,
    "custom-dict": lambda text: {"text": text},
    "custom-series": lambda text: {"0": text},
    "custom-candidates": lambda text: {"candidates": [{"text": text}]},
    "custom-number": len,
}


FORMS = ["dataframe_split", "dataframe_records", "inputs", "instances"]


@pytest.mark.parametrize(
    ("name", "form"),
    [*(("custom", form) for form in FORMS), *((name, FORMS[0]) for name in list(SHAPES)[1:])],
)
def test_custom_models_in_batches(
    project: Project, workspace: FakeWorkspace, name: str, form: str
) -> None:
    """Every envelope and every form of predictions; the results are those of rows sent alone."""
    write(project, name, f"format: {form}, batch_size: 4")
    assert project.run("tickets.yaml").code == 0
    assert [record["output"] for record in project.records()] == [
        SHAPES[name](said(number)) for number in range(10)
    ]
    assert len(workspace.calls) == 3
    assert all(list(body) == [form] for body in workspace.bodies())
    batched = project.bytes()
    assert project.run("tickets.yaml", "--set", "endpoint.batch_size=1").code == 0
    assert len(workspace.calls) == 3, "rows have the keys that they have alone"
    assert project.run("tickets.yaml", "--set", "endpoint.batch_size=1", "--fresh").code == 0
    assert len(workspace.calls) == 13
    assert project.bytes() == batched


@pytest.mark.parametrize(("size", "calls"), [(1, 4), (4, 7)])
@pytest.mark.parametrize(
    ("name", "shape"), [("custom-bare", "custom"), ("custom-dict-bare", "custom-dict")]
)
def test_predictions_that_are_no_list(
    project: Project, workspace: FakeWorkspace, name: str, shape: str, size: int, calls: int
) -> None:
    """One for a row alone is that row's; one for several is nobody's, and they are asked apart."""
    project.rows(4)
    write(project, name, f"batch_size: {size}")
    assert project.run("tickets.yaml").code == 0
    outputs = [record["output"] for record in project.records()]
    assert outputs == [SHAPES[shape](said(number)) for number in range(4)]
    assert len(workspace.calls) == calls


@pytest.mark.parametrize("batch_size", [4, 16])
def test_a_bad_row_is_alone_in_the_end(
    project: Project, workspace: FakeWorkspace, batch_size: int
) -> None:
    project.rows(10, t3="[boom] three", t7="[boom] seven")
    write(project, "custom", f"batch_size: {batch_size}")
    assert project.run("tickets.yaml").code == 1
    records = project.records()
    assert [record["id"] for record in records if record["status"] == "error"] == ["T-3", "T-7"]
    assert "unexpected error while evaluating the model. boom" in records[3]["error"]["message"]
    before = len(workspace.calls)
    assert project.run("tickets.yaml").code == 1
    assert len(workspace.calls) - before <= 3, "of the others none is asked again"


@pytest.mark.parametrize("name", ["custom", "completions", "embeddings"])
def test_an_answer_too_few_is_nobodys(
    project: Project, workspace: FakeWorkspace, name: str
) -> None:
    """Rows of a call that lacks an answer are asked apart, until each has its own."""
    project.rows(4)
    workspace.script([short(at=1)])
    write(project, name, "batch_size: 4")
    assert project.run("tickets.yaml").code == 0
    assert len(workspace.calls) == 3  # 4, then 2 and 2
    outputs = [record["output"] for record in project.records()]
    texts = [f"ticket number {number}" for number in range(4)]
    wanted = [vector(text) for text in texts] if name == "embeddings" else map(said, range(4))
    assert outputs == list(wanted)


@pytest.mark.parametrize("name", ["custom", "completions", "embeddings"])
def test_a_fault_of_the_server_splits_a_batch_too(
    project: Project, workspace: FakeWorkspace, name: str
) -> None:
    project.rows(4)
    workspace.script([fail(500, at=1)])
    write(project, name, "batch_size: 4")
    assert project.run("tickets.yaml").code == 0
    assert len(workspace.calls) == 3


@pytest.mark.parametrize(("name", "field"), [("completions", "prompt"), ("embeddings", "input")])
def test_texts_travel_as_lists_and_their_tokens_are_told_together(
    project: Project, workspace: FakeWorkspace, name: str, field: str
) -> None:
    write(project, name, "batch_size: 4", "params: {instruction: x}\n" * (name == "embeddings"))
    assert project.run("tickets.yaml").code == 0
    assert sorted(len(body[field]) for body in workspace.bodies()) == [2, 4, 4]
    assert not any("usage" in record for record in project.records())
    assert project.manifest()["tokens"]["spent"]["input_tokens"] == 30


def test_an_envelope_that_takes_no_lists_is_named(
    project: Project, workspace: FakeWorkspace
) -> None:
    write(project, "custom", "format: instances", "stop: [was]\n")
    assert "; set endpoint.format: dataframe_split, which takes" in project.run("tickets.yaml").err


def test_rows_of_other_stops_travel_apart(project: Project, workspace: FakeWorkspace) -> None:
    """A call in which only some rows have a stop is refused by MLflow."""
    project.write(
        "f.py",
        "def some(row, **request):\n"
        "    return {**request, **({'stop': ['was']} if row['id'] < 'T-4' else {})}\n",
    )
    write(project, "custom", "batch_size: 16", "transforms: {input: f:some}\n")
    assert project.run("tickets.yaml").code == 0
    assert sorted(len(body["dataframe_split"]["data"]) for body in workspace.bodies()) == [4, 6]
    assert [record["output"].endswith("END") for record in project.records()] == [False] * 4 + [
        True
    ] * 6


# --- what an endpoint is ------------------------------------------------------------------------

FOUNDATION = {"foundation_model": {"name": "system.ai.fake"}}
CUSTOM = {"entity_name": "main.default.fake", "entity_version": "7"}
KINDS = [
    (Endpoint(kind="chat", task="llm/v1/chat"), "chat"),  # without endpoint_type
    (Endpoint(kind="chat", entity=FOUNDATION), "chat"),  # by what it serves
    (Endpoint(kind="chat", endpoint_type="FOUNDATION_MODEL_API"), "chat"),
    (Endpoint(kind="external", endpoint_type="EXTERNAL_MODEL"), "chat"),
    (Endpoint(kind="agent", task="agent/v1/chat", entity=CUSTOM), "chat"),
    (Endpoint(kind="agent", task="agent/v2/chat", entity=CUSTOM), "chat"),
    (Endpoint(kind="responses", task="agent/v1/responses", entity=CUSTOM), "responses"),
    (Endpoint(kind="completions", task="llm/v1/completions"), "completions"),
    (Endpoint(kind="custom", entity=CUSTOM), "model"),
    (Endpoint(kind="custom", endpoint_type="CUSTOM_MODEL"), "model"),
]


@pytest.mark.parametrize(("endpoint", "task"), KINDS)
def test_what_an_endpoint_is_is_found_out_and_remembered(
    project: Project,
    workspace: FakeWorkspace,
    monkeypatch: pytest.MonkeyPatch,
    endpoint: Endpoint,
    task: str,
) -> None:
    workspace.endpoints["mine"] = endpoint
    write(project, "mine")
    project.rows(2)
    assert project.run("tickets.yaml").code == 0
    assert [record["output"] for record in project.records()] == [said(0), said(1)]
    assert project.manifest()["endpoints"][0]["task"] == task

    asked = len(workspace.requests)
    for name in workspace.environ:
        monkeypatch.delenv(name)
    assert len(project.run("render", "tickets.yaml").records) == 2
    assert len(workspace.requests) == asked


def test_a_look_that_is_forbidden_stops_only_a_run_whose_task_is_unknown(
    project: Project, workspace: FakeWorkspace
) -> None:
    write(project, "forbidden")
    told = project.run("tickets.yaml")
    assert told.code == 3
    assert "403: PERMISSION_DENIED" in told.err
    assert "set endpoint.task to one of chat, completions" in told.err
    assert not workspace.calls
    assert project.run("tickets.yaml", "--set", "endpoint.task=chat").code == 0


@pytest.mark.parametrize(
    ("path", "task", "model"),
    [
        ("serving-endpoints", "chat", "chat"),
        ("serving-endpoints", "completions", "completions"),
        ("serving-endpoints", "embeddings", "embeddings"),
        ("serving-endpoints", "responses", "agent-responses"),
    ],
)
def test_the_paths_that_name_the_endpoint_in_the_body(
    project: Project, workspace: FakeWorkspace, path: str, task: str, model: str
) -> None:
    endpoint = (
        f"{{adapter: openai, base_url: {workspace.url}/{path}, model: {model}, task: {task}, "
        "api_key: {env: DATABRICKS_TOKEN}}"
    )
    project.write("tickets.yaml", SPEC.replace("{adapter: databricks, name: NAME}", endpoint))
    assert project.run("tickets.yaml").code == 0
    assert {body["model"] for body in workspace.bodies()} == {model}
    told = project.run("tickets.yaml", "--set", "endpoint.model=nope")
    assert told.code == 3
    assert "ENDPOINT_NOT_FOUND" in told.err


# --- reasons to end, and refusals ---------------------------------------------------------------


def test_thoughts_are_no_part_of_the_answer(project: Project, workspace: FakeWorkspace) -> None:
    write(project, "reasoning", more="sink: {path: out/tickets.jsonl, add: [raw]}\n")
    text = (project.folder / "tickets.yaml").read_text()
    project.write("tickets.yaml", text.replace("sink: out/tickets.jsonl\n", "", 1))
    assert project.run("tickets.yaml").code == 0
    (first, *_) = project.records()
    assert first["output"] == said(0)
    parts = first["raw"]["choices"][0]["message"]["content"]
    assert [part["type"] for part in parts] == ["reasoning", "text"]


def test_an_answer_that_never_got_to_its_text(project: Project, workspace: FakeWorkspace) -> None:
    """All tokens went into thoughts: there is no text part at all."""
    write(project, "reasoning", more="params: {max_tokens: 2}\n")
    told = project.run("tickets.yaml")
    assert told.code == 0
    assert "cut       10 answers were cut by max_tokens" in told.err
    assert {(one["output"], one["finish_reason"]) for one in project.records()} == {("", "length")}

    write(project, "reasoning", more="params: {max_tokens: 2}\nresponse_schema: {type: object}\n")
    told = project.run("tickets.yaml")
    assert told.code == 1
    assert "invalid_output: the answer was cut by max_tokens, so the output is not JSON" in told.err


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"),
        ("end_turn", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
        ("something_new", "unknown"),
    ],
)
def test_every_reason_to_end(
    project: Project, workspace: FakeWorkspace, word: str, reason: str
) -> None:
    choice = {"message": {"content": "text"}, "finish_reason": word}
    workspace.script([Fault(status=200, body={"choices": [choice]})])
    write(project, "chat")
    assert project.run("tickets.yaml").code == 0
    assert {record["finish_reason"] for record in project.records()} == {reason}


REFUSED: dict[str, tuple[str, Any, str]] = {
    "an unknown field": ("chat", None, "tickets.yaml:6:10: .*; remove params.seed"),
    "plain text": (
        "chat",
        'Bad request: json: unknown field "seed"\n',
        "tickets.yaml:6:10: .*; remove params.seed",
    ),
    "a string in the message": (
        "chat",
        {"message": '{"error_code":"BAD_REQUEST","message":"json: unknown field \\"seed\\""}'},
        "tickets.yaml:6:10: .*; remove params.seed",
    ),
    "an external provider": (
        "external",
        {
            "error_code": "BAD_REQUEST",
            "message": '{"external_model_provider":"openai","external_model_error":{"error":'
            '{"message":"Unsupported parameter: \'seed\' is not supported with this model."}}}',
        },
        "tickets.yaml:6:10: .*openai: Unsupported parameter.*; remove params.seed",
    ),
    "sampling": (
        "chat",
        {"message": "Model claude does not support the seed parameter."},
        "tickets.yaml:6:10: .*; remove params.seed",
    ),
    "stop": (
        "chat",
        {"message": 'Unsupported parameter: "stop" is not supported with this model.'},
        "tickets.yaml:7:1: .*; set endpoint.send_stop: false",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_parameter_is_named_with_its_line_and_mend(
    project: Project, workspace: FakeWorkspace, name: str
) -> None:
    endpoint, body, wanted = REFUSED[name]
    if body is not None:
        workspace.script([Fault(status=400, body=body)])
    write(project, endpoint, more="params: {seed: 7}\nstop: [END]\n")
    told = project.run("tickets.yaml")
    assert told.code == 1
    (line,) = [line for line in told.err.splitlines() if "rejected: tickets" in line]
    assert re.search(f"T-0 and 9 rows like it: rejected: {wanted}", line)


def test_where_the_text_of_an_answer_is_can_be_corrected_for_nothing(project: Project) -> None:
    asked = []

    def reply(call: Any) -> Any:
        asked.append(call)
        return as_json({"said": {"text": call.json["q"].upper()}})

    with closing(Server(reply)) as server:
        server.start()
        project.write(
            "tickets.yaml",
            "name: tickets\nsource: {path: rows.jsonl, id: id}\nprompt: '{{ text }}'\n"
            f"endpoint: {{adapter: http, url: '{server.url}', text: said.txet,\n"
            "  body: '{\"q\": {{ prompt | tojson }}}'}\nsink: out/tickets.jsonl\n",
        )
        wrong = project.run("tickets.yaml")
        assert wrong.code == 1
        assert "malformed: endpoint.text finds nothing at said.txet" in wrong.err
        assert "lost" not in wrong.err
        assert project.run("tickets.yaml", "--set", "endpoint.text=said.text").code == 0
    assert len(asked) == 10
    assert project.records()[0]["output"] == "TICKET NUMBER 0"


def test_a_path_into_the_answer_that_is_none_is_told_where_it_stands(project: Project) -> None:
    project.write(
        "tickets.yaml",
        "name: tickets\nsource: rows.jsonl\nprompt: a\nsink: out/tickets.jsonl\nendpoint:\n"
        "  adapter: http\n  url: http://127.0.0.1:1/\n  body: {}\n  text: said[[\n",
    )
    said = project.run("validate", "tickets.yaml")
    assert said.code == 2
    assert "tickets.yaml:9:9: endpoint.text: is no JMESPath" in said.err
