"""Which requests are under way in any of several processes of this machine.

One small file, which no process writes lines to: a request is claimed by locking one byte of it,
far behind its end, whose place the key tells. The system gives the byte back when its holder ends,
however that happens. The beginning of the file is shared memory: each process has a seat there,
held by a lock as well, where it says whether it claims what it asks and counts what it has
journalled, so that others know when there is something to read.

Whoever is alone need not claim anything. Who comes later is seen by its seat, and waits until
everybody else claims, too.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import sys
import threading
from contextlib import suppress

from ...clock import Clock
from ...errors import SinkError
from ...storage import wants_whole_files
from .disk import BINARY
from .lock import CLAIMS

MOST = 256
"""How many processes can share a file of claims."""

_WORDS = 4  # of 64 bits to a seat: what it does, segments begun, answers journalled, nothing
_HEADER = MOST * _WORDS * 8
_VACANT, _ALONE, _CLAIMS = 0, 1, 2
_LOOK, _PATIENCE = 0.005, 5.0  # seconds
_HELD = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})
_PREFIX = "dbrun-claims-"
_MEND = "set TMPDIR to a folder on a local disk, or limits.processes to 1"

if sys.platform == "win32":
    import msvcrt

    _PLACES = 1 << 30  # the C library has 31 bits for a place

    def _lock(fd: int, place: int) -> None:
        os.lseek(fd, place, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

    def _unlock(fd: int, place: int) -> None:
        os.lseek(fd, place, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    _PLACES = 1 << 61

    if hasattr(fcntl, "F_OFD_SETLK"):
        # Locks of the open file, not of the process: two runs of one process see each other's.
        def _set(fd: int, kind: int, place: int) -> None:
            fcntl.fcntl(
                fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", kind, os.SEEK_SET, place, 1, 0)
            )

        def _lock(fd: int, place: int) -> None:
            _set(fd, fcntl.F_WRLCK, place)

        def _unlock(fd: int, place: int) -> None:
            _set(fd, fcntl.F_UNLCK, place)

    else:

        def _lock(fd: int, place: int) -> None:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)

        def _unlock(fd: int, place: int) -> None:
            fcntl.lockf(fd, fcntl.LOCK_UN, 1, place)


_SEATS = _HEADER + _PLACES


def open_claims(folder: str) -> Claims | None:
    """The claims on the journal in *folder*, which is there; None where files cannot be shared."""
    if wants_whole_files(folder):
        return None
    try:
        return Claims(os.path.join(folder, CLAIMS))
    except OSError:
        return None


def create_claims(folder: str) -> str:
    """The path of a file of claims for several processes of one run, whose journal is in *folder*;
    where that cannot have one, it is where temporary files are. To be removed by `remove_claims`.

    Raises:
        SinkError: the folder for temporary files cannot be written.
    """
    claims = open_claims(folder)
    if claims is not None:
        claims.close()
        return os.path.join(folder, CLAIMS)
    import tempfile

    try:
        fd, path = tempfile.mkstemp(prefix=_PREFIX)
        os.close(fd)
    except OSError as error:
        raise SinkError(f"temporary files cannot be written: {error}", _MEND) from error
    return path


def remove_claims(path: str | None) -> None:
    """Remove the file of claims at *path*, if there is one, unless it is in a journal's folder:
    that is removed with the lock of the journal."""
    if path is not None and os.path.basename(path).startswith(_PREFIX):
        with suppress(OSError):
            os.unlink(path)


class Claims:
    """The claims at *path* as one process sees them, from a seat of its own. Safe for threads.

    Two keys may share a byte: then one of them waits for the other, and no harm is done.

    Raises:
        OSError: there cannot be such a file, or locks of its parts.
        SinkError: all seats are taken.
    """

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | BINARY, 0o600)
        try:
            if os.fstat(self._fd).st_size < _HEADER:
                os.ftruncate(self._fd, _HEADER)
            seat = self._sit_down(path)
            self._memory = mmap.mmap(self._fd, _HEADER)
        except BaseException:
            os.close(self._fd)
            raise
        self._words = memoryview(self._memory).cast("Q")
        self._own = seat * _WORDS
        self._before = self._words[self._own + 1]  # segments begun by who sat here
        self._words[self._own] = _ALONE
        self._lock = threading.Lock()
        self._held: dict[int, int] = {}
        self._seen = (b"", b"")
        self._files = -1

    def has_company(self) -> bool:
        """Whether there are other processes."""
        return bool(self._others())

    def begin(self) -> None:
        """Let others know that from now on this process claims what it asks for."""
        self._words[self._own] = _CLAIMS

    def await_others(self, clock: Clock) -> None:
        """Wait until all the others claim what they ask for; a few seconds at the most, for one
        that was stopped must not stop this one."""
        until = clock.now() + _PATIENCE
        while any(self._words[seat] != _CLAIMS for seat in self._others()) and clock.now() < until:
            clock.sleep(_LOOK)

    def take(self, key: str) -> bool:
        """Claim the request of this *key*; False if another process has it under way.

        That this process does not claim it twice is for the caller to see to.

        Raises:
            SinkError: there are no locks any more.
        """
        place = _place(key)
        with self._lock:
            if place not in self._held:
                try:
                    if not self._try(place):
                        return False
                except OSError as error:
                    raise SinkError(f"claims cannot be locked: {error}", _MEND) from error
            self._held[place] = self._held.get(place, 0) + 1
        return True

    def give_back(self, key: str) -> None:
        """Let others claim the request of this *key*, which this process has claimed."""
        place = _place(key)
        with self._lock:
            left = self._held.pop(place) - 1
            if left:
                self._held[place] = left
            else:
                _unlock(self._fd, place)

    def tell(self, segments: int) -> None:
        """Let others know that there is one answer more, and how many segments were begun.

        Before the claim is given back: whoever gets it next finds the answer.
        """
        with self._lock:
            self._words[self._own + 1] = self._before + segments
            self._words[self._own + 2] += 1

    def news(self) -> tuple[bool, bool]:
        """Whether others have journalled anything since the last call, and in a new segment."""
        own = self._own * 8
        seen = (self._memory[:own], self._memory[own + _WORDS * 8 :])
        if seen == self._seen:
            return False, False
        self._seen = seen
        files = sum(self._words[1::_WORDS]) - self._words[self._own + 1]
        is_new, self._files = files != self._files, files
        return True, is_new

    def close(self) -> None:
        """Give everything back."""
        self._words[self._own] = _VACANT
        self._words.release()
        self._memory.close()
        with suppress(OSError):
            os.close(self._fd)

    def _sit_down(self, path: str) -> int:
        for seat in range(MOST):
            if self._try(_SEATS + seat):
                return seat
        raise SinkError(f"{path}: {MOST} processes are at this journal", "end some of them first")

    def _others(self) -> list[int]:
        """Where the words of the other processes are."""
        taken = []
        for seat, state in enumerate(self._words[::_WORDS]):
            if state == _VACANT or seat * _WORDS == self._own:
                continue
            if self._try(_SEATS + seat):  # who sat here was killed
                self._words[seat * _WORDS] = _VACANT
                _unlock(self._fd, _SEATS + seat)
            else:
                taken.append(seat * _WORDS)
        return taken

    def _try(self, place: int) -> bool:
        try:
            _lock(self._fd, place)
        except OSError as error:
            if error.errno in _HELD:
                return False
            raise
        return True


def _place(key: str) -> int:
    return _HEADER + int(key[:16], 16) % _PLACES
