"""JSON Lines: one object a line, UTF-8, blank lines passed over."""

from __future__ import annotations

import hashlib
import os
from itertools import islice

from ..errors import SourceError
from ..files import bare
from ..types import Json
from .file import FileSource, Rows, not_utf8
from .parsing import parse

_LOOKED_AT = 10  # rows, for their columns
_COUNTED = 1 << 28
"""Bytes of files that are looked through for their number of lines: a fraction of a second."""


class JsonlSource(FileSource):
    """Rows from JSON Lines (`.jsonl`, `.ndjson`, also `.gz` and `.zst`), streamed.

    A line must be one JSON object. Refused are lines that are not UTF-8, NaN and infinities,
    and keys given twice; lone surrogates (`"\\ud800"`) are kept.
    """

    extensions = (".jsonl", ".ndjson", ".json")

    def read_file(self, path: str, digest: hashlib._Hash) -> Rows:
        """The rows of one file; `where` is `file:line`."""
        name = self.shown(path)
        with self.opened(path, digest) as stream:
            number = 0
            for line in stream:
                number += 1
                content = line.strip()
                if number == 1:
                    content = content.removeprefix(b"\xef\xbb\xbf").strip()
                if not content:
                    continue
                try:
                    values = parse(content.decode())
                except ValueError as error:
                    raise _wrong(content, error, f"{name}:{number}") from error
                if type(values) is not dict:
                    raise _no_object(values, f"{name}:{number}")
                yield f"{name}:{number}", values

    def count(self) -> int | None:
        """The number of lines, where all files together are small enough to be looked through."""
        if not self.is_at_hand:
            return None
        try:
            paths = self.files()
            plain = all(os.path.isfile(path) and bare(path) == path for path in paths)
            if not plain or sum(map(os.path.getsize, paths)) > _COUNTED:
                return None
            return sum(map(_lines_in, paths))
        except (OSError, SourceError):
            return None  # the run will say why

    def columns(self) -> frozenset[str] | None:
        """The keys of the first rows; None where there are none to be read (the run will say
        why)."""
        if not self.is_at_hand:
            return None
        found: set[str] = set()
        try:
            # Closed at once: only the first rows are read.
            rows = self.read_file(self.files()[0], hashlib.sha256())
            for _, row in islice(rows, _LOOKED_AT):
                found.update(row)
            rows.close()  # type: ignore[attr-defined]
        except SourceError:
            pass
        return frozenset(found) or None


def _lines_in(path: str) -> int:
    with open(path, "rb") as stream:
        lines, last = 0, b"\n"
        while chunk := stream.read(1 << 20):
            lines += chunk.count(b"\n")
            last = chunk[-1:]
    return lines + (last != b"\n")


def _wrong(content: bytes, error: ValueError, where: str) -> SourceError:
    if isinstance(error, UnicodeDecodeError):
        return not_utf8(content, error, where)
    hint = "one JSON object a line is wanted"
    if where.endswith(":1") and content in (b"[", b"{"):
        hint += "; for a file that is one JSON array, write source.format: json"
    return SourceError(f"{where}: not JSON: {error}", hint)


def _no_object(values: Json, where: str) -> SourceError:
    kinds = {list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    what = kinds.get(type(values), "a number")
    hint = "one JSON object a line is wanted"
    if isinstance(values, list):
        hint += "; for a file that is one JSON array, write source.format: json"
    return SourceError(f"{where}: the line is {what}, not an object", hint)
