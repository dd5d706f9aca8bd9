"""The files of a journal's folder that are open, each with a number by which the index knows it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from .segment import COMPACTED, GONE, Rank, Segment, is_compacted, rank


class Files:
    """Files by number, and the numbers of those that are in the folder by name.

    A number stays: what has left the folder can be read on by whoever knows where. Changes are
    made under *lock*, reading needs none.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._segments: list[Segment] = []
        self._ranks: list[Rank] = []
        self._numbers: dict[str, int] = {}
        self._begun: list[int] = []
        self._trusted: set[str] = set()
        self._found_sound: dict[int, bool] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __getitem__(self, number: int) -> Segment:
        return self._segments[number]

    def adopt(self, segment: Segment) -> int:
        """Take *segment* into the table; gives its number."""
        with self._lock:
            self._segments.append(segment)
            self._ranks.append(GONE)
            return len(self._segments) - 1

    def begin(self, segment: Segment) -> int:
        """Take in *segment*, which this process has begun to write; gives its number."""
        number = self.adopt(segment)
        self._begun.append(number)
        self.name(number, segment.name)
        return number

    def number(self, name: str) -> int | None:
        """The number of the file called *name*; None if there is none."""
        return self._numbers.get(name)

    def find(self, name: str, path: str) -> int | None:
        """The number of the file called *name*, opened if it is new; None if it is gone."""
        number = self._numbers.get(name)
        if number is not None and (name != COMPACTED or self._segments[number].is_current()):
            return number
        try:
            segment = Segment(path)
        except FileNotFoundError:  # folded by somebody else just now
            return None
        number = self.adopt(segment)
        self.name(number, name)
        return number

    def name(self, number: int, name: str) -> None:
        """File *number* is now the one called *name* in the folder."""
        with self._lock:
            self.forget(name)
            self._numbers[name] = number
            self._ranks[number] = rank(name)

    def forget(self, name: str) -> None:
        """The file that was called *name* is not in the folder any more."""
        with self._lock:
            number = self._numbers.pop(name, None)
            if number is not None:
                self._ranks[number] = GONE

    def release(self, name: str) -> None:
        """Close the file called *name*; it is opened anew for each further read."""
        if name in self._numbers:
            self._segments[self._numbers[name]].release()

    def close(self) -> None:
        """Close all files."""
        for segment in self._segments:
            segment.release()

    def rank(self, number: int) -> Rank:
        """The age of file *number*."""
        return self._ranks[number]

    def trust(self, names: Iterable[str]) -> None:
        """The segments of these *names* were written by processes that take part in this run."""
        self._trusted.update(names)
        self._found_sound.clear()

    def is_trusted(self, number: int) -> bool:
        """Whether every line of file *number* is known to be valid JSON.

        So are those that this process wrote, or that it was told to `trust`, and the compacted
        ones: they were parsed when they got there.
        """
        if number not in self._found_sound:  # asked again for each line
            name = self._segments[number].name
            known = number in self._begun or name in self._trusted
            self._found_sound[number] = known or is_compacted(name)
        return self._found_sound[number]

    @property
    def begun(self) -> list[str]:
        """The names of the segments that this process has begun."""
        return [self._segments[number].name for number in self._begun]

    @property
    def growing(self) -> list[int]:
        """The numbers of the files in the folder that other processes may add to."""
        return [
            number
            for name, number in self._numbers.items()
            if number not in self._begun and not is_compacted(name)
        ]

    @property
    def bytes_(self) -> int:
        """Bytes of whole lines in the files of the folder."""
        return sum(self._segments[number].scanned for number in self._numbers.values())
