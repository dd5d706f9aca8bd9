"""What a folder can do: take files, appends and renames, and how much more of them."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress

from ..findings import FAIL, OK, WARN, Check, Finding
from ..storage import is_remote, lacking_root, nearest, spool_folder, wants_whole_files

_LITTLE = 200_000_000
"""Bytes: less free space than this is worth a warning."""

_MENDS = {
    errno.EACCES: "ask for the permission to write there, or write elsewhere",
    errno.EPERM: "ask for the permission to write there, or write elsewhere",
    errno.EROFS: "it is mounted for reading only: write elsewhere",
    errno.ENOSPC: "make room, or write elsewhere",
    errno.EDQUOT: "make room, or write elsewhere",
}


def folder_check(subject: str, folder: str) -> Check:
    """Looks at *folder*; what it writes there is gone again at once."""
    return Check(subject=subject, look=lambda: _folder(subject, os.path.abspath(folder)))


def _folder(subject: str, folder: str) -> Iterator[Finding]:
    there = nearest(folder)
    lacking = lacking_root(folder)
    if lacking is not None:
        said, mend = f"there is no {lacking}", "check the path, and that this machine has Volumes"
        yield Finding(state=FAIL, subject=subject, said=said, mend=mend)
        return
    if not os.path.isdir(there):
        said = f"{there} is no folder"
        yield Finding(state=FAIL, subject=subject, said=said, mend="name another path")
        return
    trouble = _try(there)
    if trouble is not None:
        why = (trouble.strerror or str(trouble)).lower()
        mend = _MENDS.get(trouble.errno or 0, "write elsewhere")
        said = f"{there} takes no new file: {why}"
        yield Finding(state=FAIL, subject=subject, said=said, mend=mend)
        return
    name = folder if there == folder else f"{folder} (to be made)"
    if not wants_whole_files(there):
        yield Finding(
            state=OK, subject=subject, said=f"{name} takes new files, appends and renames"
        )
        yield from _space(subject, there)
        return
    spool = spool_folder(folder)
    said = f"{name} takes new whole files; what grows is kept in {os.path.dirname(spool)} first"
    yield Finding(state=OK, subject=subject, said=said)
    if not is_remote(os.path.join(there, "x")):  # of those the system tells anything
        yield from _space(subject, there)
    yield from _spool(spool)


def _spool(spool: str) -> Iterator[Finding]:
    there = nearest(spool)
    trouble = _try(there)
    if trouble is not None or is_remote(spool) or wants_whole_files(there):
        said = f"{spool} takes no appends" if trouble is None else f"{there} cannot be written"
        mend = "set DBRUN_SPOOL to a folder of a local disk"
        yield Finding(state=FAIL, subject="spool", said=said, mend=mend)
        return
    yield from _space("spool", there)


def _space(subject: str, folder: str) -> Iterator[Finding]:
    """How much room there is; nothing where the system does not tell."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return
    said = f"{free / 1e9:,.1f} GB free" if free >= 1e9 else f"{free / 1e6:,.0f} MB free"
    state, mend = (OK, "") if free >= _LITTLE else (WARN, "make room before a long run")
    yield Finding(state=state, subject=subject, said=said, mend=mend)


def _try(folder: str) -> OSError | None:
    """What goes wrong when a small file is made in *folder*, read and removed."""
    path = os.path.join(folder, f".dbrun-doctor-{secrets.token_hex(4)}")
    try:
        try:
            with open(path, "xb") as file:
                file.write(b"\n")
            with open(path, "rb") as file:
                if file.read() != b"\n":
                    return OSError(errno.EIO, "what was written is not what is read")
        finally:
            with suppress(FileNotFoundError):
                os.unlink(path)
    except OSError as error:
        return error
    return None
