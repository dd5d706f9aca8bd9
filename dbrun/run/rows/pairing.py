"""Pairing two sequences of records by key, in one pass and with little memory.

Both are read in step. What has not found its partner waits; so memory grows with how far
records were moved, added or removed, not with how many there are. Where it must not even grow
with that, they go elsewhere once too many wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Generic, Protocol, TypeAlias, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Pair(Generic[Value]):
    """The values of one *key* on either side; None where a side has none."""

    key: Hashable
    left: Value | None
    right: Value | None


Keyed: TypeAlias = "tuple[Hashable, Value]"


class Spill(Protocol[Value]):
    """Who takes over when more than *most* values of both sides wait."""

    most: int

    def pairs(
        self,
        left: Iterable[Keyed[Value]],
        right: Iterable[Keyed[Value]],
        more: Iterable[tuple[Keyed[Value] | None, Keyed[Value] | None]],
    ) -> Iterator[Pair[Value]]:
        """The pairs of those who wait on either side and of all who come after them."""


def pairs(
    left: Iterable[Keyed[Value]],
    right: Iterable[Keyed[Value]],
    spill: Spill[Value] | None = None,
) -> Iterator[Pair[Value]]:
    """Every value of both sides once; values of equal keys are paired in their order.

    All wait in memory, unless there is a *spill*.
    """
    here: _Waiting[Value] = _Waiting()
    there: _Waiting[Value] = _Waiting()
    both = zip_longest(left, right)
    for one, other in both:
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
        if spill is not None and here.count + there.count > spill.most:
            yield from spill.pairs(here.rest(), there.rest(), both)
            return
    for key, value in here.rest():
        yield Pair(key, value, None)
    for key, value in there.rest():
        yield Pair(key, None, value)


class _Waiting(Generic[Value]):
    """Values of one side that have no partner yet."""

    def __init__(self) -> None:
        self.count = 0
        self._by_key: dict[Hashable, deque[Value]] = {}

    def put(self, key: Hashable, value: Value) -> None:
        self.count += 1
        self._by_key.setdefault(key, deque()).append(value)

    def take(self, key: Hashable) -> Value | None:
        """The value of *key* that has waited longest, which waits no more; None if none does."""
        queue = self._by_key.get(key)
        if queue is None:
            return None
        self.count -= 1
        value = queue.popleft()
        if not queue:
            del self._by_key[key]
        return value

    def rest(self) -> Iterator[Keyed[Value]]:
        """Everything that still waits."""
        for key, queue in self._by_key.items():
            for value in queue:
                yield key, value
