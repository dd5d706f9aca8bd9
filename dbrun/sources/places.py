"""Where the files of a source are: on this machine, or on a volume that it has not mounted."""

from __future__ import annotations

import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from ..context import Context
from ..storage import clear_spool, is_away, make_spool, spool_folder

if TYPE_CHECKING:
    from ..client.volumes import Volumes


class Place(Protocol):
    """What a source asks of the place that its files are at. Raises `OSError`."""

    def is_file(self, path: str) -> bool:
        """Whether there is a file at *path*."""

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder at *path*."""

    def names(self, folder: str) -> list[str]:
        """The names in *folder*, in order."""

    def files(self, folder: str) -> list[str]:
        """The names of the files in *folder*, in order."""

    def matching(self, pattern: str) -> list[str]:
        """The files that fit a glob, in order."""

    def brought(self, path: str) -> AbstractContextManager[str]:
        """Where on a disk of this machine the file at *path* can be read meanwhile."""


class Here:
    """This machine."""

    def is_file(self, path: str) -> bool:
        """As `Place.is_file`."""
        return os.path.isfile(path)

    def is_folder(self, path: str) -> bool:
        """As `Place.is_folder`."""
        return os.path.isdir(path)

    def names(self, folder: str) -> list[str]:
        """As `Place.names`."""
        return sorted(os.listdir(folder))

    def files(self, folder: str) -> list[str]:
        """As `Place.files`."""
        return [name for name in self.names(folder) if os.path.isfile(os.path.join(folder, name))]

    def matching(self, pattern: str) -> list[str]:
        """As `Place.matching`."""
        return sorted(path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))

    @contextmanager
    def brought(self, path: str) -> Iterator[str]:
        """As `Place.brought`."""
        yield path


class Away:
    """A volume, by way of its workspace. A file is brought to the spool and removed after use."""

    def __init__(self, path: str, context: Context) -> None:
        self._path = path
        self._context = context
        self._connected: Volumes | None = None

    def is_file(self, path: str) -> bool:
        """As `Place.is_file`."""
        return self._volumes.look(path) is not None

    def is_folder(self, path: str) -> bool:
        """As `Place.is_folder`."""
        return self._volumes.is_folder(path)

    def names(self, folder: str) -> list[str]:
        """As `Place.names`."""
        return sorted(entry.name for entry in self._volumes.listing(folder))

    def files(self, folder: str) -> list[str]:
        """As `Place.files`."""
        entries = self._volumes.listing(folder)
        return sorted(entry.name for entry in entries if not entry.is_folder)

    def matching(self, pattern: str) -> list[str]:
        """As `Place.matching`."""
        from ..client.volumes import matching

        return matching(pattern, self._volumes.listing)

    @contextmanager
    def brought(self, path: str) -> Iterator[str]:
        """As `Place.brought`."""
        folder = spool_folder(f"{path} brought")
        name, held = _create(folder, os.path.basename(path))
        try:
            self._volumes.fetch(path, name)
            yield name
        finally:
            with suppress(OSError):
                os.unlink(name)
            os.close(held)
            clear_spool(folder)

    @property
    def _volumes(self) -> Volumes:
        if self._connected is None:
            from ..client.volumes import Volumes, refuse_unknown

            refuse_unknown(self._path, self._context.environ)
            self._connected = Volumes(self._context.environ, self._context.clock)
        return self._connected


def place_of(path: str, context: Context) -> Place:
    """Where *path* is."""
    return Away(path, context) if is_away(path, context.environ) else Here()


def _create(folder: str, name: str) -> tuple[str, int]:
    """A new file in the spool *folder*, and what locks it; those of killed processes go."""
    from ..client.journal.lock import create_locked, locked

    while True:
        make_spool(folder)
        for left in os.listdir(folder):
            with locked(os.path.join(folder, left)) as found, suppress(OSError):
                if found is not None:
                    os.unlink(os.path.join(folder, left))
        path = os.path.join(folder, f"{secrets.token_hex(4)}-{name}")
        if (held := create_locked(path)) >= 0:
            return path, held
