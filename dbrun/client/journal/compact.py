"""Folding segments into one file sorted by key.

Safe against a kill at any point: the new file is written beside and moved into place whole, and
only then are the folded segments removed, oldest first, so that those still there are never
older than what replaced them. A line found twice meanwhile is the same line.

Where a file system has no locks, nobody can know which segments are still written to: nothing
is folded there, and the segments stay as they are. Where it takes whole files only, what can be
folded are the files that have their end (see `gather`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from ...clock import Clock
from .disk import BINARY, reported, sync_file, sync_folder, write_all
from .index import Spot
from .lines import is_own, key_in, tidy
from .lock import is_at, locked, try_lock
from .segment import COMPACTED, Segment, names
from .store import Store

_BLOCK = 1 << 20
_LOOK, _LOOKS = 0.02, 1000  # seconds between looks whether another process has folded
_LETS_RENAME_OPEN_FILES = os.name != "nt"


def compact(store: Store, keep: Callable[[str], bool] | None = None) -> bool:
    """Fold all segments that no live writer holds; False if there was nothing to do.

    *keep* denies keys whose answers to drop.

    Raises:
        SinkError: if the disk refuses.
    """
    store.stop_writing()
    with reported(store.folder):
        if keep is None and not store.is_spooled and not _segments(store.folder):
            return False
        publisher = store.publisher()
        if publisher is not None:
            from .gather import gather

            return gather(store, publisher, keep)
        beside = Beside.lock(os.path.join(store.folder, COMPACTED), store.clock)
        if beside is None:
            return False
        try:
            free = _free(store.folder)
            if not free and keep is None:
                return False
            # Only now: files found free do not grow any more.
            store.refresh()
            if len(store.index) or keep is not None:
                try:
                    fold(store, beside, keep)
                except BaseException:
                    store.reload()  # some answers were already read from the file that failed
                    raise
            _remove(store, free)
        finally:
            beside.close()
    return True


class Beside:
    """The file that becomes the compacted one; its lock lets one process fold at a time."""

    def __init__(self, fd: int, path: str, target: str) -> None:
        self.path = path
        self.target = target
        self._fd: int | None = fd

    @classmethod
    def lock(cls, target: str, clock: Clock, path: str = "") -> Beside | None:
        """The file that will be *target*, ours now, made at *path* (beside it unless given).

        A process that is folding is waited for: it may have begun too early to take what this one
        has written. None if it goes on for long, or if locks are not to be had.
        """
        path = path or target + ".partial"
        for _ in range(_LOOKS):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | BINARY, 0o666)
            is_ours = try_lock(fd)
            if is_ours and is_at(fd, path):
                return cls(fd, path, target)
            os.close(fd)
            if is_ours is None:
                break
            clock.sleep(_LOOK)
        return None

    def clear(self) -> None:
        """Drop what a process that was killed left in it."""
        assert self._fd is not None
        os.ftruncate(self._fd, 0)

    def write(self, block: bytes) -> None:
        assert self._fd is not None
        write_all(self._fd, block)

    def put_in_place(self, store: Store, compacted: Segment) -> None:
        """Make it the file *compacted* at its target."""
        assert self._fd is not None
        sync_file(self._fd)
        if not _LETS_RENAME_OPEN_FILES:
            compacted.release()
            store.files.release(COMPACTED)
            os.close(self._fd)
            self._fd = None
        os.replace(self.path, self.target)
        sync_folder(os.path.dirname(self.target))
        compacted.path = self.target

    def close(self) -> None:
        """Give the lock back; take the file away if it was not moved."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                if is_at(self._fd, self.path):
                    os.unlink(self.path)
            os.close(self._fd)
            self._fd = None


def _segments(folder: str) -> list[str]:
    return [name for name in names(folder) if name != COMPACTED]


def _free(folder: str) -> dict[str, int]:
    """The segments whose writers have ended, oldest first, each with its size."""
    sizes = {}
    for name in _segments(folder):
        with locked(os.path.join(folder, name)) as fd:
            if fd is not None:
                sizes[name] = os.fstat(fd).st_size
    return sizes


def fold(store: Store, beside: Beside, keep: Callable[[str], bool] | None) -> None:
    """Write the newest line of every key into *beside* and put it in place."""
    beside.clear()
    compacted = Segment(beside.path)
    number = store.files.adopt(compacted)
    block: list[bytes] = []
    moved: list[tuple[Spot, int, int]] = []
    offset = size = 0

    def flush() -> None:
        nonlocal size
        beside.write(b"".join(block))
        # The answers are read from their new place on as soon as they are there.
        store.move(moved, number)
        block.clear()
        moved.clear()
        size = 0

    for spot in store.in_order():
        line = _line(store, spot)
        if line is None or (keep is not None and not keep(key_in(line).decode())):
            store.drop(spot, damaged=line is None)
            continue
        block.append(line)
        moved.append((spot, offset, len(line)))
        offset += len(line)
        size += len(line)
        if size >= _BLOCK:
            flush()
    flush()
    beside.put_in_place(store, compacted)
    store.files.name(number, compacted.name)
    compacted.scanned = offset


def _line(store: Store, spot: Spot) -> bytes | None:
    """The line to keep of *spot*; None if it is damaged."""
    line = store.read(spot)
    if store.files.is_trusted(spot.file) and is_own(line, spot.prefix):
        return line
    kept = tidy(line)
    return kept if kept is not None and is_own(kept, spot.prefix) else None


def _remove(store: Store, free: dict[str, int]) -> None:
    """Remove the folded segments, unless one came to life after it had been found free."""
    for name, size in free.items():
        path = os.path.join(store.folder, name)
        if not _LETS_RENAME_OPEN_FILES:
            store.files.release(name)
        with locked(path) as fd:
            if fd is None or os.fstat(fd).st_size != size:
                continue
            with contextlib.suppress(FileNotFoundError, PermissionError):
                os.unlink(path)
        store.files.forget(name)
