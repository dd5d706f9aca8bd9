"""What a folder takes: appends and renames, or whole files only.

Volumes, workspace files and DBFS (`/Volumes`, `/Workspace`, `/dbfs`) take no appends and no
random writes; renaming, links and locks are not to be relied on (Databricks, "What are Unity
Catalog volumes?", limitations; "What are workspace files?", limitations). A file there is written
in one go and read back; what grows is kept in a *spool* on local disk until it can be.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress

REMOTE_ROOTS = ("/Volumes/", "/Workspace/", "/dbfs/")

_PARTS = {"Volumes": 4, "Workspace": 1, "dbfs": 1}
"""Remote root → how many parts of a path there must be somebody else's making."""

_AWAY = "away"
_PROBE = ".dbrun-probe"
_TRIES = 3
_NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)

# Trouble that says nothing about what the file system can do: whoever writes next will tell.
_NO_TELLING = frozenset(
    {errno.ENOENT, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EROFS}
)


def is_remote(path: str) -> bool:
    """Whether *path* lies, by its name, on storage that wants one sequential write a file."""
    return os.path.abspath(path).startswith(REMOTE_ROOTS)


def is_away(path: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether *path* lies, by its name, on a volume that this machine has not mounted.

    On compute of Databricks all volumes are mounted, or not to be had. Elsewhere none is, unless
    somebody made that folder; but macOS has its disks at `/Volumes`.
    """
    parts = path.split("/")
    if len(parts) < 5 or parts[:2] != ["", "Volumes"] or not all(parts[1:5]):
        return False
    if environ.get("DATABRICKS_RUNTIME_VERSION") or os.path.isdir("/".join(parts[:5])):
        return False
    disk = "/".join(parts[:3])
    return not os.path.ismount(disk) and not os.path.islink(disk)


def nearest(path: str) -> str:
    """*path*, or the nearest thing above it that exists."""
    while not os.path.lexists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def lacking_root(path: str) -> str | None:
    """The volume (or other root) that *path* lies on, by its name, if it is not there: nobody
    makes those by making folders."""
    path = os.path.abspath(path)
    if not is_remote(path):
        return None
    parts = path.split(os.sep)
    root = os.sep.join(parts[: _PARTS.get(parts[1], 1) + 1])
    return None if os.path.lexists(root) else root


def mirror_of(path: str, url: str) -> str:
    """Where on local disk what lies at *path*, on a volume of the workspace at *url*, is worked on.

    The same in every process; nothing is made.
    """
    host = re.sub(r"[^\w.-]", "_", url.partition("://")[2])
    return os.path.join(_root(), _AWAY, host, path.lstrip("/"))


def mirrored(path: str) -> str | None:
    """The path on a volume that *path* is the mirror of; None if it is none."""
    found = re.fullmatch(re.escape(os.path.join(_root(), _AWAY)) + r"/[^/]+(/Volumes/.*)", path)
    return found[1] if found else None


def spoken(text: str) -> str:
    """*text* with the paths of volumes in place of those of their mirrors."""
    root = os.path.join(_root(), _AWAY)
    return re.sub(re.escape(root) + r"/[^/\s]+(?=/Volumes/)", "", text) if root in text else text


def make_mirrors() -> None:
    """Make the folder that holds all mirrors, for this user only. Raises `OSError`."""
    make_spool(os.path.join(_root(), _AWAY))


def wants_whole_files(folder: str) -> bool:
    """Whether each file in *folder* must be written in one go: known by its name, or by trying.

    Trying makes a file of two bytes there, for a moment. A folder that cannot be written at all
    is one that does not: the next write says what is wrong with it.
    """
    return is_remote(os.path.join(folder, "x")) or not _takes_appends(folder)


def _takes_appends(folder: str) -> bool:
    """Whether a file in *folder* can be appended to and renamed.

    Under the same names as ever, so that what a killed process leaves is cleared away by the next
    one. Two at once disturb each other: a no counts only under a name that nobody else has.
    """
    names = [_PROBE] * _TRIES + [f"{_PROBE}-{os.urandom(4).hex()}"]
    for name in names:
        try:
            if _append(os.path.join(folder, name)):
                return True
        except OSError as error:
            if error.errno != errno.ENOENT or name != _PROBE:
                return error.errno in _NO_TELLING
    return False


def _append(path: str) -> bool:
    """Append to a new file, twice, and rename it; false if what was written is not there."""
    renamed = path + "-renamed"
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _NO_LINK, 0o600))
    except OSError as error:
        raise OSError(errno.EROFS, "nothing can be told") from error
    try:
        for _ in range(2):
            fd = os.open(path, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(fd, b"\n")
            finally:
                os.close(fd)
        os.replace(path, renamed)
        return os.path.getsize(renamed) == 2
    finally:
        for made in (path, renamed):
            with suppress(OSError):
                os.unlink(made)


def spool_folder(path: str) -> str:
    """The folder on local disk for what is to lie at *path*; the same one in every process.

    It lies below `DBRUN_SPOOL`, else below the system's folder for temporary files (`TMPDIR`).
    Nothing is made.
    """
    whole = os.path.realpath(path)
    digest = hashlib.sha256(os.fsencode(whole)).hexdigest()[:16]
    return os.path.join(_root(), f"{os.path.basename(whole)[-100:]}-{digest}")


def make_spool(folder: str) -> str:
    """Make a `spool_folder`, for this user only; gives it back.

    Raises:
        OSError: it cannot be made, another user has made it, or it takes no appends itself.
    """
    root = os.path.dirname(folder)
    os.makedirs(os.path.dirname(root), exist_ok=True)
    for part in (root, folder):
        with suppress(FileExistsError):
            os.mkdir(part, 0o700)
    if not is_own_spool(folder):
        raise PermissionError(errno.EACCES, "the spool belongs to somebody else", folder)
    if is_remote(folder):
        raise OSError(errno.ENOTSUP, "the spool must lie on a local disk", folder)
    return folder


def is_own_spool(folder: str) -> bool:
    """Whether *folder* is there and nobody but this user can have put anything into it."""
    if not hasattr(os, "getuid"):
        return os.path.isdir(folder)
    for part in (os.path.dirname(folder), folder):
        try:
            found = os.lstat(part)
        except OSError:
            return False
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            return False
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return False
    return True


def clear_spool(folder: str) -> None:
    """Remove the spool *folder* if nothing is in it."""
    with suppress(OSError):
        os.rmdir(folder)


def _root() -> str:
    """One root a user: in a folder for everybody, names can be guessed."""
    # Not `tempfile.gettempdir`, which writes a file to find out, even where nothing is spooled.
    named = (os.environ.get(name) for name in ("DBRUN_SPOOL", "TMPDIR", "TEMP", "TMP"))
    wanted = next(filter(None, named), "/tmp")  # noqa: S108 - a folder of its own is made in it
    user = os.getuid() if hasattr(os, "getuid") else "spool"
    return os.path.join(os.path.abspath(wanted), f"dbrun-{user}")
