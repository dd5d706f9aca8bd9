"""Where in a file a template's line stands, and what to say about a name it does not find."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ...spelling import nearest
from ...types import NOWHERE, Mark
from ..lines import split_lines
from ..prompts import Text

_TAG = re.compile(r"\{[{%]")
_MOST_NAMES = 20


class Origin:
    """A template's source text and the file that holds it.

    *project* is the folder from which rows' failures name the file, so that the text is the
    same wherever the command was started.
    """

    def __init__(self, text: Text, project: str) -> None:
        self.text = text
        self._project = project

    def mark(self, line: int, column: int) -> Mark:
        """The place of a line and column of the template, as the person knows the file."""
        text = self.text
        if text.file is not None:
            known = text.where is not NOWHERE and not text.where.line
            return Mark(file=text.where.file if known else text.name, line=line, column=column)
        if not text.where.line:
            return Mark(file=text.name, line=line, column=column)
        line, column = self._within(text.where, line, column)
        return Mark(file=text.where.file, line=line, column=column)

    def place(self, line: int, column: int) -> str:
        """The same place, the file named from the project's root."""
        mark = self.mark(line, column)
        file = self.text.file or mark.file
        return str(Mark(file=_from(self._project, file), line=mark.line, column=mark.column))

    @functools.cached_property
    def _lines(self) -> list[str]:
        # Read once: thousands of rows may fail at the same place.
        try:
            with open(self.text.where.file, encoding="utf-8") as stream:
                return split_lines(stream.read())
        except (OSError, ValueError):
            return []

    def _within(self, where: Mark, line: int, column: int) -> tuple[int, int]:
        # How a YAML scalar was written decides where its lines are; the file tells.
        known = self._lines[where.line - 1 : where.line]
        written = known[0][where.column - 1 :] if known else ""
        if written[:1] in ("|", ">"):
            body = (text for text in self._lines[where.line :] if text.strip())
            first = next(body, "")
            return where.line + line, len(first) - len(first.lstrip()) + column
        start = 1 if written[:1] in ("'", '"') else 0
        if written[:1] == '"':
            for _ in range(line - 1):
                found = written.find("\\n", start)
                if found < 0:
                    return where.line, where.column
                start = found + 2
            return where.line, where.column + start + column - 1
        if line > 1:
            return where.line + line - 1, column
        return where.line, where.column + start + column - 1


def find_column(source: str, line: int, needle: str | None) -> tuple[int, int]:
    """The line and column of *needle* at or after *line*; else of the first tag of that line.

    Jinja knows lines only, and of a statement over several lines the first.
    """
    lines = split_lines(source)
    line = min(max(line, 1), len(lines))
    if needle:
        word = re.compile(_bounded(needle))
        for number in range(line, min(line + 20, len(lines)) + 1):
            content = lines[number - 1]
            tag = _TAG.search(content) if number == line else None
            found = word.search(content, tag.start() if tag else 0)
            if found:
                return number, found.start() + 1
    content = lines[line - 1]
    tag = _TAG.search(content)
    return line, (tag.start() if tag else len(content) - len(content.lstrip())) + 1


def undefined(name: str, scope: Mapping[str, Any]) -> str:
    """What to say of a *name* that the scope does not have."""
    row = scope.get("row")
    columns = list(row) if isinstance(row, Mapping) else []
    said = f"'{name}' is undefined; the row has {_listed(columns)}"
    if meant := _lies_in(name, scope):
        return f"{said}; write {meant}"
    return said + _near(name, [*columns, "row", "vars", "steps"])


def _lies_in(name: str, scope: Mapping[str, Any]) -> str | None:
    """How a variable or an earlier step called *name* is written."""
    for word, end in (("vars", ""), ("steps", ".output")):
        named = scope.get(word)
        if isinstance(named, Mapping) and name in named:
            return f"{word}.{name}{end}"
    return None


def missing_item(name: Any, owner: Any, scope: Mapping[str, Any]) -> str:
    """What to say of an item *name* that *owner* does not have."""
    if isinstance(owner, Mapping):
        kinds = (word for word in ("row", "vars", "steps") if scope.get(word) is owner)
        what = next(kinds, None)
        noun = {"row": "the row has no column", "vars": "vars has no", "steps": "steps has no"}
        said = noun.get(what or "", "the mapping has no")
        return f"{said} '{name}'; it has {_listed(list(owner))}{_near(str(name), owner)}"
    if isinstance(owner, (list, tuple)) and isinstance(name, int):
        return f"the list of {len(owner)} has no item {name}"
    what = "null" if owner is None else f"a {_NOUNS.get(type(owner), type(owner).__name__)}"
    return f"{what} has no '{name}'"


_NOUNS: Mapping[type, str] = {str: "text", int: "number", float: "number", list: "list"}


def near_miss(name: str, known: Iterable[str]) -> str:
    """The nearest of *known* as a hint, or nothing."""
    near = nearest(name, known)
    return "" if near is None else f"did you mean '{near}'?"


def _near(name: str, known: Iterable[str]) -> str:
    hint = near_miss(name, (one for one in known if isinstance(one, str)))
    return f"; {hint}" if hint else ""


def _listed(names: list[Any]) -> str:
    if not names:
        return "nothing"
    shown = ", ".join(str(name)[:60] for name in names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _bounded(needle: str) -> str:
    before = r"(?<!\w)" if needle[:1].isalnum() or needle[:1] == "_" else ""
    after = r"(?!\w)" if needle[-1:].isalnum() or needle[-1:] == "_" else ""
    return before + re.escape(needle) + after


def _from(project: str, file: str) -> str:
    root = os.path.realpath(project)
    real = os.path.realpath(file)
    if real.startswith(root + os.sep) and os.path.exists(real):
        return os.path.relpath(real, root).replace(os.sep, "/")
    return file
