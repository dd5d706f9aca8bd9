"""Locks that die with their holder: one on the sink, one on each segment that is written to."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from ...clock import Clock
from ...errors import SinkInUse
from ...storage import wants_whole_files
from .disk import BINARY, make_folder, reported, write_all

if TYPE_CHECKING:
    from .heartbeat import Heartbeat

_NAME = "lock"
_HELD = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})

if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        # Windows locks bytes against reading too: this one lies far behind the contents.
        os.lseek(fd, 1 << 40, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def try_lock(fd: int) -> bool | None:
    """Lock the open file *fd* until it is closed.

    False if somebody else holds it; None if the file system has no locks, so nobody can know.
    """
    try:
        _lock(fd)
    except OSError as error:
        return False if error.errno in _HELD else None
    return True


def is_at(fd: int, path: str) -> bool:
    """Whether *path* still names the open file *fd*, rather than nothing or a later file."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def create_locked(path: str) -> int:
    """A new file at *path*, locked; -1 if it was taken away meanwhile.

    Whoever clears up may see the file before it is locked, and take it for a dead one; whoever
    gives the sink back may remove the folder while it is empty.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | BINARY
    try:
        fd = os.open(path, flags, 0o666)
    except FileNotFoundError:
        return -1
    if try_lock(fd) is not False and is_at(fd, path):
        return fd
    os.close(fd)
    return -1


@contextlib.contextmanager
def locked(path: str) -> Iterator[int | None]:
    """The file at *path*, open and locked; None if it is gone, held, or not ours to write."""
    try:
        fd = os.open(path, os.O_RDWR | BINARY)
    except (FileNotFoundError, PermissionError):
        yield None
        return
    try:
        yield fd if try_lock(fd) else None
    finally:
        os.close(fd)


class SinkLock:
    """The right to write a sink: one run at a time, by an OS lock on `<journal>/lock`.

    The lock is free the moment its holder ends, however that happens. Where a folder takes whole
    files only there are no locks to rely on: there it is a file that is written ever again.
    """

    def __init__(self, folder: str, *, clock: Clock | None = None) -> None:
        self.path = os.path.join(folder, _NAME)
        self._folder = folder
        self._clock = clock or Clock()
        self._fd: int | None = None
        self._beat: Heartbeat | None = None

    def acquire(self) -> None:
        """Take the lock, at once or not at all; without locks, after a run elsewhere that was
        lost is not heard of any more.

        Raises:
            SinkInUse: if another run holds it; says which, where known.
            SinkError: if the folder cannot be written.
        """
        while self._fd is None and self._beat is None:
            with reported(self._folder):
                make_folder(self._folder)
                has_locks = not wants_whole_files(self._folder)
            if not has_locks:
                from .heartbeat import Heartbeat

                beat = Heartbeat(self._folder, self._clock)
                beat.acquire()
                self._beat = beat
                return
            with reported(self.path):
                self._fd = self._try()

    def check(self) -> None:
        """Raises `SinkError` if the sink is not ours any more: another run took us for lost."""
        if self._beat is not None:
            self._beat.check()

    def release(self) -> None:
        """Give the lock back; nothing if it is not held. An empty folder goes with it."""
        if self._beat is not None:
            self._beat.release()
            self._beat = None
            with contextlib.suppress(OSError):
                os.rmdir(self._folder)
            return
        if self._fd is None:
            return
        with contextlib.suppress(OSError):  # Windows refuses: then the file stays, unlocked
            os.unlink(self.path)
        os.close(self._fd)
        self._fd = None
        with contextlib.suppress(OSError):
            os.rmdir(self._folder)

    def __enter__(self) -> SinkLock:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _try(self) -> int | None:
        """The locked file; None if somebody who let go took it, or the folder, away meanwhile."""
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | BINARY, 0o666)
        except FileNotFoundError:
            return None
        try:
            if try_lock(fd) is False:
                raise SinkInUse(
                    f"{self._folder}: another run is writing this sink{_holder(fd)}",
                    "wait for it or stop it; a run with a journal.path of its own can go beside it",
                )
            ours = is_at(fd, self.path)
            if ours:
                self._sign(fd)
        except BaseException:
            os.close(fd)
            raise
        if not ours:
            os.close(fd)
            return None
        return fd

    def _sign(self, fd: int) -> None:
        said = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": self._clock.wall().isoformat(timespec="seconds"),
        }
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        write_all(fd, json.dumps(said).encode())


def _holder(fd: int) -> str:
    """Who holds the lock, in words; empty where the file does not tell (yet)."""
    try:
        os.lseek(fd, 0, os.SEEK_SET)
        said = json.loads(os.read(fd, 1000))
        return f" (process {said['pid']} on {said['host']} since {said['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
