"""Records made fit for a page: of bounded size, exact in JavaScript."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ...registry import Registry
from .. import reading

LONGEST_TEXT = 20_000
"""Characters of a text that a page shows."""

_MOST_ITEMS = 500
_DEEPEST = 50
_EXACT = 1 << 53
"""From here on JavaScript's numbers leave out integers (ECMAScript, `Number.MAX_SAFE_INTEGER`)."""


def records(path: str, registry: Registry) -> Iterator[dict[str, Any]]:
    """The records at *path* as a page holds them. Raises what `reading.records` does."""
    for record in reading.records(path, registry):
        yield clipped(record)


def clipped(value: Any, depth: int = 0) -> Any:
    """*value* as JSON that a page can hold: long texts and lists are cut, with a word on it."""
    if isinstance(value, str):
        if len(value) <= LONGEST_TEXT:
            return value
        return f"{value[:LONGEST_TEXT]}… ({len(value) - LONGEST_TEXT:,} more characters)"
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -_EXACT < value < _EXACT else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {str(name): clipped(inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        kept = [clipped(inner, depth + 1) for inner in value[:_MOST_ITEMS]]
        more = len(value) - len(kept)
        return [*kept, f"… ({more:,} more)"] if more else kept
    return str(value)
