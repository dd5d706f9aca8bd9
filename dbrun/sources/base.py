"""What a source is: something that yields rows' values, one mapping after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol

from ..context import Context
from ..types import Json


class Source(Protocol):
    """Streams rows; never holds them all.

    `rows` yields `(where, values)`: *where* says in a person's words which row it is
    (`data/tickets.jsonl:17`), *values* is the mapping of its columns, JSON values only.
    """

    options: ClassVar[Mapping[str, Json]]
    """JSON Schema (an object with `properties`) of the source's own options."""

    folder: str | None
    """The folder that files named by rows must lie below; None forbids them."""

    @classmethod
    def create(cls, options: Mapping[str, Any], context: Context) -> Source:
        """A source from its options, already valid. Reads nothing yet."""

    def rows(self) -> Iterator[tuple[str, Mapping[str, Json]]]:
        """The rows in their order. Raises `SourceError` naming file and line."""

    def columns(self) -> frozenset[str] | None:
        """The columns' names where they can be known cheaply, else None."""

    def count(self) -> int | None:
        """How many rows there are, where that can be told cheaply, else None. For progress."""

    def digest(self) -> str | None:
        """A digest of what was read (files: SHA-256 of their bytes), where there is one."""


def pin(source: Source, recorded: Json = None) -> Json:
    """Have *source* settle on one state of what it reads, and say which; None if it knows none.

    *recorded* is what this gave for the run that is continued, or looked at again: the state to
    read. A source of tables says `{"id": …, "version": …}`, by a method `pin(recorded)`.
    """
    settle = getattr(source, "pin", None)
    return settle(recorded) if settle is not None else None


def present(source: Source) -> tuple[tuple[str, ...], str] | None:
    """What *source* would read now, the files' names and the digest of their bytes; None if that
    cannot be told beforehand. A source of files says it, by a method `present()`.

    Raises:
        SourceError: there is nothing to read, or it cannot be read.
    """
    tell = getattr(source, "present", None)
    return tell() if tell is not None else None


def as_read(source: Source) -> tuple[tuple[str, ...], str] | None:
    """What `present` would have told of what the rows of *source* were read from; None if that
    is not known, or before all are read. A source of files says it, by a method `as_read()`."""
    tell = getattr(source, "as_read", None)
    return tell() if tell is not None else None
