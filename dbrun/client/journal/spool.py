"""The folder on local disk where a journal grows whose own folder takes no appends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import cached_property

from ...storage import clear_spool, is_own_spool, make_spool, spool_folder
from .disk import BINARY, reported
from .lock import is_at, try_lock
from .segment import names, stem_of


class Spool:
    """Segments like those of any journal, each locked while its writer lives."""

    def __init__(self, journal: str) -> None:
        self._journal = journal

    @cached_property
    def folder(self) -> str:
        """Where it is, if it is there."""
        return spool_folder(self._journal)

    def exists(self) -> bool:
        """Whether there is a spool of this user on this machine."""
        return is_own_spool(self.folder)

    def make(self) -> str:
        """Make the folder; gives it back.

        Raises:
            SinkError: it cannot be made, or is not to be trusted.
        """
        with reported(self.folder):
            return make_spool(self.folder)

    def files(self) -> dict[str, str]:
        """The segments by name, oldest first, and where they are."""
        if not self.exists():
            return {}
        return {n: os.path.join(self.folder, n) for n in names(self.folder) if stem_of(n)}

    def adopt(self) -> Iterator[tuple[str, int]]:
        """The segments whose writers have ended, each with a descriptor that locks it for us."""
        for name, path in self.files().items():
            fd = hold(path)
            if fd is not None:
                yield name, fd

    def clear(self) -> None:
        """Remove the folder if nothing is in it."""
        clear_spool(self.folder)


def hold(path: str) -> int | None:
    """A descriptor that locks the file at *path*; None if it is gone or somebody else's."""
    try:
        fd = os.open(path, os.O_RDWR | BINARY)
    except (FileNotFoundError, PermissionError):
        return None
    with contextlib.suppress(OSError):
        if try_lock(fd) and is_at(fd, path):
            return fd
    os.close(fd)
    return None
