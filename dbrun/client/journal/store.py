"""The answers on disk and the index of them: what is below the journal's modes."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator

from ...clock import Clock
from .disk import reported, trouble
from .index import Index, Spot
from .lines import PREFIX_DIGITS, Entry, decode, glance
from .segment import COMPACTED, GONE, Rank, Segment, Writer, names, rank

_KEPT_OPEN = 128


class Store:
    """Safe for threads: a lock guards the index and the writer, reading answers needs none."""

    def __init__(self, folder: str, clock: Clock) -> None:
        self.folder = folder
        self.damaged = 0
        self.lock = threading.RLock()
        self._closing = threading.Lock()
        self.index = Index()
        self._segments: list[Segment] = []
        self._ranks: list[Rank] = []
        self._numbers: dict[str, int] = {}
        self._clock = clock
        self._writer: Writer | None = None
        self._written_to = -1
        self._written: set[int] = set()

    def refresh(self) -> None:
        """Take in what the folder holds and was not looked at yet.

        Raises:
            SinkError: if the folder cannot be read.
        """
        with self.lock, reported(self.folder):
            found = names(self.folder)
            for name in set(self._numbers).difference(found):
                self.forget(name)
            for name in found:
                number = self._number(name)
                if number is not None:
                    self._scan(number)

    def reload(self) -> None:
        """Forget what is known of the folder and look at all of it anew."""
        self.stop_writing()
        with self.lock:
            for name in list(self._numbers):
                self.forget(name)
            self.index = Index()
            self.damaged = 0
            self.refresh()

    def find(self, key: str, since: int) -> Entry | None:
        """The newest answer to *key* if it is of generation *since* or later.

        Raises:
            SinkError: if the file that holds it cannot be read.
        """
        with self.lock:
            spots = self.index.find(int(key[:PREFIX_DIGITS], 16))
        for spot in spots:
            if spot.generation < since:
                continue
            found = decode(self.read(spot))
            if found is None:
                self.drop(spot, damaged=True)
            elif found[0] == key:
                return found[1]
        return None

    def append(self, key: str, generation: int, line: bytes) -> None:
        """Write *line* to this process's own segment and index it.

        Raises:
            SinkError: if it cannot be written; nothing of it stays then.
        """
        with self.lock:
            writer = self._writer or self._start()
            try:
                offset = writer.append(line)
            except OSError as error:
                if not writer.is_sound:
                    self.stop_writing()
                raise trouble(error, writer.path) from error
            place = (offset, len(line), int(key[:PREFIX_DIGITS], 16), key.encode(), generation)
            self.index.add(self._written_to, (place,), self._gives_way)
            self._segments[self._written_to].scanned = offset + len(line)

    def sync(self) -> None:
        """Have the disk hold all that was appended."""
        # Others go on writing meanwhile; only closing has to wait.
        with self._closing:
            writer = self._writer
            if writer is not None:
                with reported(writer.path):
                    writer.sync()

    def stop_writing(self) -> None:
        """Close this process's segment; the next line starts another."""
        with self.lock:
            writer, self._writer = self._writer, None
        if writer is not None:
            with self._closing, reported(writer.path):
                writer.close()

    def close(self) -> None:
        """Let go of all files."""
        try:
            self.stop_writing()
        finally:
            for segment in self._segments:
                segment.release()

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Every key's newest answer, in the order of keys; damaged ones are left out."""
        for spot in self.in_order():
            found = decode(self.read(spot))
            if found is None:
                self.drop(spot, damaged=True)
            else:
                yield found

    def in_order(self) -> Iterator[Spot]:
        """Where every key's newest line is, in the order of keys."""
        return self.index.in_order(self.key_of)

    def read(self, spot: Spot) -> bytes:
        """The line at *spot*, possibly damaged; nothing if its file is gone."""
        segment = self._segments[spot.file]
        try:
            return segment.read(spot.offset, spot.size)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise trouble(error, segment.path) from error

    def key_of(self, spot: Spot) -> bytes:
        """The whole key of the line at *spot*; empty if it is damaged."""
        line = self.read(spot)
        found = glance(line)
        return found[1] if found else b""

    def drop(self, spot: Spot, *, damaged: bool) -> None:
        """Let the line at *spot* be no answer any more."""
        with self.lock:
            if self.index.drop(spot):
                self.damaged += damaged

    def adopt(self, segment: Segment) -> int:
        """Take *segment* into the table of files; gives its number."""
        with self.lock:
            self._segments.append(segment)
            self._ranks.append(GONE)
            return len(self._segments) - 1

    def move(self, moved: Iterable[tuple[Spot, int, int]], file: int) -> None:
        """Read the lines at these spots from now on in *file*, at the offset and size given."""
        with self.lock:
            for spot, offset, size in moved:
                self.index.move(spot, file, offset, size)

    def name(self, number: int, name: str) -> None:
        """File *number* is now the one called *name* in the folder."""
        with self.lock:
            self.forget(name)
            self._numbers[name] = number
            self._ranks[number] = rank(name)

    def forget(self, name: str) -> None:
        """The file that was called *name* is not in the folder any more."""
        with self.lock:
            number = self._numbers.pop(name, None)
            if number is not None:
                self._ranks[number] = GONE

    def release(self, name: str) -> None:
        """Close the file called *name*; it is opened anew for each further read."""
        if name in self._numbers:
            self._segments[self._numbers[name]].release()

    def is_trusted(self, number: int) -> bool:
        """Whether every line of file *number* is known to be valid JSON.

        So are those that this process wrote, and the compacted ones: they were parsed when they
        got there.
        """
        return number in self._written or self._numbers.get(COMPACTED) == number

    @property
    def files(self) -> int:
        """How many files the folder has, as far as known."""
        return len(self._numbers)

    @property
    def bytes_(self) -> int:
        """Bytes of whole lines in the files of the folder."""
        return sum(self._segments[number].scanned for number in self._numbers.values())

    def _start(self) -> Writer:
        with reported(self.folder):
            writer = Writer(self.folder, self._clock)
            segment = Segment(writer.path)
        self._written_to = self.adopt(segment)
        self._written.add(self._written_to)
        self.name(self._written_to, segment.name)
        self._writer = writer
        return writer

    def _number(self, name: str) -> int | None:
        """The number of the file called *name*, opened if it is new; None if it is gone."""
        number = self._numbers.get(name)
        if number is not None and (name != COMPACTED or self._segments[number].is_current()):
            return number
        try:
            segment = Segment(os.path.join(self.folder, name))
        except FileNotFoundError:  # folded by somebody else just now
            return None
        number = self.adopt(segment)
        self.name(number, name)
        return number

    def _scan(self, number: int) -> None:
        segment = self._segments[number]
        with contextlib.suppress(FileNotFoundError):  # folded by somebody else just now
            self.index.add(number, segment.scan(self._count_damaged), self._gives_way)
        if number >= _KEPT_OPEN and segment.name != COMPACTED:
            segment.release()

    def _gives_way(self, old: Spot, key: bytes, generation: int, file: int) -> bool | None:
        if self.key_of(old) != key:
            return None
        return (generation, self._ranks[file]) >= (old.generation, self._ranks[old.file])

    def _count_damaged(self) -> None:
        self.damaged += 1
