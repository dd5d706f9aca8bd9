"""Where each key's newest line is, in some thirty bytes a key.

A hash table of 32-bit slots points into three parallel arrays: the first 64 bits of the key,
the place (which file, which offset) and the extent (which generation, how many bytes). Keys are
digests, so their own bits are the hash. Two keys may share their first 64 bits: whoever reads
the line compares the whole key, and `add` asks its caller to.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

_OFFSET_BITS = 44
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1
_SIZE_BITS = 32
_SIZE_MASK = (1 << _SIZE_BITS) - 1
_FIRST_SLOTS = 1 << 10
_BUCKETS = 256

Line = tuple[int, int, int, bytes, int]
"""A whole line in a file: offset, size, first 64 bits of the key, key, generation."""


class Spot(NamedTuple):
    """One line: its index entry, the first 64 bits of its key, its place and its generation."""

    number: int
    prefix: int
    file: int
    offset: int
    size: int
    generation: int


GivesWay = Callable[[Spot, bytes, int, int], "bool | None"]
"""Given an old spot, and key, generation and file of a new line: None if the old line is of
another key, else whether the new one takes its place."""


class Index:
    """Not safe for threads by itself: the store holds its lock around every call."""

    __slots__ = ("_dead", "_extents", "_places", "_prefixes", "_slots", "newest")

    def __init__(self) -> None:
        self._prefixes = array("Q")
        self._places = array("Q")
        self._extents = array("Q")  # 0: the line was found damaged, or dropped
        self._slots = array("I", bytes(4 * _FIRST_SLOTS))  # entry number + 1; 0: free
        self._dead = 0
        self.newest = 0  # the newest generation there is a line of

    def __len__(self) -> int:
        return len(self._prefixes) - self._dead

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the arrays' contents take."""
        arrays = (self._prefixes, self._places, self._extents, self._slots)
        return sum(len(part) * part.itemsize for part in arrays)

    def find(self, prefix: int) -> list[Spot]:
        """The lines of all keys that begin with *prefix*: none or one, but for a rare chance."""
        slots, prefixes = self._slots, self._prefixes
        mask = len(slots) - 1
        at = prefix & mask
        found = []
        while number := slots[at]:
            if prefixes[number - 1] == prefix and self._extents[number - 1]:
                found.append(self.spot(number - 1))
            at = (at + 1) & mask
        return found

    def spot(self, number: int) -> Spot:
        """The line of entry *number*."""
        place, extent = self._places[number], self._extents[number]
        return Spot(
            number,
            self._prefixes[number],
            place >> _OFFSET_BITS,
            place & _OFFSET_MASK,
            extent & _SIZE_MASK,
            extent >> _SIZE_BITS,
        )

    def add(self, file: int, lines: Iterable[Line], gives_way: GivesWay) -> None:
        """Take in lines of *file*, in their order, each unless there is a newer one of its key.

        *gives_way* tells which of two lines that share the first bits of their keys to keep.
        """
        slots, prefixes, extents = self._slots, self._prefixes, self._extents
        add_prefix, add_place, add_extent = prefixes.append, self._places.append, extents.append
        first_place = file << _OFFSET_BITS
        mask = len(slots) - 1
        for offset, size, prefix, key, generation in lines:
            if generation > self.newest:
                self.newest = generation
            at = prefix & mask
            while number := slots[at]:
                if prefixes[number - 1] == prefix and extents[number - 1]:
                    decision = gives_way(self.spot(number - 1), key, generation, file)
                    if decision is not None:
                        if decision:
                            self._places[number - 1] = first_place | offset
                            extents[number - 1] = generation << _SIZE_BITS | size
                        break
                at = (at + 1) & mask
            else:
                add_place(first_place | offset)
                add_extent(generation << _SIZE_BITS | size)
                add_prefix(prefix)
                slots[at] = len(prefixes)
                if 3 * len(prefixes) > 2 * mask:
                    slots = self._grow()
                    mask = len(slots) - 1

    def move(self, spot: Spot, file: int, offset: int, size: int) -> None:
        """The line of *spot* now lies elsewhere too; nothing if the entry changed meanwhile."""
        if self._is_at(spot):
            self._places[spot.number] = file << _OFFSET_BITS | offset
            self._extents[spot.number] = spot.generation << _SIZE_BITS | size

    def drop(self, spot: Spot) -> bool:
        """Forget the line of *spot*; False if the entry changed meanwhile."""
        if not self._is_at(spot):
            return False
        self._extents[spot.number] = 0
        self._dead += 1
        return True

    def _is_at(self, spot: Spot) -> bool:
        number, _, file, offset, size, generation = spot
        return (
            self._places[number] == file << _OFFSET_BITS | offset
            and self._extents[number] == generation << _SIZE_BITS | size
        )

    def in_order(self, key_of: Callable[[Spot], bytes]) -> Iterator[Spot]:
        """All lines in the order of their keys; *key_of* is asked only to tell equals apart.

        Entries added or dropped while iterating may or may not be seen.
        """
        order, ends = self._by_bucket()
        prefixes = self._prefixes
        for start, end in zip([0, *ends], ends, strict=False):
            numbers = sorted(order[start:end], key=prefixes.__getitem__)
            spots = [self.spot(number) for number in numbers if self._extents[number]]
            if len({prefixes[number] for number in numbers}) < len(numbers):
                spots.sort(key=key_of)
            yield from spots

    def _by_bucket(self) -> tuple[array[int], list[int]]:
        """Entry numbers grouped by the first byte of the key, and where each group ends.

        Sorting a few thousand numbers at a time keeps a million of them out of memory as objects.
        """
        counts = [0] * _BUCKETS
        for prefix in self._prefixes:
            counts[prefix >> 56] += 1
        at, ends, total = [], [], 0
        for count in counts:
            at.append(total)
            total += count
            ends.append(total)
        order = array("I", bytes(4 * total))
        for number in range(total):
            bucket = self._prefixes[number] >> 56
            order[at[bucket]] = number
            at[bucket] += 1
        return order, ends

    def _grow(self) -> array[int]:
        slots = array("I", bytes(8 * len(self._slots)))
        mask = len(slots) - 1
        for number, prefix in enumerate(self._prefixes, 1):
            at = prefix & mask
            while slots[at]:
                at = (at + 1) & mask
            slots[at] = number
        self._slots = slots
        return slots
