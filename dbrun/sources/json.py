"""JSON: a file that is one array of objects."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator

from ..errors import SourceError
from ..types import Json
from ..values import DEEPEST, is_too_deep
from .file import FileSource, Rows, decoded
from .parsing import scan, why_not

_BLANKS = re.compile(r"[ \t\n\r]*")


class JsonSource(FileSource):
    """Rows from a JSON array of objects (`.json`, also `.gz` and `.zst`).

    The text of a file is held in memory while it is read, its rows are not: they are parsed one
    by one. For files that do not fit, JSON Lines streams.
    """

    extensions = (".json",)

    def read_file(self, path: str, digest: hashlib._Hash) -> Rows:
        """The rows of one file; `where` is `file:line`, the line that a row begins at."""
        name = self.shown(path)
        with self.opened(path, digest) as stream:
            text = decoded(stream.read(), name).removeprefix("\ufeff")
        line, counted = 1, 0
        for value, start in _elements(text, name):
            line += text.count("\n", counted, start)
            counted = start
            if type(value) is not dict:
                raise SourceError(f"{name}:{line}: the element is no object", _WANTED)
            yield f"{name}:{line}", value


_WANTED = "one array of objects is wanted; for one object a line write source.format: jsonl"


def _elements(text: str, name: str) -> Iterator[tuple[Json, int]]:
    index = _skip(text, 0)
    if text[index : index + 1] != "[":
        raise SourceError(f"{name}: not a JSON array", _WANTED)
    index = _skip(text, index + 1)
    if text[index : index + 1] == "]":
        return _end(text, index, name)
    while True:
        try:
            value, end = scan(text, index)
        except (StopIteration, ValueError, RecursionError) as error:
            raise _wrong(text, index, error, name) from error
        openings = text.count("{", index, end) + text.count("[", index, end)
        if openings > DEEPEST and is_too_deep(value):
            raise _wrong(text, index, RecursionError(), name)
        yield value, index
        end = _skip(text, end)
        if text[end : end + 1] == "]":
            return _end(text, end, name)
        if text[end : end + 1] != ",":
            at = _place(text, end, name)
            raise SourceError(f"{at}: not JSON: a comma or ] is missing", _WANTED)
        index = _skip(text, end + 1)


def _end(text: str, index: int, name: str) -> None:
    rest = _skip(text, index + 1)
    if rest < len(text):
        raise SourceError(f"{_place(text, rest, name)}: more text after the array", _WANTED)


def _skip(text: str, index: int) -> int:
    found = _BLANKS.match(text, index)
    return found.end() if found else index


def _wrong(text: str, index: int, error: BaseException, name: str) -> SourceError:
    at = error.pos if isinstance(error, json.JSONDecodeError) else index
    return SourceError(f"{_place(text, at, name)}: not JSON: {why_not(error)}", _WANTED)


def _place(text: str, index: int, name: str) -> str:
    line = text.count("\n", 0, index) + 1
    return f"{name}:{line}:{index - text.rfind(chr(10), 0, index)}"
