"""Which requests are under way in any of several processes of this machine.

One small file on local disk, which no process writes lines to: a request is claimed by locking
one byte of it, far behind its end, whose place the key tells. The system gives the byte back when
its holder ends, however that happens. The beginning of the file is shared memory, where every
process counts what it has journalled, so that others know when there is something to read.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
import tempfile
import threading
from contextlib import suppress

from ...errors import SinkError
from .disk import BINARY

_HEADER = 4096
_COUNTS = 2  # of each process: segments begun, answers journalled
_SIZE = 8 * _COUNTS
_HELD = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})
_MEND = "set TMPDIR to a folder on a local disk, or limits.processes to 1"
MOST = _HEADER // _SIZE
"""How many processes can share a file of claims."""

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

    _PLACES = 1 << 62

    def _lock(fd: int, place: int) -> None:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)

    def _unlock(fd: int, place: int) -> None:
        fcntl.lockf(fd, fcntl.LOCK_UN, 1, place)


def create_claims() -> str:
    """A new file of claims; gives its path. Whoever made it removes it.

    Raises:
        SinkError: the folder for temporary files cannot be written.
    """
    try:
        fd, path = tempfile.mkstemp(prefix="dbrun-claims-")
        try:
            os.ftruncate(fd, _HEADER)
        finally:
            os.close(fd)
    except OSError as error:
        raise SinkError(f"temporary files cannot be written: {error}", _MEND) from error
    return path


class Claims:
    """The claims at *path* as process number *number* sees them. Safe for threads.

    Two keys may share a byte: then one of them waits for the other, and no harm is done.
    """

    def __init__(self, path: str, number: int) -> None:
        if not 0 <= number < MOST:
            raise ValueError(f"there is no room for process {number} of {MOST}")
        self._fd = os.open(path, os.O_RDWR | BINARY)
        self._memory = mmap.mmap(self._fd, _HEADER)
        self._counts = memoryview(self._memory).cast("Q")
        self._own = number * _COUNTS
        self._lock = threading.Lock()
        self._held: dict[int, int] = {}
        self._seen = (b"", b"")
        self._files = -1

    def take(self, key: str) -> bool:
        """Claim the request of this *key*; False if another process has it under way.

        That this process does not claim it twice is for the caller to see to.

        Raises:
            SinkError: there are no locks where temporary files are.
        """
        place = _place(key)
        with self._lock:
            if place not in self._held:
                try:
                    _lock(self._fd, place)
                except OSError as error:
                    if error.errno in _HELD:
                        return False
                    raise SinkError(f"temporary files cannot be locked: {error}", _MEND) from error
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
            self._counts[self._own] = segments
            self._counts[self._own + 1] += 1

    def news(self) -> tuple[bool, bool]:
        """Whether others have journalled anything since the last call, and in a new segment."""
        own = self._own * 8
        seen = (self._memory[:own], self._memory[own + _SIZE :])
        if seen == self._seen:
            return False, False
        self._seen = seen
        files = sum(self._counts[::_COUNTS]) - self._counts[self._own]
        is_new, self._files = files != self._files, files
        return True, is_new

    def close(self) -> None:
        """Give everything back."""
        self._counts.release()
        self._memory.close()
        with suppress(OSError):
            os.close(self._fd)


def _place(key: str) -> int:
    return _HEADER + int(key[:16], 16) % _PLACES
