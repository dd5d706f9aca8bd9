"""What a part of a run counted, as data that travels: to a file, to another machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...types import Json, Record, Usage
from ..asking.asker import Asker
from ..asking.counters import Counters
from ..judging.tally import Tally, first_of_each
from .recording import limit_history

_COUNTED = ("sent", "reused", "replies", "retried", "waited", "maybe_paid")


class PartTally(Tally):
    """A tally that knows the places of its first failures, so that parts can be joined."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[int] = []

    def add(self, record: Record) -> None:
        """Count *record*."""
        before = len(self.first_failures)
        super().add(record)
        if len(self.first_failures) > before:
            self.places.append(record.index)


def report_of(tally: PartTally, counters: Counters, askers: Sequence[Asker]) -> dict[str, Json]:
    """All that was counted so far, as JSON."""
    return {
        "tally": {
            "rows": tally.rows,
            "by_status": dict(tally.by_status),
            "by_error": dict(tally.by_error),
            "truncated": tally.truncated,
            "usage": tally.usage.to_json(),
            "cost": tally.cost,
            "alike": dict(tally.alike),
            "failures": [
                [place, *failure]
                for place, failure in zip(tally.places, tally.first_failures, strict=False)
            ],
        },
        "counters": {
            **{name: getattr(counters, name) for name in _COUNTED},
            "by_status": dict(counters.by_status),
            "spent": counters.spent.to_json(),
            "cost": counters.cost,
            "latencies": list(counters.latencies),
        },
        "endpoints": [
            {
                "models": dict(+asker.models),
                "reused": dict(+asker.reused),
                "history": [list(change) for change in asker.limiter.history],
                "waited": asker.limiter.waited,
                "held_for": asker.limiter.held_for,
                "limit": asker.limiter.limit,
                "in_flight": asker.limiter.in_flight,
            }
            for asker in askers
        ],
    }


def joined_tally(reports: Iterable[Mapping[str, Any]]) -> Tally:
    """What all parts counted of their records."""
    whole = Tally()
    failures: list[tuple[int, str, str, str]] = []
    for report in reports:
        part = report["tally"]
        whole.rows += part["rows"]
        whole.by_status += Counter(part["by_status"])
        whole.by_error += Counter(part["by_error"])
        whole.truncated += part["truncated"]
        whole.usage.add(Usage(**part["usage"]))
        whole.cost += part["cost"]
        whole.alike += Counter(part["alike"])
        failures += [tuple(failure) for failure in part["failures"]]
    whole.first_failures = first_of_each(failure[1:] for failure in sorted(failures))
    return whole


def add_counters(whole: Counters, reports: Iterable[Mapping[str, Any]]) -> None:
    """Add to *whole* what all parts counted of their requests."""
    for report in reports:
        part = report["counters"]
        for name in _COUNTED:
            setattr(whole, name, getattr(whole, name) + part[name])
        whole.by_status += Counter(part["by_status"])
        whole.spent.add(Usage(**part["spent"]))
        whole.cost += part["cost"]
        whole.latencies += part["latencies"]


def take_in_endpoints(askers: Sequence[Asker], reports: Sequence[Mapping[str, Any]]) -> list[Json]:
    """Have *askers* know the models that answered; how limits moved in each part."""
    told: list[Json] = []
    for number, asker in enumerate(askers):
        own = [report["endpoints"][number] for report in reports]
        for endpoint in own:
            asker.models.update(endpoint["models"])
            asker.reused.update(endpoint["reused"])
        (named,) = limit_history([asker])
        told += [{**named, "history": endpoint["history"]} for endpoint in own]
    return told


class Remote:
    """The limits of all partitions, as far as progress is concerned; both asker and limiter."""

    due: tuple[float, str] | None = None

    def __init__(self, reports: Sequence[Mapping[str, Any]]) -> None:
        at_work = [
            endpoint
            for report in reports
            if not report.get("over")
            for endpoint in report["endpoints"]
        ]
        self.limiter = self
        self.in_flight = sum(endpoint["in_flight"] for endpoint in at_work)
        self.limit = sum(endpoint["limit"] for endpoint in at_work)
        self.held_for = max((endpoint["held_for"] for endpoint in at_work), default=0.0)


def latest(reports: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of every part the report that tells most: more than one worker may have been at it."""
    best: dict[tuple[int, int], Mapping[str, Any]] = {}
    for report in reports:
        part = (report["round"], report["part"])
        if part not in best or best[part]["tally"]["rows"] <= report["tally"]["rows"]:
            best[part] = report
    return list(best.values())
