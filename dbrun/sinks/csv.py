"""Records as CSV (RFC 4180), for spreadsheets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ..types import Json
from .file import PartialFile
from .table import TableSink, as_text, in_order

_SPECIAL = re.compile(r'[",\r\n]')


class CsvSink(TableSink):
    """One line a record, UTF-8; `.gz` and `.zst` compress.

    A column is a field of the records, and in place of `row` there is `row.<column>` for each
    column of the rows, in the order of their first appearance. A field that no record has is no
    column. Text stands as it is, numbers, booleans and what is nested as JSON; null and absent
    are both empty. Lone surrogates, which UTF-8 cannot spell, become their escapes. Cells that
    begin with `=` are not altered: open files of strangers' answers as text.
    """

    def write_table(self, file: PartialFile) -> None:
        """Write the header and a line for each record."""
        columns = self._columns()
        file.stream.write(_line([as_text(name) for name, _ in columns]))
        for record in self.records():
            file.stream.write(_line([_cell(_find(record, path)) for _, path in columns]))

    def _columns(self) -> list[tuple[str, tuple[str, ...]]]:
        fields: dict[str, None] = {}
        inner: dict[str, None] = {}
        for record in self.records():
            fields.update(dict.fromkeys(record))
            inner.update(dict.fromkeys(record.get("row") or ()))
        return list(_named(in_order(fields), inner))


def _named(fields: list[str], inner: Mapping[str, None]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name in fields:
        if name == "row":
            yield from ((f"row.{column}", ("row", column)) for column in inner)
        else:
            yield name, (name,)


def _find(record: Mapping[str, Json], path: tuple[str, ...]) -> Json:
    value: Json = record
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _cell(value: Json) -> str:
    return "" if value is None else as_text(value)


def _line(cells: list[str]) -> bytes:
    # The csv module of Python 3.10 refuses null characters, which answers may hold.
    quoted = (
        '"' + cell.replace('"', '""') + '"' if _SPECIAL.search(cell) else cell for cell in cells
    )
    return (",".join(quoted) + "\r\n").encode()
