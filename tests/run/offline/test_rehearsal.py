"""Offline tests: the way of a real run, with answers that are in the spec."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import dbrun
from dbrun.client.journal import Journal
from dbrun.run.offline.rehearsal import Outcome, Rehearsal
from dbrun.run.opening import Surroundings

CHAT = {"adapter": "databricks", "name": "chat", "task": "chat"}
BASE: dict[str, Any] = {
    "name": "t",
    "source": {"path": "rows.jsonl", "id": "id"},
    "endpoint": CHAT,
    "prompt": "Say: {{ text }}",
}
FUNCTIONS = """
def upper(text):
    return text.upper()

def split(row):
    return [{"text": word} for word in row["text"].split()]

def louder(prompt, **rest):
    return {"prompt": prompt + "!", "temperature": 1, **rest}

def broken(text):
    raise ValueError("no good")

def never(**request):
    raise AssertionError("a test calls no model")
"""


def rehearsed(
    folder: Path, spec: dict[str, Any], *tests: dict[str, Any], journal: Sequence[Any] = ()
) -> tuple[list[Outcome], list[str]]:
    """What becomes of *tests* in a spec, and the notes; no environment is set."""
    (folder / "functions.py").write_text(FUNCTIONS)
    path = folder / "spec.yaml"
    path.write_text(json.dumps({**BASE, **spec, "tests": tests}))
    loaded = dbrun.load(path, environ={}).spec
    for name, value in journal:
        with Journal.open(loaded.journal.path) as facts:
            facts.remember(name, value)
    rehearsal = Rehearsal(loaded, Surroundings(environ={}))
    return list(rehearsal.run(loaded.tests)), rehearsal.notes


def one(folder: Path, spec: dict[str, Any], test: dict[str, Any]) -> Outcome:
    (outcome,), _ = rehearsed(folder, spec, test)
    return outcome


def case(response: Any = "hello", row: Any = None, **expect: Any) -> dict[str, Any]:
    given = {"row": row or {"text": "hi"}}
    if response is not None:
        given["response"] = response
    return {"given": given, "expect": expect}


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        (CHAT, {"messages": [{"role": "user", "content": "Say: hi"}]}),
        ({**CHAT, "task": "completions"}, {"prompt": "Say: hi"}),
        ({**CHAT, "task": "responses"}, {"input": [{"role": "user", "content": "Say: hi"}]}),
        ({**CHAT, "task": "model"}, {"dataframe_split": {"columns": ["prompt"]}}),
        ({"adapter": "databricks-proxy", "cluster_id": "c", "port": 80}, {"prompt": "Say: hi"}),
        ({"adapter": "openai", "base_url": "http://x.invalid/v1", "model": "m"}, {"model": "m"}),
        ({"adapter": "mlflow", "url": "http://x.invalid"}, {"dataframe_split": {}}),
        ({"adapter": "local"}, {"messages": [{}]}),
        ({"adapter": "local", "model": {"path": "absent.gguf"}}, {"messages": [{}]}),
        ({"adapter": "python", "function": "functions:never"}, {"prompt": "Say: hi"}),
        (
            {"adapter": "http", "url": "http://x.invalid", "body": {"q": "{{ prompt }}"}},
            {"q": "Say: hi"},
        ),
        (
            {
                "adapter": "http",
                "url": "http://x.invalid",
                "body": {"q": "{{ prompt }}"},
                "text": "a.b[1].c",
            },
            {"q": "Say: hi"},
        ),
    ],
    ids=lambda value: value.get("adapter"),
)
def test_a_text_becomes_an_answer_of_any_endpoint(
    tmp_path: Path, endpoint: dict[str, Any], body: dict[str, Any]
) -> None:
    spec = {"endpoint": endpoint, "transforms": {"output": "functions:upper"}}
    outcome = one(tmp_path, spec, case(request=body, output="HELLO"))
    assert outcome.passed, outcome.mismatches


@pytest.mark.parametrize(
    "endpoint",
    [
        {**CHAT, "task": "embeddings"},
        {
            "adapter": "http",
            "url": "http://x.invalid",
            "body": {"q": "{{ prompt }}"},
            "text": "a[?b].c",
        },
    ],
)
def test_a_text_that_nobody_can_wrap_is_told(tmp_path: Path, endpoint: dict[str, Any]) -> None:
    outcome = one(tmp_path, {"endpoint": endpoint}, case(output="hello"))
    (mismatch,) = outcome.mismatches
    assert mismatch.part == "response"
    assert "give the whole body" in mismatch.said


def test_a_body_is_taken_as_it_is(tmp_path: Path) -> None:
    body = {"data": [{"index": 0, "embedding": [1, 2]}]}
    outcome = one(
        tmp_path, {"endpoint": {**CHAT, "task": "embeddings"}}, case(body, output=[1.0, 2])
    )
    assert outcome.passed


def test_the_task_is_the_one_that_was_found_out(tmp_path: Path) -> None:
    auto = {"adapter": "databricks", "name": "e", "host": "https://h.invalid"}
    facts = [
        ("databricks:e", ["https://h.invalid"]),
        ("databricks:h.invalid:e", {"task": "completions"}),
    ]
    test = case(request={"prompt": "Say: hi"}, output="hello")
    (outcome,), notes = rehearsed(tmp_path, {"endpoint": auto}, test, journal=facts)
    assert outcome.passed, outcome.mismatches
    assert notes == []


def test_a_task_that_nobody_knows_is_taken_for_chat(tmp_path: Path) -> None:
    auto = {"adapter": "databricks", "name": "e"}
    (outcome,), notes = rehearsed(
        tmp_path, {"endpoint": auto}, case(request={"messages": [{}]}, output="hello")
    )
    assert outcome.passed, outcome.mismatches
    assert notes == ["endpoint.task: what 'e' does is not known yet; taken for chat"]


def test_everything_but_the_call_is_done(tmp_path: Path) -> None:
    spec = {
        "stop": ["."],
        "params": {"max_tokens": 5},
        "transforms": {"input": "functions:louder", "output": "functions:upper"},
    }
    body = {
        "messages": [{"content": "Say: hi!"}],
        "temperature": 1,
        "stop": ["."],
        "max_tokens": 5,
    }
    outcome = one(tmp_path, spec, case("hello. And more", request=body, output="HELLO"))
    assert outcome.passed, outcome.mismatches


@pytest.mark.parametrize(
    ("spec", "test", "error"),
    [
        ({}, case(None, row={"txt": "x"}), "render: "),
        ({"transforms": {"output": "functions:broken"}}, case(), "ValueError: no good"),
        ({"response_schema": {"type": "object"}}, case(), "invalid_output: the output is not JSON"),
        ({}, case({"choices": []}), "malformed"),
        ({}, case({"error": {"message": "too hot"}}), "too hot"),
        (
            {},
            case({"choices": [{"message": {}, "finish_reason": "content_filter"}]}),
            "content_filter",
        ),
    ],
)
def test_errors_are_those_of_a_run(
    tmp_path: Path, spec: dict[str, Any], test: dict[str, Any], error: str
) -> None:
    (outcome,), _ = rehearsed(tmp_path, spec, {**test, "expect": {"error": error}})
    assert outcome.passed, outcome.mismatches
    (outcome,), _ = rehearsed(tmp_path, spec, {**test, "expect": {"error": "sunstroke"}})
    assert [one.part for one in outcome.mismatches] == ["error"]
    (outcome,), _ = rehearsed(tmp_path, spec, {**test, "expect": {"output": "x"}})
    assert [one.part for one in outcome.mismatches] == ["error"]


def test_an_error_that_does_not_come_is_a_failure(tmp_path: Path) -> None:
    (mismatch,) = one(tmp_path, {}, case(error="render")).mismatches
    assert (mismatch.part, mismatch.said) == ("error", "the row has the output 'hello'")


def test_without_an_answer_only_the_request_is_looked_at(tmp_path: Path) -> None:
    assert one(tmp_path, {}, case(None, request={"messages": [{}]})).passed
    (mismatch,) = one(tmp_path, {}, case(None, output="x")).mismatches
    assert mismatch.said == "given.response is missing: without an answer there is no output"


def test_a_request_that_differs_is_told_with_its_path(tmp_path: Path) -> None:
    (mismatch,) = one(tmp_path, {}, case(request={"messages": [{"content": "Say: ha"}]})).mismatches
    assert mismatch.part == "request"
    assert mismatch.parting is not None
    assert mismatch.parting.path == ("messages", 0, "content")
    assert (mismatch.parting.expected, mismatch.parting.got) == ("Say: ha", "Say: hi")


def test_the_row_goes_through_its_transform(tmp_path: Path) -> None:
    spec = {"transforms": {"row": "functions:split"}}
    first = case(row={"text": "one two"}, request={"messages": [{"content": "Say: one"}]})
    dropped = case(None, row={"text": ""}, output=None)
    outcomes, _ = rehearsed(tmp_path, spec, first, dropped)
    assert all(outcome.passed for outcome in outcomes)
    assert outcomes[1].record.status == "filtered"
    (mismatch,) = one(tmp_path, spec, case(row={"text": ""}, request={})).mismatches
    assert mismatch.said == "no request is made"


STEPS = {
    "prompt": None,
    "steps": [
        {"name": "first", "prompt": "1 {{ text }}"},
        {
            "name": "second",
            "prompt": "2 {{ steps.first.output }}",
            "when": "steps.first.output != 'skip'",
        },
    ],
}


@pytest.mark.parametrize(
    "test",
    [
        case({"first": "a", "second": "b"}, output="b"),
        case({"first": "a", "second": "b"}, request={"messages": [{"content": "2 a"}]}),
        case(
            {"first": "a", "second": "b"},
            request={
                "first": {"messages": [{"content": "1 hi"}]},
                "second": {"messages": [{"content": "2 a"}]},
            },
        ),
        case({"first": "skip"}, output="skip", request={"messages": [{"content": "1 hi"}]}),
        case({"first": "a"}, request={"messages": [{"content": "2 a"}]}),
        case(None, request={"messages": [{"content": "1 hi"}]}),
    ],
)
def test_steps_see_the_answers_before_them(tmp_path: Path, test: dict[str, Any]) -> None:
    spec = {key: value for key, value in {**BASE, **STEPS}.items() if value is not None}
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps({**spec, "tests": [test]}))
    loaded = dbrun.load(path, environ={}).spec
    (outcome,) = Rehearsal(loaded, Surroundings(environ={})).run(loaded.tests)
    assert outcome.passed, outcome.mismatches


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (
            case({"first": "a"}, output="b"),
            "given.response has no answer for steps.second",
        ),
        (
            case({"first": "skip"}, request={"second": {"messages": [{}]}}),
            "step 'second' makes no request",
        ),
    ],
)
def test_steps_without_an_answer_or_a_request(
    tmp_path: Path, test: dict[str, Any], said: str
) -> None:
    spec = {key: value for key, value in {**BASE, **STEPS}.items() if value is not None}
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps({**spec, "tests": [test]}))
    loaded = dbrun.load(path, environ={}).spec
    (outcome,) = Rehearsal(loaded, Surroundings(environ={})).run(loaded.tests)
    assert [mismatch.said for mismatch in outcome.mismatches] == [said]


def test_a_matrix_is_tested_in_every_variant_or_in_those_that_are_named(tmp_path: Path) -> None:
    spec = {"matrix": {"prompt": [{"name": "short", "value": "{{ text }}"}, "Say: {{ text }}"]}}
    every = case(output="hello")
    some = case(request={"messages": [{"content": "hi"}]})
    some["given"]["variants"] = ["prompt=short"]
    outcomes, _ = rehearsed(tmp_path, spec, every, some)
    assert [outcome.passed for outcome in outcomes] == [True] * 3
    assert [outcome.variant for outcome in outcomes][2] == "prompt=short"
    assert outcomes[0].variant != outcomes[1].variant


def test_a_wrong_output_that_is_asked_for_again_gets_the_same_answer(tmp_path: Path) -> None:
    spec = {"response_schema": {"schema": {"type": "object"}, "reask": 2}}
    outcome = one(tmp_path, spec, case("[1]", error="invalid_output", request={"messages": [{}]}))
    assert outcome.passed, outcome.mismatches


def test_scores_and_their_judges_are_left_out(tmp_path: Path) -> None:
    spec = {"scores": [{"type": "judge", "endpoint": CHAT, "prompt": "{{ record.output }}?"}]}
    assert one(tmp_path, spec, case(output="hello")).passed


def test_nothing_is_written(tmp_path: Path) -> None:
    assert one(tmp_path, {}, case(output="hello")).passed
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "functions.py",
        "spec.yaml",
    ]
