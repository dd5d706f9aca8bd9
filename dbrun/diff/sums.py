"""What the records of one side and variant come to: tokens and cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ..report.html.sides import is_number
from .reading import Unit

_TOKENS = ("input_tokens", "output_tokens")
SUMMED = (*_TOKENS, "cost")
"""What is summed up, by the names of `Total`."""


@dataclass(slots=True)
class Sums:
    """Sums over *records*; *torn* are rows whose first repeats stand elsewhere in the file."""

    records: int = 0
    torn: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, unit: Unit) -> None:
        """Take the records of one row."""
        self.records += len(unit)
        self.torn += (unit[0]["repeat"] or 1) != 1
        for record in unit:
            usage = record["usage"]
            if type(usage) is dict:
                for name in _TOKENS:
                    if name in usage:
                        self._add(name, usage[name])
            if record["cost"] is not None:
                self._add("cost", record["cost"])

    def total(self, name: str) -> float | None:
        """The sum; None if no record tells it."""
        return self.sums.get(name)

    def mean(self, name: str) -> float | None:
        """The mean over the records that tell it."""
        count = self.counts[name]
        return self.sums[name] / count if count else None

    def _add(self, name: str, value: Any) -> None:
        if is_number(value):
            self.sums[name] = self.sums.get(name, 0) + value
            self.counts[name] += 1
