"""What a line of results must be."""

from __future__ import annotations

from typing import Any

import pytest

from dbrun.run.offline.agreement import wrong_with

GOOD: dict[str, Any] = {"id": "T", "status": "ok", "output": "x"}
ERROR: dict[str, Any] = {"class": "render", "message": "no", "retryable": False}


@pytest.mark.parametrize(
    "record",
    [
        GOOD,
        {**GOOD, "output": None},
        {**GOOD, "finish_reason": "length"},
        {**GOOD, "status": "error", "output": None, "error": ERROR},
        {**GOOD, "status": "error", "output": None},
        {**GOOD, "status": "filtered", "output": None},
    ],
)
def test_records(record: dict[str, Any]) -> None:
    assert wrong_with(record) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": 7}, "it has no id"),
        ({"status": "OK"}, "its status is 'OK'"),
        ({"status": "error"}, "it has an output although its status is 'error'"),
        ({"status": "error", "output": None, "error": "no"}, "its error is not"),
        ({"error": ERROR}, "its error is not"),
        ({"finish_reason": "done"}, "its finish_reason is 'done'"),
    ],
)
def test_what_is_no_record(change: dict[str, Any], said: str) -> None:
    wrong = wrong_with({**GOOD, **change})
    assert wrong is not None
    assert wrong.startswith(said)


def test_a_record_without_output_is_none() -> None:
    assert wrong_with({"id": "T", "status": "ok"}) == "it has no output"
