"""What scores come to: means, and how sure they are; memory does not grow with the rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from ...frozen import mutable
from ...types import Json, Score

_DIGITS = 6
_UNANSWERED = "unanswered: "


@mutable
class Spread:
    """Mean and scatter of numbers that come one after another (Welford 1962)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """The sum of squared distances from the mean."""

    def add(self, value: float) -> None:
        """Take one more."""
        self.count += 1
        distance = value - self.mean
        self.mean += distance / self.count
        self.squares += distance * (value - self.mean)

    @property
    def deviation(self) -> float | None:
        """The sample's standard deviation; None for fewer than two."""
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else None


@mutable
class Measure:
    """One score over all records: those it was given to, and those on which it failed.

    *rows* are the means of each row's repeats: how much these scatter tells how sure the mean
    is. *within* is how far repeats of one row are from each other.
    """

    all: Spread = field(default_factory=Spread)
    failed: int = 0
    first_failure: tuple[str, str] | None = None
    _rows: Spread = field(default_factory=Spread)
    _row: str | None = None
    _repeats: Spread = field(default_factory=Spread)
    _within: float = 0.0
    _freedom: int = 0

    def add(self, record_id: str, repeat: int | None, score: Score) -> None:
        """Take the score of one record; the repeats of a row come one after another."""
        if repeat is None or repeat == 1 or record_id != self._row:
            self._end_row()
            self._row = record_id
        if score.value is None:
            self.failed += 1
            if self.first_failure is None:
                self.first_failure = (record_id, score.explanation or "")
            return
        self.all.add(float(score.value))
        self._repeats.add(float(score.value))

    def _end_row(self) -> None:
        repeats = self._repeats
        if repeats.count:
            self._rows.add(repeats.mean)
            self._within += repeats.squares
            self._freedom += repeats.count - 1
            self._repeats = Spread()

    @property
    def mean(self) -> float | None:
        """The mean; None if no record has the score."""
        return self.all.mean if self.all.count else None

    def to_json(self, better: str) -> dict[str, Json]:
        """The measure for the manifest."""
        self._end_row()
        said: dict[str, Json] = {
            "mean": None if self.mean is None else round(self.mean, _DIGITS),
            "count": self.all.count,
            "failed": self.failed,
            "better": better,
        }
        deviation = self._rows.deviation
        if deviation is not None:
            said["error"] = round(deviation / math.sqrt(self._rows.count), _DIGITS)
        if self._freedom:
            said["spread"] = round(math.sqrt(self._within / self._freedom), _DIGITS)
        return said


class Measures:
    """All scores of a run by name."""

    def __init__(self) -> None:
        self.by_name: dict[str, Measure] = {}
        self.unanswered = 0  # judgements of which a replay's journal has no answer

    def add(self, record_id: str, repeat: int | None, scores: Mapping[str, Score]) -> None:
        """Take the scores of one record."""
        for name, score in scores.items():
            measure = self.by_name.get(name)
            if measure is None:
                measure = self.by_name[name] = Measure()
            measure.add(record_id, repeat, score)
            if score.value is None and is_unanswered(score.explanation):
                self.unanswered += 1

    def note_failures(self, record_id: str, scores: Mapping[str, Score]) -> None:
        """Remember the first failure of each score, and how many lack an answer."""
        failed = {name: score for name, score in scores.items() if score.value is None}
        if failed:
            self.add(record_id, None, failed)

    def add_line(self, record: Mapping[str, Any]) -> None:
        """Take the scores of a record that was written before."""
        scores = {name: Score(**score) for name, score in (record.get("scores") or {}).items()}
        self.add(record["id"], record.get("repeat"), scores)

    def first_failures(self) -> tuple[tuple[str, str, str], ...]:
        """Of each score that failed its name, the first record on which it did, and why."""
        return tuple(
            (name, *measure.first_failure)
            for name, measure in self.by_name.items()
            if measure.first_failure is not None
        )

    def to_json(self, better: Mapping[str, str]) -> dict[str, Json]:
        """The measures for the manifest; *better* tells for each score which direction is good."""
        return {
            name: self.by_name.get(name, Measure()).to_json(direction)
            for name, direction in better.items()
        }


def is_unanswered(explanation: Json) -> bool:
    """Whether a score failed because its judge's answer is not in the journal of a replay."""
    return isinstance(explanation, str) and explanation.startswith(_UNANSWERED)
