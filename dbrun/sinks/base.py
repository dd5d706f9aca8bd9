"""What a sink is: something that takes records in order and puts them in place whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ..context import Context
from ..encoding import encoder
from ..frozen import frozen
from ..spec.model import SinkSpec
from ..types import Json, Record

_encode = encoder(allow_nan=False, escape_all=True)


def encode_line(value: Json) -> bytes:
    """*value* as one line of JSON in UTF-8; escaped throughout if it holds lone surrogates,
    which UTF-8 cannot spell."""
    return _encode(value) + b"\n"


@frozen
class SinkAround:
    """What a sink of tables needs to know of the run: its name, which a continuation shares,
    *earlier*, the manifest of the run that finished last, and what column templates see."""

    context: Context
    variables: Mapping[str, Json]
    run: str
    earlier: Mapping[str, Any] | None = None


class Sink(Protocol):
    """Records go to a partial file; `commit` puts the whole in place, `close` alone does not.

    A sink may have `write_line(line: bytes)` beside `write`: it takes a record that is a line of
    JSON already, of the fields that the spec wants, as worker processes make them. One whose
    `write` is quick, as that of a file, says so by `may_wait = False`.
    """

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

    def redirect(self, path: str) -> None:
        """Have `commit` put what was written at *path* instead."""

    def commit(self) -> None:
        """Put what was written in place, atomically where the file system can.

        Leaves an existing file of the same bytes alone."""

    def close(self) -> None:
        """Let go of the partial file; it stays on disk if not committed."""
