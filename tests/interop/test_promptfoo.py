"""promptfoo's results: to them and back, and as the tool itself writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from interop.conftest import RECORDS, SOME

from dbrun.interop.lines import merged
from dbrun.interop.promptfoo import Table, cell_of, from_result
from dbrun.run.journals.batch_lines import ForeignLine, read_object
from dbrun.sinks.base import encode_line


@SOME
@given(record=RECORDS)
def test_a_record_comes_back_as_it_was(check: Any, record: dict[str, Any]) -> None:
    said = json.loads(encode_line(Table().place(record)))
    found = merged(from_result(said), check)
    assert found == {"row": {}, **record}
    assert cell_of(said, None).test == "0"


@SOME
@given(record=RECORDS)
def test_what_the_format_itself_tells(check: Any, record: dict[str, Any]) -> None:
    said = Table().place(record)
    said["metadata"] = {}
    found = {**merged(from_result(said), check), "id": record["id"]}
    assert check(found) is None
    if record["status"] == "ok" and record["output"] is not None:
        assert (found["status"], found["output"]) == ("ok", record["output"])
        usage = record.get("usage", {})
        told = {name: usage.get(name, 0) for name in ("input_tokens", "output_tokens")}
        assert {name: found.get("usage", {}).get(name, 0) for name in told} == told
    elif record["status"] == "error":
        error = record["error"]
        assert found["error"]["message"].startswith(error["class"])
    assert found["row"] == record.get("row", {})


def test_rows_are_tests_and_variants_are_prompts() -> None:
    table = Table()
    places = [
        table.place({"id": name, "status": "ok", "output": "x", "variant": variant, **repeat})
        for name, variant, repeat in (
            ("a", "p=1", {"repeat": 1}),
            ("a", "p=1", {"repeat": 2}),
            ("a", "p=2", {"repeat": 1}),
            ("a", "p=2", {"repeat": 2}),
            ("b", "p=1", {"repeat": 1}),
        )
    ]
    assert [(one["testIdx"], one["promptIdx"]) for one in places] == [
        (0, 0),
        (1, 0),
        (0, 1),
        (1, 1),
        (2, 0),
    ]
    assert [one["metrics"]["testPassCount"] for one in table.prompts()] == [3, 2]
    assert table.stats()["successes"] == 5


def test_scores_decide_what_passed() -> None:
    scores = {
        "right": {"value": False, "explanation": "expected 1"},
        "words": {"value": 3},
        "judge": {"value": None, "explanation": "no number"},
    }
    said = Table().place({"id": "a", "status": "ok", "output": "x", "scores": scores})
    assert (said["success"], said["failureReason"], said["score"]) == (False, 1, 1.0)
    assert said["namedScores"] == {"right": 0.0, "words": 3, "judge": 0.0}
    assert [one["pass"] for one in said["gradingResult"]["componentResults"]] == [
        False,
        True,
        False,
    ]
    assert said["error"] == said["gradingResult"]["reason"] == "expected 1; no number"


WRITTEN = list(
    map(read_object, (Path(__file__).parent / "promptfoo.jsonl").read_bytes().splitlines())
)
"""Lines that promptfoo 0.121.20 wrote: two providers, two prompts, a test that fails, an error."""


def test_lines_of_the_tool_itself(check: Any) -> None:
    records = [merged(from_result(said), check) for said in WRITTEN]
    assert [check({**record, "id": "x"}) for record in records] == [None] * len(records)
    ok, unfinished = records[0], records[-1]
    assert ok["output"] == {"text": "Say hello"}
    assert ok["usage"] == {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    assert (ok["finish_reason"], ok["cost"], ok["row"]) == (
        "stop",
        0.001,
        {"word": "hello", "id": "a"},
    )
    assert ok["scores"] == {
        "pass": {
            "value": False,
            "explanation": "Custom function returned false\noutput.length / 10",
        },
        "len": {"value": None},
    }
    assert unfinished["error"] == {
        "class": "rejected",
        "message": "it broke: 500",
        "retryable": False,
    }
    assert {cell_of(said, None).provider for said in WRITTEN} == {"echo", "mine"}
    assert {cell_of(said, None).prompt for said in WRITTEN} == {"Say {{word}}", "Speak {{word}}"}


@pytest.mark.parametrize(
    ("more", "scores"),
    [
        ({"failureReason": 1, "success": False}, {"pass": {"value": False}}),
        (
            {"success": True, "testCase": {"assert": [{"type": "contains", "value": "x"}]}},
            {"pass": {"value": True}},
        ),
        (
            {"failureReason": 1, "success": False, "gradingResult": {"reason": "no x"}, "score": 0},
            {"pass": {"value": False, "explanation": "no x"}, "score": {"value": 0}},
        ),
        ({"success": True, "gradingResult": {"componentResults": []}}, None),
    ],
)
def test_what_failed_has_failed_though_the_grading_was_stripped(
    check: Any, more: dict[str, Any], scores: Any
) -> None:
    said = {"vars": {}, "testIdx": 1, "response": {"output": "x"}, "cost": 0.5, **more}
    record = merged(from_result(said), check)
    assert (record["status"], record.get("scores"), record["cost"]) == ("ok", scores, 0.5)


@pytest.mark.parametrize(
    ("said", "column", "why"),
    [
        ({}, None, "no result of promptfoo"),
        ({"vars": {}}, None, "no testIdx"),
        ({"vars": [], "testIdx": 1}, None, "no vars"),
        ({"vars": {"id": 1}, "testIdx": 1}, "ticket", "no variable 'ticket'"),
    ],
)
def test_what_is_no_result_is_told(said: Any, column: str | None, why: str) -> None:
    with pytest.raises(ForeignLine, match=why):
        cell_of(said, column)


@pytest.mark.parametrize(
    "said",
    [
        {"vars": {}, "testIdx": [1], "provider": 3, "prompt": "x"},
        {"vars": {}, "testIdx": 1, "response": "text", "metadata": [1]},
        {"vars": {}, "testIdx": 1, "response": {"output": "x", "tokenUsage": 3, "cost": "much"}},
        {
            "vars": {},
            "testIdx": 1,
            "response": {"output": "x"},
            "namedScores": {"a": "b", "c": 1e400},
        },
        {"vars": {}, "testIdx": 1, "response": {"output": "x", "cost": -1, "finishReason": {}}},
        {"vars": {}, "testIdx": 1, "error": {"a": ["b"]}, "failureReason": 2},
    ],
)
def test_odd_lines_are_records_all_the_same(check: Any, said: Any) -> None:
    cell = cell_of(said, None)
    record = {**merged(from_result(said), check), "id": cell.named or cell.test}
    assert check(record) is None
