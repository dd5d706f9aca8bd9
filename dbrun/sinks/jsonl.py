"""Records as JSON Lines: the results file of the contract (section 7)."""

from __future__ import annotations

from ..spec.model import SinkSpec
from ..types import Record
from .base import encode_line
from .file import PartialFile


class JsonlSink:
    """Writes records to `<path>.partial` and puts the whole in place at the end.

    `.gz` and `.zst` compress, with equal bytes for equal records. *size* and *digest* (SHA-256)
    tell of the file's bytes once it is in place.
    """

    may_wait = False

    def __init__(self, spec: SinkSpec) -> None:
        self._add, self._omit = spec.add, spec.omit
        self._file = PartialFile(spec.path)

    @classmethod
    def create(cls, spec: SinkSpec) -> JsonlSink:
        """A sink from its spec. Opens nothing yet."""
        return cls(spec)

    @property
    def size(self) -> int | None:
        """Bytes of the file in place; None before `commit`."""
        return self._file.size

    @property
    def digest(self) -> str | None:
        """The SHA-256 of the file in place; None before `commit`."""
        return self._file.digest

    def open(self) -> None:
        """Start writing. Raises `SinkError` if the place cannot be written."""
        self._file.open()

    def write(self, record: Record) -> None:
        """Take the next record. Raises `SinkError`."""
        self._file.write_line(encode_line(record.to_json(self._add, self._omit)))

    def write_line(self, line: bytes) -> None:
        """Take the next record as the line that it is. Raises `SinkError`."""
        self._file.write_line(line)

    def redirect(self, path: str) -> None:
        """Have `commit` put the file at *path* instead."""
        self._file.redirect(path)

    def commit(self) -> None:
        """Put the file in place; one of the same bytes is left alone. Raises `SinkError`."""
        self._file.commit()

    def close(self) -> None:
        """Let go of the partial file; it stays on disk if not committed."""
        self._file.close()
