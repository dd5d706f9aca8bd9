"""What parts of a run counted, brought together."""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

from dbrun.run.asking.asker import Asker
from dbrun.run.asking.counters import Counters
from dbrun.run.judging.tally import Tally
from dbrun.run.keeping.reports import (
    PartTally,
    Remote,
    add_counters,
    joined_tally,
    latest,
    report_of,
)
from dbrun.types import Failure, Record, StepResult, Usage


def record(index: int, message: str | None = None) -> Record:
    failure = Failure(kind="rejected", message=message) if message else None
    last = StepResult(output="x", finish_reason="length", usage=Usage(input_tokens=2), cost=0.5)
    return Record(
        id=f"r{index}",
        index=index,
        status="error" if message else "ok",
        row={},
        failure=failure,
        last=None if message else last,
    )


RECORDS = [
    record(0),
    record(1, "no such colour"),
    record(2),
    record(3, "too loud"),
    record(4, "no such colour"),
]


def asker(**limiter: Any) -> Asker:
    usual = {"history": [(0.0, 4, "start")], "waited": 0.0, "held_for": 0.0, "limit": 4}
    about = SimpleNamespace(**{**usual, "in_flight": 1, **limiter})
    return cast(Asker, SimpleNamespace(limiter=about, models=Counter(m=2), reused=Counter()))


def part(*numbers: int, counters: Counters | None = None) -> dict[str, Any]:
    """The report of a part that had these records, as it travels."""
    tally = PartTally()
    for number in numbers:
        tally.add(RECORDS[number])
    report = report_of(tally, counters or Counters(), [asker()])
    return dict(json.loads(json.dumps(report)))


def test_parts_together_count_what_one_would() -> None:
    whole = Tally()
    for one in RECORDS:
        whole.add(one)
    joined = joined_tally([part(3, 4), part(0, 1, 2)])
    assert joined.counts() == whole.counts()
    assert joined.usage.to_json() == whole.usage.to_json()
    assert joined.cost == whole.cost
    # Of those that are alike the first in the order of the source is told.
    assert joined.first_failures == whole.first_failures
    assert joined.counts_alike() == whole.counts_alike() == (2, 1)


def test_counters_add_up() -> None:
    counters = Counters()
    counters.count_sent(200)
    counters.reused += 1
    counters.count_answer(0.25, Usage(output_tokens=7), 0.5)
    whole = Counters()
    add_counters(whole, [part(0, counters=counters), part(2, counters=counters)])
    assert (whole.sent, whole.reused, whole.cost) == (2, 2, 1.0)
    assert whole.by_status == {"200": 2}
    assert whole.spent.to_json() == {"output_tokens": 14}
    assert whole.latencies == [0.25, 0.25]


def test_limits_are_those_of_the_parts_at_work() -> None:
    reports = [
        {"endpoints": [{"in_flight": 3, "limit": 4, "held_for": 1.5}]},
        {"endpoints": [{"in_flight": 2, "limit": 8, "held_for": 0.5}]},
        {"endpoints": [{"in_flight": 9, "limit": 9, "held_for": 9.0}], "over": True},
    ]
    remote = Remote(reports)
    assert (remote.in_flight, remote.limit, remote.held_for) == (5, 12, 1.5)
    assert Remote([]).held_for == 0.0


def test_of_two_workers_at_a_part_the_further_one_counts() -> None:
    def live(round: int, part: int, rows: int) -> dict[str, Any]:
        return {"round": round, "part": part, "tally": {"rows": rows}}

    found = latest([live(0, 0, 5), live(0, 0, 3), live(1, 0, 1), live(0, 1, 2), live(0, 1, 4)])
    assert found == [live(0, 0, 5), live(1, 0, 1), live(0, 1, 4)]
