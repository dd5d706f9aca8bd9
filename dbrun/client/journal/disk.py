"""What every file of the journal needs: syncing, and saying well what a disk refuses."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from ...errors import SinkError

BINARY: int = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
"""Flags of every `os.open` here: no newline translation, not inherited by children."""

# Some network and FUSE file systems do not know fsync; there is nothing one could do instead.
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})

_MENDS = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some of the quota and run the same command again",
    errno.EACCES: "make it writable, or set journal.path to a folder that is",
    errno.EPERM: "make it writable, or set journal.path to a folder that is",
    errno.EROFS: "set journal.path to a folder that can be written",
    errno.ENOTDIR: "move the file that is in the way, or set journal.path",
    errno.EEXIST: "move the file that is in the way, or set journal.path",
    errno.EMFILE: "raise the limit of open files (ulimit -n) and run the same command again",
    errno.ENFILE: "close other programs and run the same command again",
}


@contextlib.contextmanager
def reported(path: str) -> Iterator[None]:
    """Say what the disk refused about *path* as a `SinkError`."""
    try:
        yield
    except OSError as error:
        raise trouble(error, path) from error


def trouble(error: OSError, path: str) -> SinkError:
    """The `SinkError` that says where, what, and what to do."""
    said = error.strerror or "the disk refused"
    mend = _MENDS.get(error.errno or 0, "mend this and run the same command again")
    return SinkError(f"journal {path}: {said[:1].lower()}{said[1:]}", mend)


def sync_file(fd: int) -> None:
    """Have the disk hold what was written to *fd*; quiet where a file system cannot tell."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def sync_folder(folder: str) -> None:
    """Have the disk hold the names in *folder*."""
    if os.name == "nt":  # folders cannot be opened there, and need not be
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        sync_file(fd)
    finally:
        os.close(fd)


def make_folder(folder: str) -> None:
    """Create *folder* with its parents, lastingly; nothing if it exists."""
    made = False
    while not os.path.isdir(folder):
        try:
            os.makedirs(folder)
            made = True
        except FileExistsError:
            if _is_in_the_way(folder):
                raise
            # Otherwise another process has just made it, or given it up while it was empty.
    if made:
        sync_folder(os.path.dirname(os.path.abspath(folder)))


def _is_in_the_way(folder: str) -> bool:
    try:
        return not stat.S_ISDIR(os.lstat(folder).st_mode)
    except FileNotFoundError:
        return False


def write_all(fd: int, data: bytes) -> None:
    """Write the whole of *data*, however small the pieces that the system takes."""
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def write_anew(path: str, data: bytes) -> None:
    """Write the file at *path* in one go, over what is there: for storage without renames."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | BINARY, 0o666)
    try:
        write_all(fd, data)
        sync_file(fd)
    finally:
        os.close(fd)
