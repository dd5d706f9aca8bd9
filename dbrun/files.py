"""Files: written whole, compressed by their extension, digested on the way."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, cast

from .errors import PluginError
from .storage import spool_folder, wants_whole_files

COMPRESSED = (".gz", ".zst")

_CHUNK = 1 << 20

# Compressed bytes at a time: few, for each can stand for many thousand.
_PACKED = 1 << 12

# Some network and FUSE file systems do not know fsync; there is nothing one could do instead.
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})


def shown(path: str, root: str) -> str:
    """*path* as messages name it: from *root* if it lies below, else whole."""
    root = os.path.join(os.path.abspath(root), "")
    return path[len(root) :] if path.startswith(root) else path


def write_whole(path: str, data: bytes) -> None:
    """Make *path* a file of *data*: as a whole or not at all, where the file system can.

    Raises:
        OSError: it cannot be written; what was there before is then still there.
    """
    if wants_whole_files(os.path.dirname(os.path.abspath(path))):
        _write(path, data)
        return
    beside = f"{path}.{os.getpid()}.tmp"
    try:
        _write(beside, data)
        move(beside, path)
    except BaseException:
        with suppress(OSError):
            os.remove(beside)
        raise


def move(source: str, target: str) -> None:
    """Rename *source* to *target*, so that it outlives a loss of power once this returns."""
    os.replace(source, target)
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(os.path.dirname(os.path.abspath(target)), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        except OSError:
            pass  # some file systems cannot; the file itself is safe
        finally:
            os.close(folder)


def copy_whole(source: str, target: str) -> None:
    """Write *target* as a copy of *source* in one go, and read it back.

    Raises:
        OSError: it cannot be written, or what is read back differs; what there is of it is
            removed, if the storage lets it.
    """
    try:
        with open(source, "rb") as original, open(target, "wb") as copy:
            shutil.copyfileobj(original, copy, _CHUNK)
            copy.flush()
            sync(copy.fileno())
        if not same_bytes(source, target):
            raise OSError(f"{target} does not hold what was written to it")
    except OSError:
        with suppress(OSError):
            os.remove(target)
        raise


def sync(fd: int) -> None:
    """Have the disk hold what was written to *fd*; quiet where a file system cannot tell."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def same_bytes(one: str, other: str) -> bool:
    """Whether both are files of the same content. Raises `OSError` if one cannot be read."""
    if not (os.path.isfile(one) and os.path.isfile(other)):
        return False
    if os.path.getsize(one) != os.path.getsize(other):
        return False
    with open(one, "rb") as left, open(other, "rb") as right:
        while True:
            chunk = left.read(_CHUNK)
            if chunk != right.read(_CHUNK):
                return False
            if not chunk:
                return True


def spool_path(path: str) -> str:
    """Where on local disk the file at *path* is made whose folder takes whole files only."""
    return os.path.join(spool_folder(path), os.path.basename(path) + ".partial")


def file_digest(path: str) -> str:
    """The SHA-256 of a file's bytes. Raises `OSError`."""
    found = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


class HashingReader(io.RawIOBase):
    """Reads a raw stream and adds every byte to *digest*."""

    def __init__(self, raw: IO[bytes], digest: hashlib._Hash) -> None:
        self._raw = raw
        self._digest = digest

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read up to the size of *buffer*."""
        count: int = self._raw.readinto(buffer)  # type: ignore[attr-defined]
        self._digest.update(memoryview(buffer)[:count])
        return count

    def close(self) -> None:
        """Close the stream below as well."""
        self._raw.close()
        super().close()


class HashingWriter(io.RawIOBase):
    """Writes to a raw stream, counting the bytes and digesting them."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        """The SHA-256 of what was written so far."""
        return self._digest.hexdigest()

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, data: Any) -> int:
        """Write some of *data*; how much, as raw streams do."""
        count = self._raw.write(data)
        self._digest.update(memoryview(data)[:count])
        self.size += count
        return count

    def tell(self) -> int:
        """How much was written."""
        return self.size

    def fileno(self) -> int:
        """The descriptor of the stream below."""
        return self._raw.fileno()

    def close(self) -> None:
        """Close the stream below as well."""
        self._raw.close()
        super().close()


def open_in(path: str, digest: hashlib._Hash | None = None) -> IO[bytes]:
    """The bytes of the file at *path*, decompressed by its extension (`.gz`, `.zst`).

    *digest* is fed with the file's own bytes as they are read.

    Raises:
        OSError: it cannot be opened.
        PluginError: `.zst`, and zstandard is not installed.
    """
    opener = decompressor(path)
    raw: Any = open(path, "rb", buffering=0)  # noqa: SIM115 - the caller closes it
    if digest is not None:
        raw = HashingReader(raw, digest)
    return opener(io.BufferedReader(raw, _CHUNK))


def decompressor(path: str) -> Callable[[Any], IO[bytes]]:
    """What makes the decompressed stream of a buffered one, by the extension of *path*."""
    if path.endswith(".gz"):
        # Buffered once more, for GzipFile reads lines in Python.
        return lambda stream: cast(
            IO[bytes], _Owning(gzip.GzipFile(fileobj=stream, mode="rb"), stream)
        )
    if path.endswith(".zst"):
        frame = _zstandard().ZstdDecompressor().decompressobj
        return lambda stream: cast(IO[bytes], io.BufferedReader(_Frames(stream, frame), _CHUNK))
    return lambda stream: cast(IO[bytes], stream)


def compressed(path: str, raw: IO[bytes]) -> IO[bytes]:
    """A stream that compresses into *raw* by the extension of *path*; the same bytes for the
    same content, whenever and from wherever they are written. Closing it leaves *raw* open.

    Raises:
        PluginError: `.zst`, and zstandard is not installed.
    """
    if path.endswith(".gz"):
        return cast(IO[bytes], gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0))
    if path.endswith(".zst"):
        return cast(IO[bytes], _zstandard().ZstdCompressor().stream_writer(raw, closefd=False))
    return raw


def bare(path: str) -> str:
    """*path* without an extension of compression: `a.jsonl` for `a.jsonl.gz`."""
    stem, extension = os.path.splitext(path)
    return stem if extension in COMPRESSED else path


class _Owning(io.BufferedReader):
    """A buffered reader that closes what the decompressor below it reads from."""

    def __init__(self, raw: Any, owned: IO[bytes]) -> None:
        super().__init__(raw, _CHUNK)
        self._owned = owned

    def close(self) -> None:
        super().close()
        self._owned.close()


class _Frames(io.RawIOBase):
    """The content of a `.zst` file, one frame after another. zstandard's own reader takes the
    end of a file that was cut off for the end of its content."""

    def __init__(self, stream: IO[bytes], frame: Callable[[], Any]) -> None:
        self._stream = stream
        self._frame = frame
        self._open: Any = None
        self._packed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and self._feed():
            pass
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _feed(self) -> bool:
        """Decompress a little more; False at the end of the file."""
        packed = self._packed or self._stream.read(_PACKED)
        if not packed:
            if self._open is not None:
                raise EOFError("the file ends in the middle of its content")
            return False
        if self._open is None:
            self._open = self._frame()
        self._ready = memoryview(self._open.decompress(packed))
        self._packed = self._open.unused_data
        if self._open.eof:
            self._open = None
        return True

    def close(self) -> None:
        super().close()
        self._stream.close()


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(data)
        stream.flush()
        sync(stream.fileno())


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise PluginError(
            "files ending in .zst need the package zstandard", "pip install 'dbrun[zstd]'"
        ) from error
    return zstandard
