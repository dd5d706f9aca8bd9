"""Segments: the append-only files of a journal's folder.

Each writer creates its own and is the only one ever to write it, which makes any number of
writers safe. It holds an OS lock on it while alive, so that others know what they may fold.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone

from ...clock import Clock
from .disk import BINARY, make_folder, sync_file, sync_folder, write_all
from .index import Line
from .lines import glance
from .lock import create_locked, is_at
from .pieces import is_mark

COMPACTED = "answers.jsonl"
"""The one file, sorted by key, into which a finished run folds all segments."""

_SUFFIX = ".jsonl"
_STAMP = "%Y%m%dT%H%M%S%f"
_OWN_NAME = re.compile(r"((\d{8}T\d{12})-[0-9a-f]{8})(-\d{6})?\.jsonl")
_GATHERED_NAME = re.compile(r"answers-(\d{8}T\d{12})-[0-9a-f]{8}\.jsonl")
_READ_AHEAD = 1 << 20
_BLOCK = 1 << 18

Rank = tuple[int, str]
"""Of two lines of one key and generation, the one in the file of higher rank is the newer."""

GONE: Rank = (-1, "")
"""The rank of a file that is no longer in the folder: what replaced it is at least as new."""


def rank(name: str) -> Rank:
    """The age of a file: first the compacted ones, then segments by their start.

    A file that somebody else put there counts as older than any segment.
    """
    if is_compacted(name):
        return (0, "" if name == COMPACTED else name)
    return (2 if _OWN_NAME.match(name) else 1, name)


def is_compacted(name: str) -> bool:
    """Whether a file of this name is one that segments were folded into.

    Where nothing can be renamed into place, each folding makes a file of a new name.
    """
    return name == COMPACTED or _GATHERED_NAME.fullmatch(name) is not None


def stem_of(name: str) -> str:
    """The id of the segment that *name* is, or is a published part of; "" if it is neither."""
    own = _OWN_NAME.fullmatch(name)
    return own[1] if own else ""


def names(folder: str) -> list[str]:
    """The files that hold answers, oldest first.

    The folder may be one that has other JSON Lines in it, rows for instance: what is listed here
    is folded and then removed, so a file of another name must begin as a journal does.
    """
    try:
        found = [name for name in os.listdir(folder) if name.endswith(_SUFFIX)]
    except FileNotFoundError:
        return []
    ours = (
        name
        for name in found
        if is_compacted(name) or _OWN_NAME.fullmatch(name) or _is_journal(f"{folder}/{name}")
    )
    return sorted(ours, key=rank)


def _is_journal(path: str) -> bool:
    """Whether a file is empty, or its first line holds an answer or the torn start of one."""
    try:
        with open(path, "rb") as file:
            line = file.readline()
    except OSError:
        return False
    try:
        said = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        is_torn = not line.endswith(b"\n") and line.startswith(b'{"key":"')
        return is_torn or not line
    return isinstance(said, dict) and {"key", "generation", "body"} <= said.keys()


class Segment:
    """One file, read at offsets. *scanned* is how many bytes of whole lines were looked at."""

    __slots__ = ("_fd", "_lock", "path", "scanned")

    def __init__(self, path: str) -> None:
        self.path = path
        self.scanned = 0
        self._lock = threading.Lock()
        self._fd: int | None = _open(path)

    @property
    def name(self) -> str:
        """The file's name in its folder."""
        return os.path.basename(self.path)

    def is_current(self) -> bool:
        """Whether the file is still the one at its path."""
        return self._fd is not None and is_at(self._fd, self.path)

    def read(self, offset: int, size: int) -> bytes:
        """The bytes at *offset*; fewer at the end of the file."""
        fd = self._fd
        if fd is not None and _HAS_PREAD:
            return os.pread(fd, size, offset)
        with self._lock:
            fd = _open(self.path) if self._fd is None else self._fd
            try:
                os.lseek(fd, offset, os.SEEK_SET)
                return os.read(fd, size)
            finally:
                if self._fd is None:
                    os.close(fd)

    def scan(self, damaged: Callable[[], None]) -> Iterator[Line]:
        """The whole lines that were not looked at yet; calls *damaged* for each that is.

        A last line without its end is left for later: its writer is still at it, or died.
        Only in the compacted file, which is put in place whole, does it count if it is complete:
        some editors take the last newline away.
        """
        if self._fd is None:
            self._fd = _open(self.path)
        offset = self.scanned
        with open(self._fd, "rb", buffering=_READ_AHEAD, closefd=False) as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n") and self.name != COMPACTED:
                    return
                found = glance(line)
                size = len(line)
                if found is None:
                    if not is_mark(line):
                        damaged()
                else:
                    yield (offset, size, *found)
                offset += size
                self.scanned = offset

    def grown(self, damaged: Callable[[], None]) -> Iterator[Line]:
        """What `scan` gives, cheap where only a few lines have come since."""
        while True:
            block = self.read(self.scanned, _BLOCK)
            end = block.rfind(b"\n") + 1
            if end == 0:
                if len(block) == _BLOCK:  # a line that is longer than that
                    yield from self.scan(damaged)
                return
            for line in block[: end - 1].split(b"\n"):
                found = glance(line + b"\n")
                size = len(line) + 1
                if found is not None:
                    yield (self.scanned, size, *found)
                elif not is_mark(line + b"\n"):
                    damaged()
                self.scanned += size
            if len(block) < _BLOCK:
                return

    def release(self) -> None:
        """Close the file; it is opened anew for each further read."""
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    def reopen(self, path: str) -> None:
        """Read from now on the file at *path*, which holds the same."""
        with self._lock:
            before, self._fd, self.path = self._fd, _open(path), path
            if before is not None:
                os.close(before)


class Writer:
    """A segment of this process's own, newest of all, with its lock held until `close`.

    *older* are names of further files that it must be newer than.
    """

    def __init__(self, folder: str, clock: Clock, older: Iterable[str] = ()) -> None:
        self.path, self._fd = "", -1
        while self._fd < 0:
            make_folder(folder)
            name = new_stem([*names(folder), *older], clock) + _SUFFIX
            self.path = os.path.join(folder, name)
            self._fd = create_locked(self.path)
        sync_folder(folder)
        self._dirty = False
        self._waiting: list[bytes] = []
        self._end = 0
        self.flushed = 0
        """How many bytes are in the file."""
        self.is_sound = True

    def append(self, line: bytes) -> int:
        """Write one line and give its offset; see `flush` for what may go wrong."""
        start = self.put(line)
        self.flush()
        return start

    def put(self, line: bytes) -> int:
        """Take one line, to be written by the next `flush`, and give its offset."""
        start = self._end
        self._end += len(line)
        self._waiting.append(line)
        return start

    def flush(self) -> None:
        """Write the lines that wait.

        If it fails, as many whole lines stay as the disk takes (see `flushed`) and the others are
        forgotten; where not even that can be had, `is_sound` turns False and no further line must
        follow.
        """
        if not self._waiting:
            return
        lines, self._waiting = self._waiting, []
        try:
            self._write(b"".join(lines))
        except OSError:
            for line in lines if len(lines) > 1 else ():
                if self.is_sound:
                    self._write(line)
            raise
        finally:
            self._end = self.flushed

    def _write(self, data: bytes) -> None:
        try:
            write_all(self._fd, data)
        except BaseException:
            self._cut_back(self.flushed)
            raise
        self.flushed += len(data)
        self._dirty = True

    def hold(self) -> int:
        """A descriptor that keeps the segment locked after `close`, until it is closed as well."""
        return os.dup(self._fd)

    def sync(self) -> None:
        """Have the disk hold what was appended."""
        if self._dirty:
            self._dirty = False
            sync_file(self._fd)

    def close(self) -> None:
        """Sync, and let others fold the segment."""
        try:
            self.sync()
        finally:
            os.close(self._fd)

    def _cut_back(self, start: int) -> None:
        try:
            os.ftruncate(self._fd, start)
        except OSError:
            self.is_sound = False


_HAS_PREAD = hasattr(os, "pread")


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | BINARY)


def new_stem(older: Iterable[str], clock: Clock) -> str:
    """The id of a segment that is later than the *older* files, even if the clock was set back."""
    now = clock.wall()
    for name in older:
        own, gathered = _OWN_NAME.match(name), _GATHERED_NAME.match(name)
        stamp = own[2] if own else gathered[1] if gathered else ""
        if stamp < now.strftime(_STAMP):  # which is usual, and seen without reading the date
            continue
        with contextlib.suppress(ValueError, OverflowError):  # no time, or digits that are none
            other = datetime.strptime(stamp, _STAMP).replace(tzinfo=timezone.utc)
            now = max(now, other + timedelta(microseconds=1))
    return f"{now.strftime(_STAMP)}-{secrets.token_hex(4)}"
