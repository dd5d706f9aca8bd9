"""What a volume can do that this machine has not mounted: take files, by way of its workspace."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress

from ..client.volumes import Volumes
from ..clock import Clock
from ..findings import FAIL, OK, Check, Finding


def volume_check(subject: str, folder: str, environ: Mapping[str, str], clock: Clock) -> Check:
    """Looks at *folder* through the Files API; what it writes there is gone again at once."""
    return Check(subject=subject, look=lambda: _folder(subject, folder, environ, clock))


def _folder(
    subject: str, folder: str, environ: Mapping[str, str], clock: Clock
) -> Iterator[Finding]:
    with Volumes(environ, clock, attempts=1) as volumes:
        try:
            there = _nearest(folder, volumes)
        except OSError as error:
            yield _failed(subject, folder, error, "check the path, and ask for READ VOLUME")
            return
        if there is None:
            volume = "/".join(folder.split("/")[:5])
            said = f"there is no volume {volume} in the workspace"
            yield Finding(state=FAIL, subject=subject, said=said, mend="check the path")
            return
        trouble = _try(there, volumes)
    if trouble is not None:
        yield _failed(subject, there, trouble, "ask for WRITE VOLUME, or write elsewhere")
        return
    name = folder if there == folder else f"{folder} (to be made)"
    said = f"{name} takes files through the workspace's Files API; runs work on a copy here"
    yield Finding(state=OK, subject=subject, said=said)


def _failed(subject: str, path: str, error: OSError, mend: str) -> Finding:
    said = f"{path}: {error.strerror or error}"
    return Finding(state=FAIL, subject=subject, said=said, mend=mend)


def _nearest(folder: str, volumes: Volumes) -> str | None:
    """*folder*, or the nearest above it that is there; None if not even the volume is."""
    while folder.count("/") >= 4:
        if volumes.is_folder(folder):
            return folder
        folder = os.path.dirname(folder)
    return None


def _try(folder: str, volumes: Volumes) -> OSError | None:
    """What goes wrong when a small file is made in *folder*, read and removed."""
    path = f"{folder}/.dbrun-doctor-{secrets.token_hex(4)}"
    try:
        volumes.write(path, b"\n")
        if volumes.read(path) != b"\n":
            return OSError(0, "what was written is not what is read")
    except OSError as error:
        return error
    finally:
        with suppress(OSError):
            volumes.remove(path)
    return None
