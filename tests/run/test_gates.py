"""Whether a run's gates are met."""

from __future__ import annotations

import pytest

from dbrun.run.gates import verdicts
from dbrun.run.tally import Tally
from dbrun.spec.model import Gate
from dbrun.types import Failure, Record, StepResult


def tally_of(ok: int = 0, error: int = 0, filtered: int = 0, truncated: int = 0) -> Tally:
    tally = Tally()
    for status, count in (("ok", ok), ("error", error), ("filtered", filtered)):
        for number in range(count):
            cut = status == "ok" and number < truncated
            tally.add(
                Record(
                    id=str(number),
                    index=number,
                    status=status,
                    row={},
                    failure=Failure(kind="rejected", message="no") if status == "error" else None,
                    last=StepResult(output="x", finish_reason="length" if cut else "stop"),
                )
            )
    return tally


def met(gates: dict[str, Gate], **counts: int) -> list[tuple[str, bool]]:
    return [(verdict.name, verdict.met) for verdict in verdicts(gates, tally_of(**counts))]


def test_by_default_no_row_may_fail() -> None:
    assert met({}, ok=3) == [("success", True)]
    assert met({}, ok=999, error=1) == [("success", False)]
    assert met({}) == [("success", True)]  # no rows, no failure


def test_filtered_rows_have_not_failed() -> None:
    assert met({}, ok=1, filtered=5) == [("success", True)]


@pytest.mark.parametrize(
    ("gate", "counts", "wanted"),
    [
        ({"success": Gate(min=0.9)}, {"ok": 9, "error": 1}, True),
        ({"success": Gate(min=0.9)}, {"ok": 8, "error": 1}, False),
        ({"rows": Gate(min=1)}, {}, False),
        ({"rows": Gate(min=1, max=2)}, {"ok": 2}, True),
        ({"truncated": Gate(max=0.1)}, {"ok": 10, "truncated": 1}, True),
        ({"truncated": Gate(max=0.1)}, {"ok": 10, "truncated": 2}, False),
    ],
)
def test_bounds(gate: dict[str, Gate], counts: dict[str, int], wanted: bool) -> None:
    name = next(iter(gate))
    assert all(was for gate_name, was in met(gate, **counts) if gate_name == name) is wanted


def test_a_warning_only_says_so() -> None:
    found = verdicts({"success": Gate(min=0.5, warn=1)}, tally_of(ok=9, error=1))
    assert [(verdict.met, verdict.warn) for verdict in found] == [(True, False), (False, True)]
    assert found[1].wanted == "at least 1"
