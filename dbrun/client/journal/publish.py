"""From the spool to the journal's folder: whole new files, every so many seconds.

Each file is written in one go under a new name and read back; nothing there is ever appended to,
written again or renamed. What a machine that is lost had not published yet is lost with it; what
a killed process left in the spool is taken in by the next one on the same machine.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading

from ...clock import Clock
from ...errors import SinkError
from .disk import make_folder
from .pieces import Extent, extent_of, line_end, write_piece
from .segment import Segment, names, stem_of
from .spool import Spool

LARGEST = 32 << 20
"""Bytes of one published file at the most, unless a line is longer."""

MOST_SMALL = 64
"""Files that are far smaller are joined once there are so many: a run of days makes few files."""

_log = logging.getLogger(__name__)


class _Outlet:
    """A spooled segment on its way: *done* bytes of it are in the folder.

    *held* keeps it locked. *number* is that of its last file; *pieces* are those this process
    wrote, in order, without gaps.
    """

    __slots__ = ("done", "held", "is_new", "is_surveyed", "number", "pieces", "segment", "stem")

    def __init__(self, segment: Segment, held: int, *, is_new: bool) -> None:
        self.segment = segment
        self.stem = stem_of(segment.name)
        self.held = held
        self.is_new = self.is_surveyed = is_new
        self.done = self.number = 0
        self.pieces: list[tuple[str, Extent]] = []


class Publisher:
    """Brings spooled segments into *folder*, every *every* seconds and when it is closed."""

    def __init__(self, folder: str, spool: Spool, every: float, clock: Clock) -> None:
        self.spool = spool
        self.lock = threading.RLock()
        self._folder = folder
        self._every = every
        self._clock = clock
        self._outlets: list[_Outlet] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._trouble: int | None = None

    def add(self, segment: Segment, held: int, *, is_new: bool) -> None:
        """Publish *segment* from now on, as far as it was scanned.

        *held* is a descriptor that locks it, ours from here on. One that is not new may have
        been published in part.
        """
        self._outlets.append(_Outlet(segment, held, is_new=is_new))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="dbrun-publish", daemon=True)
            self._thread.start()

    def has(self, name: str) -> bool:
        """Whether the file *name* of the folder is one that was published here."""
        stem = stem_of(name)
        return any(outlet.stem == stem and outlet.is_new for outlet in list(self._outlets))

    @property
    def waits(self) -> bool:
        """Whether there are answers in the spool."""
        return any(outlet.segment.scanned for outlet in list(self._outlets))

    @property
    def stems(self) -> set[str]:
        """The ids of the segments: nobody else writes files of theirs."""
        return {outlet.stem for outlet in list(self._outlets)}

    def publish(self) -> None:
        """Bring what is new into the folder.

        Raises:
            OSError: the folder cannot be written; what was not published stays in the spool.
        """
        with self.lock:
            for outlet in list(self._outlets):
                end = outlet.segment.scanned
                if end > outlet.done:
                    self._survey(outlet)
                if end > outlet.done:
                    self._write(outlet, Extent(outlet.done, end))
                    if len(_small(outlet)) >= MOST_SMALL:
                        self._join(outlet)

    def attempt(self) -> None:
        """Publish; if it cannot be done now, say so once and leave it for the next time."""
        try:
            self.publish()
        except OSError as error:
            if self._trouble != error.errno:
                self._trouble = error.errno
                _log.warning(
                    "%s; they are kept in %s, and publishing them is tried again every %g s",
                    f"journal {self._folder}: answers cannot be published: {said_of(error)}",
                    self.spool.folder,
                    self._every,
                )
        else:
            if self._trouble is not None:
                self._trouble = None
                _log.warning("journal %s: answers are being published again", self._folder)

    def finish(self) -> None:
        """Publish for good.

        Raises:
            SinkError: it cannot be done; says where the answers are kept.
        """
        try:
            self.publish()
        except OSError as error:
            raise SinkError(
                f"journal {self._folder}: {said_of(error)}; the answers that it does not hold yet "
                f"are kept in {self.spool.folder}",
                "mend this and run the same command again on this machine; it continues",
            ) from error

    def close(self) -> None:
        """Publish for good and take away what was spooled. Raises `SinkError`."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        try:
            self.finish()
            for outlet in self._outlets:
                small = sum(extent.end - extent.start for _, extent in _small(outlet))
                if small <= LARGEST and len(_small(outlet)) > 1:
                    self._join(outlet)
            self.discard()
        finally:
            for outlet in self._outlets:
                os.close(outlet.held)  # what is left is for the next process
            self._outlets.clear()

    def discard(self) -> list[str]:
        """Take away what was spooled, all of which is in the folder; gives the names."""
        gone = []
        with self.lock:
            while self._outlets:
                outlet = self._outlets.pop()
                gone.append(outlet.segment.name)
                outlet.segment.release()
                with contextlib.suppress(OSError):
                    os.unlink(outlet.segment.path)
                os.close(outlet.held)
        self.spool.clear()
        return gone

    def _run(self) -> None:
        while not self._clock.sleep(self._every, self._stop):
            self.attempt()

    def _survey(self, outlet: _Outlet) -> None:
        """Find how far a process that was killed had published a segment."""
        make_folder(self._folder)
        if outlet.is_surveyed:
            return
        for name in names(self._folder):
            if stem_of(name) == outlet.stem and name != outlet.segment.name:
                outlet.number = max(outlet.number, int(name[-12:-6]))
                extent = extent_of(os.path.join(self._folder, name))
                if extent is not None and extent.start <= outlet.done:
                    outlet.done = max(outlet.done, extent.end)
        outlet.is_surveyed = True

    def _write(self, outlet: _Outlet, extent: Extent) -> None:
        source, start = outlet.segment.path, extent.start
        while start < extent.end:
            end = extent.end
            if end - start > LARGEST:
                end = line_end(source, start, start + LARGEST)
            outlet.number += 1  # a name is never used twice, not even after a failure
            name = f"{outlet.stem}-{outlet.number:06d}.jsonl"
            write_piece(os.path.join(self._folder, name), source, Extent(start, end))
            outlet.pieces.append((name, Extent(start, end)))
            outlet.done = max(outlet.done, end)
            start = end

    def _join(self, outlet: _Outlet) -> None:
        """Write the last small files anew as one, then remove them."""
        small = _small(outlet)
        before = len(outlet.pieces)
        try:
            self._write(outlet, Extent(small[0][1].start, small[-1][1].end))
        except OSError:  # nothing is lost by it, and the next publishing will tell
            del outlet.pieces[before:]
            return
        del outlet.pieces[before - len(small) : before]
        for name, _ in small:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self._folder, name))


def said_of(error: OSError) -> str:
    """What went wrong, in words."""
    if error.errno == errno.ENOENT:
        return "the folder is gone and cannot be made"
    said = error.strerror or "the storage refused"
    return said[:1].lower() + said[1:]


def _small(outlet: _Outlet) -> list[tuple[str, Extent]]:
    """The last files of an outlet that are small, in order."""
    count = 0
    for _, extent in reversed(outlet.pieces):
        if extent.end - extent.start >= LARGEST // 2:
            break
        count += 1
    return outlet.pieces[len(outlet.pieces) - count :]
