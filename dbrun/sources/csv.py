"""CSV with a header line, UTF-8; every value is text."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from typing import IO, Any, ClassVar

from ..context import Context
from ..errors import SourceError
from ..files import bare
from ..types import Json
from .file import PATH, FileSource, Rows, decoded

_LONGEST_FIELD = 2**31 - 1
_AS_IT_WAS = "surrogateescape"
_UNCLOSED = "unexpected end of data"


class CsvSource(FileSource):
    """Rows from CSV (`.csv`, `.tsv`, also `.gz` and `.zst`), streamed; RFC 4180 with any line end.

    The first line names the columns. Values stay text: `007` is not a number. A line with more
    or fewer fields than the header is an error. `.tsv` files are split at tabs, others at
    commas, unless `delimiter` says otherwise.
    """

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["path"],
        "properties": {
            "path": PATH,
            "delimiter": {
                "type": "string",
                "minLength": 1,
                "maxLength": 1,
                "description": "What separates fields; a comma, and a tab in .tsv files.",
            },
        },
    }
    extensions = (".csv", ".tsv")

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        super().__init__(options, context)
        self._delimiter: str | None = options.get("delimiter")

    def read_file(self, path: str, digest: hashlib._Hash) -> Rows:
        """The rows of one file; `where` is `file:line`, the line that a row begins at."""
        name = self.shown(path)
        with self.opened(path, digest) as stream:
            reader = self._reader(path, stream, name)
            header = self._header(reader, name)
            width = len(header)
            while True:
                where = f"{name}:{reader.line_num + 1}"
                fields = _next(reader, name)
                if fields is None:
                    return
                if len(fields) == width:
                    yield where, dict(zip(header, fields, strict=True))
                elif fields:  # a blank line has none
                    raise _ragged(header, fields, where)

    def columns(self) -> frozenset[str] | None:
        """The header of the first file; None where it cannot be read (the run will say why)."""
        if not self.is_at_hand:
            return None
        try:
            path = self.files()[0]
            with self.opened(path) as stream:
                name = self.shown(path)
                return frozenset(self._header(self._reader(path, stream, name), name))
        except SourceError:
            return None

    def _reader(self, path: str, stream: IO[bytes], name: str) -> Any:
        # The limit is the module's own and cannot be set for one reader.
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_FIELD))
        is_tsv = bare(path).lower().endswith(".tsv")
        delimiter = self._delimiter or ("\t" if is_tsv else ",")
        return csv.reader(_lines(stream, name), delimiter=delimiter, strict=True)

    def _header(self, reader: Any, name: str) -> list[str]:
        header = _next(reader, name)
        while header == []:
            header = _next(reader, name)
        if header is None:
            raise SourceError(f"{name}: the file is empty", "its first line must name the columns")
        twice = {column for column in header if header.count(column) > 1}
        if twice:
            named = ", ".join(f"'{column}'" for column in sorted(twice))
            raise SourceError(
                f"{name}:{reader.line_num}: the header names {named} more than once",
                "give every column a name of its own",
            )
        return header


def _lines(stream: IO[bytes], name: str) -> Iterator[str]:
    """The lines of *stream*, each with its end as it is: also that of old spreadsheets, a lone
    carriage return."""
    # What is no UTF-8 is kept as it was, so that it is told of the line that it stands in.
    text = io.TextIOWrapper(stream, encoding="utf-8", errors=_AS_IT_WAS, newline="")
    try:
        for number, line in enumerate(text, 1):
            if not line.isascii():
                decoded(line.encode("utf-8", _AS_IT_WAS), f"{name}:{number}")
            yield line.removeprefix("\ufeff") if number == 1 else line
    finally:
        with contextlib.suppress(ValueError):  # it is closed already
            text.detach()  # the stream is closed by whoever has opened it


def _next(reader: Any, name: str) -> list[str] | None:
    begun = reader.line_num + 1
    try:
        fields: list[str] | None = next(reader, None)
    except csv.Error as error:
        said = str(error)
        if said == _UNCLOSED:
            raise SourceError(
                f"{name}:{begun}: not CSV: a quote is opened in this row and never closed",
                "close it, or double it if it belongs to the text",
            ) from error
        raise SourceError(
            f"{name}:{reader.line_num}: not CSV: {said[:1].lower()}{said[1:]}",
            "quote fields that hold quotes or line breaks, and double the quotes in them",
        ) from error
    return fields


def _ragged(header: list[str], fields: list[str], where: str) -> SourceError:
    said = f"{where}: {len(fields)} fields where the header names {len(header)}"
    if len(fields) < len(header):
        missing = ", ".join(f"'{column}'" for column in header[len(fields) :][:5])
        return SourceError(f"{said}; there is none for {missing}", "complete the line")
    extra = ", ".join(repr(field[:40]) for field in fields[len(header) :][:5])
    return SourceError(
        f"{said}; too many are {extra}", "quote fields that hold the delimiter, or set 'delimiter'"
    )
