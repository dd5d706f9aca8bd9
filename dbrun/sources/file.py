"""What sources that read files have in common: which files, in which order, and their digest."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
import sys
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import IO, Any, ClassVar

from ..context import Context
from ..errors import DbrunError, SourceError
from ..files import COMPRESSED, bare, open_in, shown
from ..spelling import nearest
from ..types import Json
from .places import Here, Place, place_of

PATH: Mapping[str, Json] = {
    "type": "string",
    "x-kind": "path",
    "description": "A file, a folder, a glob (** for any depth), or - for standard input.",
}

STANDARD_INPUT = "-"

_PIECE = 1 << 20  # bytes

Rows = Iterator[tuple[str, Mapping[str, Json]]]


def is_pipe(path: str) -> bool:
    """Whether *path* is a named pipe."""
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


class FileSource(ABC):
    """Rows from one file, or from several in the order of their paths.

    A folder stands for the files in it whose extension is one of *extensions*; hidden ones and
    those whose name begins with `_`, which other tools leave as marks, are passed over.
    """

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["path"],
        "properties": {"path": PATH},
    }
    extensions: ClassVar[tuple[str, ...]] = ()
    """Extensions of the files that a folder stands for; empty means all files."""

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        self._path: str = options["path"]
        self._root = context.project
        self._read: tuple[tuple[str, ...], str] | None = None
        self._began = False
        self._place = place_of(self._path, context)

    @classmethod
    def create(cls, options: Mapping[str, Any], context: Context) -> FileSource:
        """A source from its options, already valid. Reads nothing yet."""
        return cls(options, context)

    @cached_property
    def folder(self) -> str | None:
        """The folder that files named by rows must lie below; None forbids them."""
        return _folder(self._path, self._place)

    @property
    def may_wait(self) -> bool:
        """Whether reading may wait for somebody: who writes to standard input or a named pipe, or
        a workspace."""
        return not self.is_at_hand or is_pipe(self._path)

    @property
    def is_at_hand(self) -> bool:
        """Whether files can be looked into beforehand, for columns and numbers of rows."""
        return self._path != STANDARD_INPUT and isinstance(self._place, Here)

    def rows(self) -> Rows:
        """The rows of all files, in order. Raises `SourceError` naming file and line."""
        digest = hashlib.sha256()
        paths = self.files()
        for path in paths:
            yield from self.read_file(path, digest)
        self._read = tuple(paths), digest.hexdigest()

    @abstractmethod
    def read_file(self, path: str, digest: hashlib._Hash) -> Rows:
        """The rows of one file; feeds *digest* with the file's bytes."""

    def columns(self) -> frozenset[str] | None:
        """The columns' names where they can be known cheaply, else None."""
        return None

    def count(self) -> int | None:
        """How many rows there are, where it can be told without reading them, else None."""
        return None

    def digest(self) -> str | None:
        """The SHA-256 of the files' bytes, one file after the other; None before all are read."""
        return self._read[1] if self._read is not None else None

    def as_read(self) -> tuple[tuple[str, ...], str] | None:
        """What `present` would have told while the rows were read; None before all are read."""
        return None if self.may_wait else self._read

    def present(self) -> tuple[tuple[str, ...], str] | None:
        """The files that there are now, and what `digest` would be of them; None of what can be
        read but once, or lies elsewhere. Raises `SourceError` if they cannot be read."""
        if self.may_wait:
            return None
        paths = self.files()
        digest = hashlib.sha256()
        for path in paths:
            with self.opened(path), open(path, "rb") as stream:
                while piece := stream.read(_PIECE):
                    digest.update(piece)
        return tuple(paths), digest.hexdigest()

    def files(self) -> list[str]:
        """The files to read, in order. Raises `SourceError` if there are none."""
        path = self._path
        if path == STANDARD_INPUT:
            return [path]
        try:
            return self._found(path, self._place)
        except OSError as error:
            raise self.unreadable(path, error) from error

    def _found(self, path: str, place: Place) -> list[str]:
        if place.is_file(path):
            return [path]
        if place.is_folder(path):
            return self._in_folder(path, place)
        if glob.has_magic(path):
            if found := place.matching(path):
                return found
            raise SourceError(f"{self.shown(path)}: no file fits", "check source.path")
        if os.path.exists(path):
            return [path]  # a pipe, for one
        raise SourceError(f"{self.shown(path)}: there is no such file", _neighbours(path, place))

    def shown(self, path: str) -> str:
        """*path* as messages name it."""
        return "standard input" if path == STANDARD_INPUT else shown(path, self._root)

    @contextmanager
    def opened(self, path: str, digest: hashlib._Hash | None = None) -> Iterator[IO[bytes]]:
        """The decompressed bytes of a file; what fails in reading it becomes a `SourceError`."""
        if path == STANDARD_INPUT:
            if self._began:
                raise SourceError("standard input can be read only once", "save it to a file")
            self._began = True
            yield sys.stdin.buffer
            return
        try:
            with self._place.brought(path) as there, open_in(there, digest) as stream:
                yield stream
        except DbrunError:
            raise
        except (OSError, EOFError, zlib.error) as error:
            raise self.unreadable(path, error) from error
        except Exception as error:
            if type(error).__name__ != "ZstdError":  # zstandard is optional, and so is its name
                raise
            raise self.unreadable(path, error) from error

    def unreadable(self, path: str, error: Exception) -> SourceError:
        """The error that *path* cannot be read."""
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        hint = ""
        if isinstance(error, PermissionError):
            is_here = isinstance(self._place, Here)
            hint = (
                "check the file's permissions" if is_here else "ask for READ VOLUME on the volume"
            )
        if path.endswith(COMPRESSED):
            hint = hint or f"is it really {os.path.splitext(path)[1]}, and complete?"
        return SourceError(f"{self.shown(path)}: cannot be read: {why}", hint)

    def _in_folder(self, folder: str, place: Place) -> list[str]:
        found = [
            os.path.join(folder, name)
            for name in place.files(folder)
            if not name.startswith((".", "_"))
            and (not self.extensions or bare(name).lower().endswith(self.extensions))
        ]
        if not found:
            what = " or ".join(self.extensions) or "a file"
            raise SourceError(
                f"{self.shown(folder)}: the folder holds no {what}",
                "write a glob if the files are named otherwise",
            )
        return found


def decoded(data: bytes, name: str) -> str:
    """*data* as text; *name* is how the place of it is called. Raises `SourceError`."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(data, error, name) from error


def not_utf8(data: bytes, error: UnicodeDecodeError, name: str) -> SourceError:
    """The error that *data* is not UTF-8."""
    what = f"byte 0x{data[error.start]:02x} is not UTF-8"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        what = "the file is UTF-16"
    return SourceError(f"{name}: {what}", "save the file as UTF-8")


def _folder(path: str, place: Place) -> str | None:
    if path == STANDARD_INPUT:
        return None
    try:
        if place.is_folder(path):
            return path
        folder = os.path.dirname(path)
        while glob.has_magic(folder) and not place.is_folder(folder):
            folder = os.path.dirname(folder)
    except OSError:  # reading will say so
        return None
    return folder


def _neighbours(path: str, place: Place) -> str:
    folder, name = os.path.split(path)
    if not place.is_folder(folder):
        return f"nor is there a folder {os.path.basename(folder)}"
    names = [one for one in place.names(folder) if not one.startswith(".")]
    near = nearest(name, names)
    if near is not None:
        return f"did you mean '{near}'?"
    if not names:
        return "its folder is empty"
    shown_names = ", ".join(names[:8])
    return f"its folder has {shown_names}" + (" and more" if len(names) > 8 else "")
