"""The answers on disk and the index of them: what is below the journal's modes."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ...clock import Clock
from ...storage import is_remote, wants_whole_files
from .disk import make_folder, reported, trouble
from .index import Index, Spot
from .lines import PREFIX_DIGITS, Entry, decode, glance
from .segment import COMPACTED, Segment, Writer, is_compacted, names, rank
from .spool import Spool
from .table import Files

if TYPE_CHECKING:
    from .publish import Publisher

_KEPT_OPEN = 128


class Store:
    """Safe for threads: a lock guards the index and the writer, reading answers needs none.

    If the folder takes no appends, segments are spooled on local disk and published every
    *publish_every* seconds; None for a store that is only read.
    """

    def __init__(self, folder: str, clock: Clock, publish_every: float | None = None) -> None:
        self.folder = folder
        self.damaged = 0
        self.lock = threading.RLock()
        self._closing = threading.Lock()
        self.index = Index()
        self.files = Files(self.lock)
        self.clock = clock
        self._publish_every = publish_every
        self._spool = Spool(folder)
        self._publisher: Publisher | None = None
        self._writer: Writer | None = None
        self._written_to = -1
        self._growing: list[int] = []
        self.gathers = False
        """Whether lines that are appended wait for `flush`, to be written together."""
        self._unwritten: list[int] = []
        self.refused = 0
        """How many lines the disk refused."""

    def refresh(self) -> None:
        """Take in what the folder holds and was not looked at yet.

        Raises:
            SinkError: if the folder cannot be read.
        """
        with self.lock, reported(self.folder):
            # Locked before they are read: then they do not grow any more.
            left = dict(self._spool.adopt()) if self._publish_every is not None else {}
            try:
                found = self._files()
                for name in set(self.files).difference(found):
                    self.files.forget(name)
                for name, path in found.items():
                    number = self.files.find(name, path)
                    if number is not None:
                        self._scan(number)
            finally:
                for name, held in left.items():
                    self._take_over(name, held)

    def catch_up(self, has_files: bool) -> None:
        """Take in what other processes wrote since; *has_files*: there are new files of theirs.

        Raises:
            SinkError: if the folder cannot be read.
        """
        if has_files:
            self.refresh()
            with self.lock:
                self._growing = self.files.growing
            return
        with self.lock:
            for number in self._growing:
                segment = self.files[number]
                try:
                    self.index.add(number, segment.grown(self._count_damaged), self._gives_way)
                except FileNotFoundError:  # published or folded just now
                    continue
                except OSError as error:
                    raise trouble(error, segment.path) from error

    def reload(self) -> None:
        """Forget what is known of the folder and look at all of it anew."""
        self.stop_writing()
        with self.lock:
            for name in list(self.files):
                self.files.forget(name)
            self.index = Index()
            self.damaged = 0
            self.refresh()

    def find(self, key: str, since: int) -> Entry | None:
        """The newest answer to *key* if it is of generation *since* or later.

        Raises:
            SinkError: if the file that holds it cannot be read.
        """
        prefix = int(key[:PREFIX_DIGITS], 16)
        with self.lock:
            spots = self.index.find(prefix)
        while True:
            is_gone = False
            for spot in spots:
                if spot.generation < since:
                    continue
                line = self.read(spot)
                found = decode(line)
                if found is None:
                    is_gone = is_gone or not line
                    self.drop(spot, damaged=bool(line))
                elif found[0] == key:
                    return found[1]
            if not is_gone:
                return None
            with self.lock:  # another run has folded the file, and the answer is in a new one
                self.refresh()
                spots = self.index.find(prefix)

    def append(self, key: str, generation: int, line: bytes) -> None:
        """Write *line* to this process's own segment (`flush` does, if it *gathers*) and index it.

        Raises:
            SinkError: if it cannot be written; nothing of it stays then.
        """
        with self.lock:
            writer = self._writer or self._start()
            prefix = int(key[:PREFIX_DIGITS], 16)
            offset = writer.put(line)
            self._unwritten.append(prefix)
            if not self.gathers:
                self.flush()
            place = (offset, len(line), prefix, key.encode(), generation)
            self.index.add(self._written_to, (place,), self._gives_way)

    def flush(self) -> None:
        """Write what was appended since the last time.

        Raises:
            SinkError: if it cannot be written; what is lost thereby is forgotten.
        """
        if not self._unwritten:
            return
        with self.lock:
            writer = self._writer
            assert writer is not None
            try:
                writer.flush()
            except OSError as error:
                self._drop_unwritten(writer.flushed)
                if not writer.is_sound:
                    self.stop_writing()
                raise trouble(error, writer.path) from error
            finally:
                self._unwritten.clear()
                self.files[self._written_to].scanned = writer.flushed

    def _drop_unwritten(self, flushed: int) -> None:
        for prefix in self._unwritten:
            for spot in self.index.find(prefix):
                if spot.file == self._written_to and spot.offset >= flushed:
                    self.index.drop(spot)
                    self.refused += 1

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
            try:
                self.flush()
            finally:
                writer, self._writer = self._writer, None
        if writer is not None:
            with self._closing, reported(writer.path):
                writer.close()

    def close(self) -> None:
        """Let go of all files; what is spooled is published first.

        Raises:
            SinkError: if it cannot be; says where it is kept.
        """
        try:
            self.stop_writing()
            if self._publisher is not None:
                self._publisher.close()
        finally:
            self.files.close()

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
        if self._unwritten:
            self.flush()
        segment = self.files[spot.file]
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

    def move(self, moved: Iterable[tuple[Spot, int, int]], file: int) -> None:
        """Read the lines at these spots from now on in *file*, at the offset and size given."""
        with self.lock:
            for spot, offset, size in moved:
                self.index.move(spot, file, offset, size)

    def whole_file(self) -> str | None:
        """The path of the file that all answers were folded into; None unless there is just that,
        in a folder that takes appends."""
        if self._writer is not None or self._publisher is not None:
            return None
        return os.path.join(self.folder, COMPACTED) if names(self.folder) == [COMPACTED] else None

    @property
    def is_spooled(self) -> bool:
        """Whether something was spooled here, or is to be."""
        return self._publisher is not None

    def publisher(self) -> Publisher | None:
        """What publishes the segments; None if the folder takes appends."""
        if self._publisher is None and self._publish_every is not None:
            with reported(self.folder):
                if self._spool.exists() or is_remote(self.folder):  # whatever state it is in now
                    return self._ensure_publisher()
                make_folder(self.folder)
                if wants_whole_files(self.folder):
                    return self._ensure_publisher()
        return self._publisher

    def _ensure_publisher(self) -> Publisher:
        if self._publisher is None:
            from .publish import Publisher

            every = self._publish_every or 0.0
            self._publisher = Publisher(self.folder, self._spool, every, self.clock)
        return self._publisher

    def _take_over(self, name: str, held: int) -> None:
        """Publish what a killed process left in the spool."""
        number = self.files.number(name)
        if number is None:  # the folder could not be read
            os.close(held)
        else:
            self._ensure_publisher().add(self.files[number], held, is_new=False)

    def _start(self) -> Writer:
        publisher = self.publisher()
        if publisher is None:
            with reported(self.folder):
                writer = Writer(self.folder, self.clock)
                segment = Segment(writer.path)
        else:
            with reported(self._spool.make()):
                writer = Writer(self._spool.folder, self.clock, older=self.files)
                segment = Segment(writer.path)
                publisher.add(segment, writer.hold(), is_new=True)
        self._written_to = self.files.begin(segment)
        self._writer = writer
        return writer

    def _files(self) -> dict[str, str]:
        """The files that hold answers by name, oldest first, and where they are."""
        published = self._publisher.has if self._publisher is not None else None
        found = {
            name: os.path.join(self.folder, name)
            for name in names(self.folder)
            if published is None or not published(name)
        }
        spooled = self._spool.files()
        if spooled:
            found = dict(sorted({**found, **spooled}.items(), key=lambda file: rank(file[0])))
        return found

    def _scan(self, number: int) -> None:
        segment = self.files[number]
        with contextlib.suppress(FileNotFoundError):  # folded by somebody else just now
            self.index.add(number, segment.scan(self._count_damaged), self._gives_way)
        if number >= _KEPT_OPEN and not is_compacted(segment.name):
            segment.release()

    def _gives_way(self, old: Spot, key: bytes, generation: int, file: int) -> bool | None:
        if self.key_of(old) != key:
            return None
        return (generation, self.files.rank(file)) >= (old.generation, self.files.rank(old.file))

    def _count_damaged(self) -> None:
        self.damaged += 1
