"""One score over all pairs of rows; memory does not grow with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..run.judging.measures import Spread
from .inference import EXTRA, Estimate, exact_mcnemar, has_library, paired_t
from .model import ScoreDelta

Value = float | bool | None

_LACKING = f"no interval without scipy: {EXTRA}"
_ROUNDING = 1e-13
"""Of a number of size 1, the part that may be rounding."""


@dataclass(slots=True)
class Judged:
    """One score as pairs of rows pass by. A row's repeats are averaged first: a row asked a
    thousand times is no thousand rows."""

    old: Spread = field(default_factory=Spread)
    new: Spread = field(default_factory=Spread)
    differences: Spread = field(default_factory=Spread)
    up: int = 0
    down: int = 0
    one_sided: int = 0
    are_boolean: bool = True
    _within: float = 0.0
    _freedom: int = 0

    def add(self, old: Sequence[Value], new: Sequence[Value]) -> None:
        """Take the values that the repeats of one row have on either side; None for failed."""
        before, after = self._row(old), self._row(new)
        if before is None or after is None:
            self.one_sided += before is not after
            return
        self.old.add(before)
        self.new.add(after)
        self.differences.add(after - before)
        self.up += after > before
        self.down += after < before

    def _row(self, values: Sequence[Value]) -> float | None:
        spread = Spread()
        for value in values:
            if value is not None:
                self.are_boolean = self.are_boolean and type(value) is bool
                spread.add(float(value))
        if spread.count > 1:
            self._within += spread.squares
            self._freedom += spread.count - 1
            self.are_boolean = False
        return spread.mean if spread.count else None

    def delta(self, name: str, better: Literal["higher", "lower"], confidence: float) -> ScoreDelta:
        """What the score came to."""
        pairs = self.differences.count
        boolean = self.are_boolean and pairs > 0
        estimate, note = self._estimate(boolean, confidence)
        effect, measure = self._effect(boolean)
        mean = self.differences.mean if math.isfinite(self.differences.mean) else None
        return ScoreDelta(
            name=name,
            better=better,
            kind="boolean" if boolean else "number",
            pairs=pairs,
            old=self.old.mean if pairs and math.isfinite(self.old.mean) else None,
            new=self.new.mean if pairs and math.isfinite(self.new.mean) else None,
            delta=mean if pairs else None,
            interval=estimate.interval if estimate else None,
            p=estimate.p if estimate else None,
            test=("mcnemar" if boolean else "t") if estimate else None,
            effect=effect,
            measure=measure,
            up=self.up,
            down=self.down,
            one_sided=self.one_sided,
            noise=self._noise(),
            verdict=self._verdict(estimate, better),
            note=note,
            lacks_library=note == _LACKING,
        )

    def _noise(self) -> float | None:
        noise = math.sqrt(self._within / self._freedom) if self._freedom else None
        return noise if noise is None or math.isfinite(noise) else None

    def _estimate(self, boolean: bool, confidence: float) -> tuple[Estimate | None, str]:
        pairs, moved = self.differences.count, self.up + self.down
        if pairs == 0:
            return None, "no row has it on both sides"
        if moved == 0:
            return None, "equal on every row"
        if boolean:
            if not has_library():
                return None, _LACKING
            return exact_mcnemar(self.up, self.down, pairs, confidence), ""
        if not math.isfinite(self.differences.mean):
            return None, "the numbers are too large"
        if pairs < 2:
            return None, "one pair of rows tells no interval"
        if not has_library():
            return None, _LACKING
        deviation = self._deviation()
        if not math.isfinite(deviation):
            return None, "the numbers are too large"
        note = "moved by the same amount on every row" if deviation == 0 else ""
        return paired_t(pairs, self.differences.mean, deviation, confidence), note

    def _effect(self, boolean: bool) -> tuple[float | None, Literal["d_z", "g"] | None]:
        """Cohen's g for booleans, d_z for numbers (Cohen 1988, 2.3.5 and 5)."""
        moved = self.up + self.down
        if not moved:
            return None, None
        if boolean:
            return self.up / moved - 0.5, "g"
        deviation = self._deviation()
        if deviation == 0 or not math.isfinite(self.differences.mean / deviation):
            return None, None
        return self.differences.mean / deviation, "d_z"

    def _deviation(self) -> float:
        """The standard deviation of the differences; 0 if it is nothing but rounding."""
        deviation = self.differences.deviation or 0.0
        size = max(abs(self.old.mean), abs(self.new.mean))
        return deviation if deviation > _ROUNDING * size else 0.0

    def _verdict(
        self, estimate: Estimate | None, better: str
    ) -> Literal["better", "worse", "unclear", "same", "unjudged"]:
        if self.differences.count and not self.up + self.down:
            return "same"
        if estimate is None:
            return "unjudged"
        low, high = estimate.interval
        if low <= 0 <= high:
            return "unclear"
        return "better" if (low > 0) == (better == "higher") else "worse"


def values_of(records: Sequence[dict[str, Any]]) -> dict[str, list[Value]]:
    """The values of each score that any of *records* has, one for each record that has it."""
    found: dict[str, list[Value]] = {}
    for record in records:
        scores = record["scores"]
        if type(scores) is dict:
            for name, score in scores.items():
                found.setdefault(name, []).append(value_of(score))
    return found


def value_of(score: Any) -> Value:
    """The number or boolean of a record's *score*; None if it failed."""
    value = score.get("value") if type(score) is dict else None
    if value is None or type(value) is bool:
        return value
    if type(value) is float or type(value) is int:
        try:
            return float(value) if math.isfinite(value) else None
        except OverflowError:
            return None
    return None
