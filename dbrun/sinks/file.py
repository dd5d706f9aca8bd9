"""A file that is written under another name and put in place whole."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, cast

from ..errors import SinkError
from ..files import HashingWriter, compressed, copy_whole, move, same_bytes, spool_path
from ..storage import clear_spool, make_spool, wants_whole_files

_BUFFER = 1 << 16
_FLUSH_EVERY = 64

_MENDS = {
    errno.ENOSPC: "free some space and run the same command again; it continues",
    errno.EDQUOT: "free some of your quota and run the same command again; it continues",
    errno.EACCES: "check the permissions of the folder and run the same command again",
    errno.EPERM: "check the permissions of the folder and run the same command again",
    errno.EROFS: "the file system is read-only; choose another sink",
    errno.EISDIR: "the sink must be a file; add a file name",
    errno.ENOTDIR: "a part of the path is a file; choose another sink",
    errno.EEXIST: "a part of the path is a file; choose another sink",
    errno.ENAMETOOLONG: "choose a shorter name",
}


class PartialFile:
    """A file at *path* in the making: `open`, write to `stream`, then `commit`.

    Until then it lies under `partial` (*suffix* is put behind that name), where it stays if it is
    never committed: beside *path*, or on local disk (*is_spooled*) if the folder takes whole files
    only; `open` finds out. The content is compressed by the extension of *path* (unless *compress*
    is false). After `commit`, *size* and *digest* (SHA-256) are those of the file's bytes.
    """

    def __init__(self, path: str, *, suffix: str = "", compress: bool = True) -> None:
        self.path = os.path.realpath(path)  # a link stays a link; what it names is replaced
        self.partial = f"{self.path}.partial{suffix}"
        self.is_spooled = False
        self.size: int | None = None
        self.digest: str | None = None
        self._shown = path
        self._suffix = suffix
        self._compress = compress
        self._lines = 0
        self._writer: HashingWriter | None = None
        self._buffer: IO[bytes] | None = None
        self._stream: IO[bytes] | None = None

    @property
    def stream(self) -> IO[bytes]:
        """What to write to. Only while open."""
        assert self._stream is not None, "the sink is not open"
        return self._stream

    def open(self) -> None:
        """Make the folder and begin the partial file. Raises `SinkError`."""
        with self.failing():
            if os.path.isdir(self.path):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            folder = os.path.dirname(self.path)
            os.makedirs(folder, exist_ok=True)
            self._check_access()
            self.is_spooled = wants_whole_files(folder)
            if self.is_spooled:
                self.partial = spool_path(self.path) + self._suffix
                make_spool(os.path.dirname(self.partial))
            raw = open(self.partial, "wb", buffering=0)  # noqa: SIM115 - closed by `close`
            self._writer = HashingWriter(cast(IO[bytes], raw))
            self._buffer = cast(IO[bytes], io.BufferedWriter(self._writer, _BUFFER))
            self._stream = compressed(self.path, self._buffer) if self._compress else self._buffer

    def write_line(self, line: bytes) -> None:
        """Write *line*; every so many of them readers can see. Raises `SinkError`."""
        # Not `with self.failing()`: a context manager for each line costs more than the line.
        try:
            self.stream.write(line)
            self._lines += 1
            # A compressed stream is not flushed: that would cost compression.
            if self._lines % _FLUSH_EVERY == 0 and self._stream is self._buffer:
                self.stream.flush()
        except OSError as error:
            raise self._trouble(error) from error

    def flush(self) -> None:
        """Let readers of the partial file see all that was written. Raises `SinkError`."""
        with self.failing():
            self.stream.flush()

    def redirect(self, path: str) -> None:
        """Have `commit` put the file at *path*, whose extension is the same."""
        self.path, self._shown = os.path.realpath(path), path

    def commit(self) -> None:
        """Put the file in place; one of the same bytes is left alone. Raises `SinkError`."""
        with self.failing():
            assert self._buffer is not None, "the sink is not open"
            assert self._writer is not None
            if self._stream is not self._buffer:
                self.stream.close()
            self._buffer.flush()
            os.fsync(self._writer.fileno())
            self.size, self.digest = self._writer.size, self._writer.digest
            self.close()
            if self.is_spooled:
                self._copy_in_place()
            elif same_bytes(self.partial, self.path):
                os.remove(self.partial)
            else:
                if os.path.exists(self.path):
                    shutil.copymode(self.path, self.partial)
                move(self.partial, self.path)

    def close(self) -> None:
        """Let go of the file; the partial one stays on disk if not committed."""
        for stream in (self._stream, self._buffer):
            # What cannot be written any more was reported when it was tried, or is not wanted.
            with suppress(OSError, ValueError):
                if stream is not None:
                    stream.close()
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()
        self._stream = self._buffer = self._writer = None

    def _copy_in_place(self) -> None:
        try:
            if not same_bytes(self.partial, self.path):
                copy_whole(self.partial, self.path)
        except OSError as error:
            raise self._trouble(error, f"; they are kept in {self.partial}") from error
        with suppress(OSError):
            os.remove(self.partial)
        clear_spool(os.path.dirname(self.partial))

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Turns an `OSError` into a `SinkError` with the path and what to do."""
        try:
            yield
        except OSError as error:
            raise self._trouble(error) from error

    def _trouble(self, error: OSError, more: str = "") -> SinkError:
        why = error.strerror or str(error)
        why = why[:1].lower() + why[1:]
        # Unless they are on their way to their folder, it is the spool that cannot be written.
        shown = self.partial if self.is_spooled and not more else self._shown
        return SinkError(
            f"{shown}: the results cannot be written: {why}{more}",
            _MENDS.get(error.errno or 0, "mend the storage and run the same command again"),
        )

    def _check_access(self) -> None:
        # The final file is written at the end of the run; better to hear of it now.
        if os.path.exists(self.path) and not os.access(self.path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
