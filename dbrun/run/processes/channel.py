"""Messages between a run and its worker processes: pickled values over a pipe.

Both ends are dbrun's own, of one version, over pipes that nobody else has.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
import threading
from contextlib import suppress
from typing import IO, Any

_HEADER = struct.Struct("<Q")
_PIPE = 1 << 20  # bytes: what a pipe holds should be more than one message


class Channel:
    """One end: `send` from any thread, `receive` from one."""

    def __init__(self, reading: IO[bytes], writing: IO[bytes]) -> None:
        self._reading = reading
        self._writing = writing
        self._lock = threading.Lock()
        _widen(writing.fileno())

    def send(self, message: Any) -> None:
        """Send *message* whole.

        Raises:
            OSError: the other end is gone.
            Exception: it holds what cannot be pickled; nothing was sent.
        """
        packed = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        with self._lock:
            self._writing.write(_HEADER.pack(len(packed)) + packed)
            self._writing.flush()

    def receive(self) -> Any:
        """The next message; None if the other end is gone.

        Raises:
            Exception: it holds what cannot be had here.
        """
        try:
            header = self._reading.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return None
            (size,) = _HEADER.unpack(header)
            packed = self._reading.read(size)
        except (OSError, ValueError):  # closed
            return None
        return pickle.loads(packed) if len(packed) == size else None  # noqa: S301 - our own pipe

    def close_writing(self) -> None:
        """Tell the other end that there is nothing more to come."""
        with suppress(OSError):
            self._writing.close()

    def close_reading(self) -> None:
        """Hear nothing more."""
        self._reading.close()


def _widen(fd: int) -> None:
    """Have the pipe hold more, where the system lets us."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError, AttributeError):
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE)


def standard_streams() -> Channel:
    """The channel of a worker process: its standard input and output, which from now on are
    those of nobody else. What functions print goes to standard error."""
    reading, writing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return Channel(os.fdopen(reading, "rb", buffering=_PIPE), os.fdopen(writing, "wb"))
