"""Rows written into the pipeline file, or handed over by a program."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any, ClassVar

from ..canonical import canonical
from ..context import Context
from ..errors import SourceError
from ..types import Json
from ..values import plain


class RowsSource:
    """Rows from an iterable of mappings. One that can be iterated once can be read once."""

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["rows"],
        "properties": {
            "rows": {
                "type": "array",
                "items": {"type": "object"},
                "description": "The rows themselves, as a list of mappings.",
            }
        },
    }

    def __init__(self, rows: Iterable[Mapping[str, Any]], folder: str | None) -> None:
        self.folder = folder
        self.may_wait = not isinstance(rows, (list, tuple))
        self._rows = rows
        self._digest: str | None = None
        self._is_used_up = False

    @classmethod
    def create(cls, options: Mapping[str, Any], context: Context) -> RowsSource:
        """A source from its options, already valid. Reads nothing yet."""
        return cls(options["rows"], context.folder)

    def rows(self) -> Iterator[tuple[str, Mapping[str, Json]]]:
        """The rows in their order. Raises `SourceError` for one that JSON cannot hold."""
        if self._is_used_up:
            raise SourceError("the rows were read already", "hand over a list, or a new iterator")
        if hasattr(self._rows, "columns") and not isinstance(self._rows, Mapping):
            raise SourceError(
                f"the rows are a {type(self._rows).__name__}, not an iterable of mappings",
                "hand over table.to_dict('records') of pandas, table.to_dicts() of polars",
            )
        self._is_used_up = isinstance(self._rows, Iterator)
        digest = hashlib.sha256()
        for number, row in enumerate(self._rows, 1):
            where = f"row {number}"
            values = plain_row(row, where)
            digest.update(canonical(values))
            yield where, values
        self._digest = digest.hexdigest()

    def count(self) -> int | None:
        """The number of rows, of an iterable that knows it."""
        return len(self._rows) if isinstance(self._rows, Sized) else None

    def columns(self) -> frozenset[str] | None:
        """The columns of all rows, where they can be looked at without using them up."""
        if not isinstance(self._rows, (list, tuple)):
            return None
        return frozenset(name for row in self._rows if isinstance(row, Mapping) for name in row)

    def digest(self) -> str | None:
        """The SHA-256 of the rows' canonical JSON; None before all are read."""
        return self._digest


def plain_row(row: Any, where: str) -> Mapping[str, Json]:
    """*row* made of JSON values. Raises `SourceError` if it is no mapping or cannot be."""
    if not isinstance(row, Mapping):
        raise SourceError(f"{where}: a mapping is wanted, not {type(row).__name__}")
    try:
        values: Mapping[str, Json] = plain(row)
    except ValueError as error:
        raise SourceError(f"{where}: a row cannot hold {error}") from error
    return values
