"""Locks that die with their holder: on the journal, on the sink, and on each segment that is
written to."""

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

from ...canonical import digest
from ...clock import Clock
from ...errors import SinkInUse
from ...storage import wants_whole_files
from .disk import BINARY, make_folder, reported, write_all

if TYPE_CHECKING:
    from .heartbeat import Heartbeat

_NAME = "lock"
_OF_SINK = "sink-{}.lock"
CLAIMS = "claims"
"""The file in the folder of which those who share its journal see each other: see `claims`."""

_HELD = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})

if sys.platform == "win32":
    import msvcrt

    # Windows locks bytes against reading too: these lie far behind the contents. There is no
    # sharing a byte: who shares takes any one of them, who does not takes all.
    _START, _SHARERS = 1 << 40, 64

    def _lock(fd: int, shared: bool = False) -> None:
        places = range(_START, _START + _SHARERS) if shared else range(_START, _START + 1)
        for place in places:
            os.lseek(fd, place, os.SEEK_SET)
            try:
                msvcrt.locking(fd, msvcrt.LK_NBLCK, 1 if shared else _SHARERS)
                break
            except OSError as error:
                if place == places[-1] or error.errno not in _HELD:
                    raise

else:
    import fcntl

    def _lock(fd: int, shared: bool = False) -> None:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def try_lock(fd: int, shared: bool = False) -> bool | None:
    """Lock the open file *fd* until it is closed, *shared* with others who want it so.

    False if somebody else holds it; None if the file system has no locks, so nobody can know.
    """
    try:
        _lock(fd, shared)
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
    """The right to write a sink: one run at a time, by OS locks in the folder of its journal.

    *sink* tells the sinks of one journal apart, whose runs do not keep each other out; without it
    the whole journal is locked, for what must be alone with it. A lock is free the moment its
    holder ends, however that happens. Where a folder takes whole files only there are no locks to
    rely on: there it is a file that is written ever again, and one run at a time for the journal.
    """

    def __init__(self, folder: str, sink: str | None = None, *, clock: Clock | None = None) -> None:
        self._folder = folder
        self._sink = sink
        self._clock = clock or Clock()
        self._journal_lock: Held | None = None
        self._sink_lock: Held | None = None
        self._beat: Heartbeat | None = None

    def acquire(self) -> None:
        """Take the lock, at once or not at all; without locks, after a run elsewhere that was
        lost is not heard of any more.

        Raises:
            SinkInUse: if another run holds it; says which, where known.
            SinkError: if the folder cannot be written.
        """
        if self._journal_lock is not None or self._beat is not None:
            return
        with reported(self._folder):
            make_folder(self._folder)
            has_locks = not wants_whole_files(self._folder)
        if not has_locks:
            from .heartbeat import Heartbeat

            beat = Heartbeat(self._folder, self._clock)
            beat.acquire()
            self._beat = beat
            return
        self._journal_lock = self._take(_NAME, shared=self._sink is not None)
        if self._journal_lock is None:
            raise SinkInUse(
                f"{self._folder}: another run is writing this journal{self._at_it()}",
                "wait for it or stop it",
            )
        if self._sink is None:
            self._journal_lock.sign(self._clock)
            return
        name = _OF_SINK.format(digest(self._sink)[:12])
        try:
            self._sink_lock = self._take(name)
            if self._sink_lock is None:
                raise SinkInUse(
                    f"{self._folder}: another run is writing this sink{self._holder(name)}",
                    "wait for it or stop it; a run with a sink of its own can go beside it",
                )
            self._sink_lock.sign(self._clock)
        except BaseException:
            self.release()
            raise

    def check(self) -> None:
        """Raises `SinkError` if the sink is not ours any more: another run took us for lost."""
        if self._beat is not None:
            self._beat.check()

    def release(self) -> None:
        """Give the lock back; nothing if it is not held. An empty folder goes with it."""
        if self._beat is not None:
            self._beat.release()
            self._beat = None
        elif self._journal_lock is not None:
            if self._sink_lock is not None:
                self._sink_lock.remove()
                self._sink_lock = None
            held, self._journal_lock = self._journal_lock, None
            if try_lock(held.fd) is False:  # others go on
                os.close(held.fd)
                return
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self._folder, CLAIMS))
            held.remove()
        else:
            return
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

    def _take(self, name: str, shared: bool = False) -> Held | None:
        """The file called *name*, locked; None if it is held."""
        path = os.path.join(self._folder, name)
        while True:
            with reported(path):
                make_folder(self._folder)
                try:
                    fd = os.open(path, os.O_RDWR | os.O_CREAT | BINARY, 0o666)
                except FileNotFoundError:  # somebody who let go took the folder away
                    continue
                is_held = try_lock(fd, shared) is False
                if not is_held and is_at(fd, path):
                    return Held(fd, path)
                os.close(fd)  # or somebody who let go took the file away
                if is_held:
                    return None

    def _at_it(self) -> str:
        """Who holds any lock of this journal, in words."""
        for name in sorted(os.listdir(self._folder)):
            if name.startswith("sink-") and name.endswith(".lock"):
                with locked(os.path.join(self._folder, name)) as free:
                    if free is None:
                        return self._holder(name)
        return self._holder(_NAME)

    def _holder(self, name: str) -> str:
        """Who holds the lock called *name*, in words; empty where the file does not tell (yet)."""
        try:
            with open(os.path.join(self._folder, name), "rb") as file:
                said = json.loads(file.read(1000))
            return f" (process {said['pid']} on {said['host']} since {said['since']})"
        except (OSError, ValueError, KeyError, TypeError):
            return ""


class Held:
    """A locked file, open as *fd*."""

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd
        self._path = path

    def sign(self, clock: Clock) -> None:
        """Write into it who holds it."""
        said = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": clock.wall().isoformat(timespec="seconds"),
        }
        with reported(self._path):
            os.ftruncate(self.fd, 0)
            os.lseek(self.fd, 0, os.SEEK_SET)
            write_all(self.fd, json.dumps(said).encode())

    def remove(self) -> None:
        """Take it away, and give the lock back."""
        with contextlib.suppress(OSError):  # Windows refuses: then the file stays, unlocked
            os.unlink(self._path)
        os.close(self.fd)
