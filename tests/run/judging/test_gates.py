"""Whether a run's gates are met."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from dbrun.errors import TooManyFailures
from dbrun.run.judging.gates import check_failures, verdicts
from dbrun.run.judging.tally import Tally
from dbrun.run.result import Verdict
from dbrun.spec.model import Gate
from dbrun.types import Failure, Record, Score, StepResult, Usage


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


def scored(*values: float | None, errors: int = 0) -> Tally:
    """What came of records with a score `good`, and of some that failed."""
    tally = tally_of(error=errors)
    for number, value in enumerate(values):
        scores = {"good": Score(value=value, explanation="why")}
        row = Record(id=f"s{number}", index=number, status="ok", row={}, scores=scores)
        tally.add(row)
    return tally


@pytest.mark.parametrize(
    ("gate", "values", "better", "wanted"),
    [
        (Gate(min=0.5), [1, 0], "higher", [(True, 0.0, "")]),
        (Gate(min=0.75), [1, 0], "higher", [(False, 0.25, "")]),
        (Gate(max=0.25), [1, 0], "lower", [(False, 0.25, "")]),
        (Gate(warn=0.75), [1, 0], "higher", [(False, 0.25, "")]),
        (Gate(warn=0.25), [1, 0], "lower", [(False, 0.25, "")]),
        (Gate(min=0.1, max=0.6), [1, 0], "higher", [(True, 0.0, ""), (True, 0.0, "")]),
        (Gate(min=0.1), [1, None], "higher", [(False, 0.0, "failed on 1 of 2 records")]),
        (Gate(max=5), [None], "lower", [(False, 0.0, "failed on 1 of 1 records")]),
        (Gate(min=0.5), [], "higher", [(True, 0.0, "no record was judged")]),
    ],
)
def test_gates_on_means(gate: Gate, values: list[Any], better: str, wanted: Any) -> None:
    found = verdicts({"good": gate}, scored(*values), better={"good": better})
    told = [(one.met, round(one.by, 9), one.note) for one in found if one.name == "good"]
    assert told == wanted


def test_a_gate_on_a_score_of_rows_that_failed_is_not_met() -> None:
    (_, found) = verdicts({"good": Gate(min=0.5)}, scored(errors=2), better={"good": "higher"})
    assert (found.met, found.value, found.note) == (False, None, "no record was judged")


def test_a_gate_on_nothing_is_never_met() -> None:
    (_, found) = verdicts({"goood": Gate(max=9)}, scored(1), better={"good": "higher"})
    assert (found.met, found.note) == (False, "there is no such score")


def test_latency_is_that_of_the_calls_that_were_made() -> None:
    gates = {"latency_p90": Gate(max=2), "latency_p50": Gate(max=2)}
    found = verdicts(gates, scored(), latency={90: 3.0, 50: 1.0}.get)
    assert [(one.name, one.met, one.by) for one in found[1:]] == [
        ("latency_p90", False, 1.0),
        ("latency_p50", True, 0.0),
    ]
    unsent = verdicts(gates, scored(), latency=lambda percent: None)
    assert all(verdict.met for verdict in unsent)


def test_cost_is_that_of_the_answers() -> None:
    tally = Tally()
    last = StepResult(output="x", usage=Usage(total_tokens=1), cost=0.75)
    for number in range(2):
        tally.add(Record(id=str(number), index=number, status="ok", row={}, last=last))
    assert met_of(verdicts({"cost": Gate(max=1.5)}, tally)) == [True, True]
    assert met_of(verdicts({"cost": Gate(max=1)}, tally)) == [True, False]


def met_of(found: tuple[Verdict, ...]) -> list[bool]:
    return [verdict.met for verdict in found]


def test_a_warning_alone_lies_on_the_side_that_the_gate_guards() -> None:
    found = verdicts({"truncated": Gate(warn=0.1)}, tally_of(ok=10, truncated=5))
    assert [(one.wanted, one.met) for one in found[1:]] == [("at most 0.1", False)]


@pytest.mark.parametrize(
    ("allowed", "counts", "is_too_much"),
    [
        (None, {"error": 999}, False),
        (0, {"ok": 5}, False),
        (0, {"ok": 5, "error": 1}, True),
        (3, {"error": 3}, False),
        (3, {"error": 4}, True),
        (0.1, {"ok": 10, "error": 20}, False),  # a ratio of so few rows means nothing
        (0.1, {"ok": 45, "error": 5}, False),
        (0.1, {"ok": 44, "error": 6}, True),
    ],
)
def test_too_many_failures(
    allowed: float | None, counts: dict[str, int], is_too_much: bool
) -> None:
    limits = SimpleNamespace(max_failures=allowed)
    spec: Any = SimpleNamespace(limits=limits)
    with pytest.raises(TooManyFailures) if is_too_much else nullcontext():
        check_failures(spec, tally_of(**counts))
