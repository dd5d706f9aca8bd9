"""What Jinja raises, as the errors of dbrun: with file, line, column and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import jinja2
from jinja2.environment import Template as JinjaTemplate
from jinja2.utils import missing

from ...errors import RowError
from ...types import Mark, Problem
from ..prompts import Text
from .bounds import Refused
from .filters import FilterFailed
from .loading import ProjectFiles
from .places import Origin, find_column, missing_item, near_miss, undefined
from .sandbox import UndefinedName

_NEEDLE = re.compile(r"got '([^']+)'|named '([^']+)'|tag '([^']+)'|unexpected '([^']+)'")
_UNLIKE = re.compile(r"'([<>]=?)' not supported between instances of '(\w+)' and '(\w+)'$")
_APART = re.compile(r"unsupported operand type\(s\) for (\S+): '(\w+)' and '(\w+)'$")
_JOINED = re.compile(r'can only concatenate (\w+) \(not "(\w+)"\) to \w+$')
_KINDS = {
    "str": "text",
    "int": "a number",
    "float": "a number",
    "NoneType": "null",
    "list": "a list",
    "dict": "a mapping",
}
_UNCLOSED = re.compile(r"unexpected end of template.* closed is '(\w+)'", re.IGNORECASE)
_ADVICE = (
    ("unexpected '}'", "close it with }}"),
    ("unexpected end of template, expected 'end of print statement'", "close it with }}"),
    ("unexpected '='", "write == to compare"),
    ("unexpected 'AND'", "write and"),
    ("unexpected 'OR'", "write or"),
    ("unexpected char '&'", "write and"),
    ("unexpected char '!'", "write not, or != to compare"),
    (
        "expected token 'end of print statement'",
        "a column whose name is more than a word is row['its name']",
    ),
)
"""What to do about what Jinja says, by how that begins."""

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def innermost(error: BaseException) -> tuple[JinjaTemplate, int] | None:
    """The template and its line in which *error* was raised."""
    found = None
    trace = error.__traceback__
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            found = template, template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return found


def describe(error: BaseException, scope: Mapping[str, Any]) -> tuple[str, str | None]:
    """What to say of a failed rendering, and what to look for on its line."""
    if isinstance(error, UndefinedName):
        if error.owner is missing:
            return undefined(str(error.name), scope), str(error.name)
        return missing_item(error.name, error.owner, scope), str(error.name)
    if isinstance(error, FilterFailed):
        return str(error), error.name
    if isinstance(error, RowError):
        return error.message, None
    if isinstance(error, RecursionError):
        return "the template includes or calls itself without end", None
    said = _ADDRESS.sub("", " ".join(str(error).split()))[:500]
    if isinstance(error, Refused):
        return said, error.needle
    if isinstance(error, TypeError) and (of_types := _of_types(said)):
        return of_types, None
    if isinstance(error, jinja2.TemplateError) and said:
        return said[:1].lower() + said[1:].rstrip("."), None
    return f"{type(error).__name__}: {said}" if said else type(error).__name__, None


def _of_types(said: str) -> str | None:
    """What to say where an operator has values of two Python types that do not go together;
    *said* is what Python does."""
    if found := _UNLIKE.match(said):
        sign, left, right = found.groups()
        does = "compare {} with {}"
    elif found := _APART.match(said):
        sign, left, right = found.groups()
        does = "go with {} and {}"
    elif found := _JOINED.match(said):
        sign, left, right = "+", *found.groups()
        does = "go with {} and {}"
    else:
        return None
    kinds = (_KINDS.get(left, left), _KINDS.get(right, right))
    mends = []
    if sign == "+" and "text" in kinds:
        mends.append("'~' joins values as text")
    if {*kinds} == {"text", "a number"}:
        mends.append("'| int' or '| float' makes a text a number")
    mend = f"; {', '.join(mends)}" if mends else ""
    return f"'{sign}' cannot {does.format(*kinds)}{mend}"


def problem(
    error: jinja2.TemplateSyntaxError,
    text: Text,
    origin: Origin,
    files: ProjectFiles,
    filters: Iterable[str],
) -> Problem:
    """The problem that a syntax error of *text*, or of a file that it includes, is."""
    message = " ".join((error.message or "it is no template").split()).rstrip(".")
    found = _NEEDLE.search(message)
    needle = next((one for one in found.groups() if one), None) if found else None
    included = files.loaded.get(error.name or "")
    line, column = find_column(text.source if included is None else included, error.lineno, needle)
    if included is None:
        mark = origin.mark(line, column)
    else:
        mark = Mark(file=error.name or "", line=line, column=column)
    is_filter = message.startswith("No filter named") and needle is not None
    hint = near_miss(needle or "", filters) if is_filter else _advice(message)
    if (block := _UNCLOSED.match(message)) is not None:
        message, hint = f"'{block[1]}' is not closed", f"write {{% end{block[1]} %}}"
    return Problem(
        where=mark,
        path="" if text.file is not None else text.name,
        message=message[:1].lower() + message[1:],
        hint=hint,
        length=len(needle) if needle else 1,
    )


def _advice(message: str) -> str:
    return next((mend for start, mend in _ADVICE if message.startswith(start)), "")
