"""What a sink is: something that takes records in order and puts them in place whole."""

from __future__ import annotations

from typing import Protocol

from ..spec.model import SinkSpec
from ..types import Record


class Sink(Protocol):
    """Records go to a partial file; `commit` puts the whole in place, `close` alone does not."""

    size: int
    """Bytes of what was put in place; known after `commit`."""

    digest: str
    """SHA-256 of what was put in place, in hexadecimal; known after `commit`."""

    @classmethod
    def create(cls, spec: SinkSpec) -> Sink:
        """A sink from its spec. Opens nothing yet."""

    def open(self) -> None:
        """Start writing. Raises `SinkError` if the place cannot be written."""

    def write(self, record: Record) -> None:
        """Take the next record."""

    def commit(self) -> None:
        """Put what was written in place, atomically where the file system can.

        Leaves an existing file of the same bytes alone."""

    def close(self) -> None:
        """Let go of the partial file; it stays on disk if not committed."""
