"""Pairing two sequences of records by key, in one pass and with little memory.

Both are read in step. What has not found its partner waits; so memory grows with how far
records were moved, added or removed, not with how many there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Pair(Generic[Value]):
    """The values of one *key* on either side; None where a side has none."""

    key: Hashable
    left: Value | None
    right: Value | None


def pairs(
    left: Iterable[tuple[Hashable, Value]], right: Iterable[tuple[Hashable, Value]]
) -> Iterator[Pair[Value]]:
    """Every value of both sides once; values of equal keys are paired in their order."""
    here: _Waiting[Value] = _Waiting()
    there: _Waiting[Value] = _Waiting()
    for one, other in zip_longest(left, right):
        if one is not None:
            key, value = one
            partner = there.take(key)
            if partner is not None:
                yield Pair(key, value, partner)
            else:
                here.put(key, value)
        if other is not None:
            key, value = other
            partner = here.take(key)
            if partner is not None:
                yield Pair(key, partner, value)
            else:
                there.put(key, value)
    for key, value in here.rest():
        yield Pair(key, value, None)
    for key, value in there.rest():
        yield Pair(key, None, value)


class _Waiting(Generic[Value]):
    """Values of one side that have no partner yet."""

    def __init__(self) -> None:
        self._by_key: dict[Hashable, deque[Value]] = {}

    def put(self, key: Hashable, value: Value) -> None:
        self._by_key.setdefault(key, deque()).append(value)

    def take(self, key: Hashable) -> Value | None:
        queue = self._by_key.get(key)
        if queue is None:
            return None
        value = queue.popleft()
        if not queue:
            del self._by_key[key]
        return value

    def rest(self) -> Iterator[tuple[Hashable, Value]]:
        for key, queue in self._by_key.items():
            for value in queue:
                yield key, value
