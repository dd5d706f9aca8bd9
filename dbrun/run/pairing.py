"""Pairing two sequences of records by key, in one pass and with little memory.

Both are read in step. What has not found its partner waits; so memory grows with how far
records were moved, added or removed, not with how many there are. Where it must not even grow
with that, those who wait do so on disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Generic, Protocol, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Pair(Generic[Value]):
    """The values of one *key* on either side; None where a side has none."""

    key: Hashable
    left: Value | None
    right: Value | None


class Waiting(Protocol[Value]):
    """Where the values of one side wait for their partners."""

    def put(self, key: Hashable, value: Value) -> None:
        """Have *value* wait."""

    def take(self, key: Hashable) -> Value | None:
        """The value of *key* that has waited longest, which waits no more; None if none does."""

    def rest(self) -> Iterator[tuple[Hashable, Value]]:
        """Everything that still waits."""


def pairs(
    left: Iterable[tuple[Hashable, Value]],
    right: Iterable[tuple[Hashable, Value]],
    waiting: Callable[[], Waiting[Value]] | None = None,
) -> Iterator[Pair[Value]]:
    """Every value of both sides once; values of equal keys are paired in their order.

    *waiting* makes a place where values wait: memory, unless given.
    """
    make = waiting or InMemory
    here, there = make(), make()
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


class InMemory(Generic[Value]):
    """Values of one side that have no partner yet, held in memory."""

    def __init__(self) -> None:
        self._by_key: dict[Hashable, deque[Value]] = {}

    def put(self, key: Hashable, value: Value) -> None:
        """Have *value* wait."""
        self._by_key.setdefault(key, deque()).append(value)

    def take(self, key: Hashable) -> Value | None:
        """The value of *key* that has waited longest."""
        queue = self._by_key.get(key)
        if queue is None:
            return None
        value = queue.popleft()
        if not queue:
            del self._by_key[key]
        return value

    def rest(self) -> Iterator[tuple[Hashable, Value]]:
        """Everything that still waits."""
        for key, queue in self._by_key.items():
            for value in queue:
                yield key, value
