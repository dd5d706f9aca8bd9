"""Records as JSON Lines on an open stream."""

from __future__ import annotations

import sys
from typing import IO

from ..errors import SinkError
from ..spec.model import SinkSpec
from ..types import Record
from .base import encode_line


class StreamSink:
    """Writes records to an open stream, standard output for one (`--out -`), as they come."""

    size: int | None = None
    digest: str | None = None

    def __init__(
        self,
        stream: IO[bytes],
        add: frozenset[str] = frozenset(),
        omit: frozenset[str] = frozenset(),
    ) -> None:
        self._stream = stream
        self._add, self._omit = add, omit

    @classmethod
    def create(cls, spec: SinkSpec) -> StreamSink:
        """A sink that writes to standard output, whatever path *spec* has."""
        return cls(sys.stdout.buffer, spec.add, spec.omit)

    def open(self) -> None:
        """Nothing: the stream is open."""

    def write(self, record: Record) -> None:
        """Write the record at once, so that a reader at the other end sees it."""
        self.write_line(encode_line(record.to_json(self._add, self._omit)))

    def write_line(self, line: bytes) -> None:
        """Write at once the record that *line* is."""
        try:
            self._stream.write(line)
            self._stream.flush()
        except OSError as error:
            raise SinkError(
                f"standard output cannot be written: {error.strerror or error}",
                "was its reader closed? the same command continues",
            ) from error

    def redirect(self, path: str) -> None:
        """Nothing: what was written is out already."""

    def commit(self) -> None:
        """Nothing: what was written is out."""

    def close(self) -> None:
        """Nothing: the stream belongs to whoever opened it."""
