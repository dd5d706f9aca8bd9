"""A further test in the text of a spec: put in by its place, the rest left as it is written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..errors import SpecError, UserError
from ..types import Json, Mark
from .document import Document, read
from .nodes import Node
from .show import in_yaml

_BREAK = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")
_DASH = re.compile(r"-(\s|$)")
_EMPTY = re.compile(r"\[\s*\]")


def with_test(path: str, text: str, test: Mapping[str, Json], known: Sequence[Mark]) -> str:
    """The *text* of the spec at *path* with *test* at the end of its `tests`.

    *known* are the marks of the tests that the spec has when it is merged.

    Raises:
        SpecError: the text is no YAML.
        UserError: the tests are written elsewhere, or in a way that nothing can be added to.
    """
    document = read(path, text)
    tests = document.root.get("tests")
    _check_place(path, tests, known)
    made = _made(text.removeprefix("\ufeff"), document.root, tests, test)
    if made is not None and _is_right(path, made, document, test):
        return ("\ufeff" if text.startswith("\ufeff") else "") + made
    raise UserError(
        f"{path}: a test cannot be added to the text as it is written",
        "write `tests: []` on a line of its own at the end, or one test with a dash before it",
    )


def _check_place(path: str, tests: Node | None, known: Sequence[Mark]) -> None:
    """Tests that come from elsewhere would be replaced by those of this file, not joined."""
    own = [one.place.mark for one in tests.value] if tests is not None else []
    if list(known) != own:
        there = next((str(mark) for mark in known if mark not in own), "a target")
        raise UserError(
            f"{path}: its tests are not written at the top of this file, but at {there}",
            "record with the spec that writes them, or move them here",
        )


def _made(text: str, root: Node, tests: Node | None, test: Mapping[str, Json]) -> str | None:
    """*text* with the test added; None if that is beyond this."""
    lines = [line for line in _BREAK.split(text) if line]
    ending = "\r\n" if "\r\n" in text else "\n"
    if tests is None:
        margin = next(iter(root.value.values())).key_place.column - 1
        added = ["", f"{' ' * margin}tests:", *_item(test, margin + 2)]
        return _joined(lines, len(lines), added, ending)
    line, column = tests.at.line - 1, tests.at.column - 1
    if tests.value and _DASH.match(lines[line][column:]):
        return _joined(lines, _end(lines, line, column), _item(test, column), ending)
    empty = _EMPTY.match(lines[line], column)
    if tests.value or empty is None:
        return None
    head = lines[line][:column].rstrip()
    lines[line] = head + lines[line][empty.end() :]
    margin = tests.key_place.column - 1
    return _joined(lines, line + 1, _item(test, margin + 2), ending)


def _item(test: Mapping[str, Json], margin: int) -> list[str]:
    first, *rest = in_yaml(test, 0)
    return [f"{' ' * margin}- {first}", *(f"{' ' * margin}  {line}".rstrip() for line in rest)]


def _end(lines: Sequence[str], start: int, column: int) -> int:
    """The line after the last one of a list whose first dash is in *column* of line *start*."""
    end = start + 1
    for number in range(start + 1, len(lines)):
        line = lines[number]
        margin = len(line) - len(line.lstrip(" "))
        rest = line[margin:].strip()
        if not rest or (rest.startswith("#") and margin <= column):
            continue
        if margin < column or (margin == column and not _DASH.match(line[margin:])):
            break
        end = number + 1
    return end


def _joined(lines: Sequence[str], at: int, added: Sequence[str], ending: str) -> str:
    before = "".join(lines[:at])
    if before and not before.endswith(("\n", "\r")):
        before += ending
    return before + "".join(line + ending for line in added) + "".join(lines[at:])


def _is_right(path: str, made: str, before: Document, test: Mapping[str, Json]) -> bool:
    """Whether the text says what it said before, and the test after all others."""
    try:
        after = read(path, made)
    except SpecError:
        return False
    tests = [*(before.data.get("tests") or []), dict(test)]
    wanted: Json = {**before.data, "tests": tests}
    return bool(after.data == wanted)
