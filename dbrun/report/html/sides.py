"""What is set side by side: each variant of each results file, with what its records come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard


@dataclass(slots=True)
class Side:
    """One variant of one results file, counted as its records pass by."""

    file: int
    variant: str | None
    label: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    sums: dict[str, list[float]] = field(default_factory=dict)
    cost: float | None = None

    def count(self, record: Mapping[str, Any]) -> None:
        """Take *record* into account."""
        self.counts["rows"] += 1
        self.counts[record["status"]] += 1
        if record.get("finish_reason") == "length":
            self.counts["truncated"] += 1
        if isinstance(error := record.get("error"), Mapping):
            self.errors[str(error.get("class"))] += 1
        for name, tokens in mapping(record.get("usage")).items():
            if is_number(tokens):
                self.tokens[str(name)] += int(tokens)
        if is_number(cost := record.get("cost")):
            self.cost = (self.cost or 0.0) + cost
        for name, score in mapping(record.get("scores")).items():
            self._judge(str(name), mapping(score).get("value"))

    def _judge(self, name: str, value: Any) -> None:
        judged = self.sums.setdefault(name, [0.0, 0.0, 0.0])
        if is_number(value) or isinstance(value, bool):
            judged[0] += float(value)
            judged[1] += 1
        else:
            judged[2] += 1

    def scores(self) -> dict[str, dict[str, Any]]:
        """Mean and count of each score, as a manifest has them."""
        return {
            name: {
                "mean": total / count if count else None,
                "count": int(count),
                "failed": int(bad),
            }
            for name, (total, count, bad) in self.sums.items()
        }


def mapping(value: Any) -> Mapping[str, Any]:
    """*value* if it is a mapping, else an empty one: manifests of other versions are read, too."""
    return value if isinstance(value, Mapping) else {}


def is_number(value: Any) -> TypeGuard[float]:
    """Whether *value* is a number (booleans are none)."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
