"""What came out, counted record by record; memory does not grow with the rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from ...types import Failure, Json, Record, UsageSum
from ..asking.counters import quantile
from .measures import Measures

MOST_FAILURES = 5
"""How many failures are told of at the end, each for all that are alike."""

_MOST_LATENCIES = 10_000
_MOST_KINDS = 200  # of failures that are counted apart; more would only cost memory
_VARYING = r"\b[0-9a-fA-F][0-9a-fA-F-]{7,}\b|\d+|(?<=; found )\".*"


class Tally:
    """Counts of records by status and error class, of cut answers, with tokens and scores."""

    def __init__(self) -> None:
        self.rows = 0
        self.by_status: Counter[str] = Counter()
        self.by_error: Counter[str] = Counter()
        self.truncated = 0
        self.usage = UsageSum()
        self.cost = 0.0
        self.first_failures: list[tuple[str, str, str]] = []
        self.alike: Counter[str] = Counter()
        """Failures by what is the matter, as `likeness` tells it."""
        self.measures = Measures()
        self.latencies: list[float] = []
        self.by_variant: dict[str, Tally] = {}
        """What came of each variant of a matrix."""

    def add(self, record: Record) -> None:
        """Count *record*."""
        self.rows += 1
        self.by_status[record.status] += 1
        if record.last is not None and record.last.finish_reason == "length":
            self.truncated += 1
        if (usage := record.usage) is not None:
            self.usage.add(usage)
            self.cost += record.cost or 0.0
        if record.variant is not None:
            self._add_to_variant(record)
        elif record.scores is not None:
            self.measures.add(record.id, record.repeat, record.scores)
        failure = record.failure
        if failure is not None:
            self.by_error[failure.kind] += 1
            self._add_failure(record.id, failure)

    def _add_failure(self, row: str, failure: Failure) -> None:
        message = failure.message
        if failure.where and failure.where not in message:
            message = f"{failure.where}: {message}"
        like = likeness(failure.kind, message)
        if like in self.alike:
            self.alike[like] += 1
            return
        if len(self.alike) < _MOST_KINDS:
            self.alike[like] = 1
        if len(self.first_failures) < MOST_FAILURES:
            self.first_failures.append((row, failure.kind, message))

    def counts_alike(self) -> tuple[int, ...]:
        """For each of the first failures, how many rows failed like it, itself included."""
        return tuple(self.alike[likeness(*failure[1:])] for failure in self.first_failures)

    def _add_to_variant(self, record: Record) -> None:
        own = self.by_variant.get(record.variant or "")
        if own is None:
            own = self.by_variant[record.variant or ""] = Tally()
        own.add_own(record)
        if record.scores is not None:
            # Over all variants only failures mean anything.
            self.measures.note_failures(record.id, record.scores)

    def add_own(self, record: Record) -> None:
        """Count *record* in the tally of its own variant."""
        self.rows += 1
        self.by_status[record.status] += 1
        self.truncated += record.last is not None and record.last.finish_reason == "length"
        if (usage := record.usage) is not None:
            self.usage.add(usage)
            self.cost += record.cost or 0.0
        timing = record.timing
        if timing is not None and not timing.reused and len(self.latencies) < _MOST_LATENCIES:
            self.latencies.append(timing.latency)
        if record.scores is not None:
            self.measures.add(record.id, record.repeat, record.scores)
        if record.failure is not None:
            self.by_error[record.failure.kind] += 1

    def latency(self, percent: int) -> float | None:
        """The seconds within which so many of 100 records of a variant were answered; None if
        none was sent."""
        return quantile(sorted(self.latencies), percent)

    @property
    def ok(self) -> int:
        """Records with an output."""
        return self.by_status["ok"]

    @property
    def errors(self) -> int:
        """Records that failed."""
        return self.by_status["error"]

    @property
    def filtered(self) -> int:
        """Records of rows that were dropped or whose steps were all skipped."""
        return self.by_status["filtered"]

    def counts(self) -> dict[str, Json]:
        """The counts for the manifest: `rows` = `ok` + `error` + `filtered`."""
        return {
            "rows": self.rows,
            "ok": self.ok,
            "error": self.errors,
            "filtered": self.filtered,
            "truncated": self.truncated,
            "errors": dict(sorted(self.by_error.items())),
        }


def likeness(kind: str, message: str) -> str:
    """What failures have in common that differ in numbers, such as the id of their request,
    or in what was found in place of JSON."""
    return f"{kind}: {re.sub(_VARYING, '#', message)}"


def first_of_each(failures: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """The first `MOST_FAILURES` of *failures* no two of which are alike."""
    found: dict[str, tuple[str, str, str]] = {}
    for failure in failures:
        found.setdefault(likeness(*failure[1:]), failure)
    return list(found.values())[:MOST_FAILURES]
