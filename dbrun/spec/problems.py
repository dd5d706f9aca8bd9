"""Problems as a person reads them: where, what, what to do, and the line with carets under it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from ..types import Problem
from .credentials import KEY_IN_QUERY, USER_INFO
from .lines import split_lines

MASK = "***"
_WIDEST = 110
_LEAD = 40
_SECRET_KEY = re.compile(
    r"""["']?(?P<key>[\w-]*(?:token(?!s)|api[-_]?key|access[-_]?key|secret|password|passwd|authorization|cookie)[\w-]*)
        ["']?\s*[:=]\s*(?!["']?\$\{[^}]*\}["']?\s*(?:[,}]|$)|[{\[&*|>]|$)
        (?P<value>"(?:[^"\\]|\\.)*"?|'[^']*'?|[^,}\s\#][^,}]*)""",
    re.IGNORECASE | re.VERBOSE,
)
_SAFE_VALUE = re.compile(r"\s*(?:[-+.\deE]+|true|false|null|~)\s*")
_SCOPE_AND_KEY = re.compile(r"[\"']?[\w.-]+/[\w.-]+[\"']?\s*")
_BEARER = re.compile(r"\b(?:Bearer|Basic)\s+([\w.~+/=-]{6,})", re.IGNORECASE)
_Span = tuple[int, int]


def render_problems(
    problems: Iterable[Problem], sources: Callable[[str], str | None], *, noun: str = "problem"
) -> str:
    """The report of *problems*, by file and place, with a count at its end.

    Args:
        sources: gives the text of a file by its name in the problems; None if it is not to be
            had, and then there is no excerpt.
        noun: what one of them is called in the count.
    """
    ordered = sorted(problems, key=lambda one: (one.where.file, one.where.line, one.where.column))
    if not ordered:
        return ""
    texts = {one.where.file: sources(one.where.file) for one in ordered if one.where.line}
    lines: list[str] = []
    for problem in ordered:
        lines.append(_printable(str(problem)))
        text = texts.get(problem.where.file)
        if text is not None:
            lines += _excerpt(problem, text, _secrets(ordered, problem))
    count = len(ordered)
    lines.append(f"{count} {noun}{'' if count == 1 else 's'}")
    return "\n".join(lines) + "\n"


def _secrets(problems: Sequence[Problem], shown: Problem) -> list[_Span]:
    """What must not be shown of the line of *shown*, as columns from 0."""
    return [
        (one.where.column - 1, one.where.column - 1 + one.length)
        for one in problems
        if one.secret and (one.where.file, one.where.line) == (shown.where.file, shown.where.line)
    ]


def _excerpt(problem: Problem, text: str, secrets: Sequence[_Span]) -> list[str]:
    lines = split_lines(text.removeprefix("\ufeff"))
    if not 0 < problem.where.line <= len(lines):
        return []
    line, start = lines[problem.where.line - 1], problem.where.column - 1
    if not line.strip():
        return []
    start = min(start, len(line))
    end = min(start + max(problem.length, 1), max(len(line), start + 1))
    line, start, end = _masked(line, start, end, [*secrets, *_speaking(line)])
    line, start, end = _window(line, start, end)
    line, before = _printable(line), _printable(line[:start])
    carets = "^" * max(1, _width(_printable(line[start:end])))
    number = str(problem.where.line)
    gutter = " " * max(5, len(number))
    return [
        f"{number:>5} | {line}".rstrip(),
        f"{gutter} | {' ' * _width(before)}{carets}",
    ]


def _speaking(line: str) -> list[_Span]:
    """What looks like a credential in a line, whatever is wrong with it."""
    return [
        *(match.span("value") for match in _SECRET_KEY.finditer(line) if not _is_safe(match)),
        *(match.span(1) for match in USER_INFO.finditer(line)),
        *(match.span(1) for match in _BEARER.finditer(line)),
        *(match.span(2) for match in KEY_IN_QUERY.finditer(line)),
    ]


def _is_safe(match: re.Match[str]) -> bool:
    """Whether what follows a speaking key is no credential: a number, or a secret's name."""
    named = match["key"].lower() == "secret" and _SCOPE_AND_KEY.fullmatch(match["value"])
    return bool(named or _SAFE_VALUE.fullmatch(match["value"]))


def _masked(line: str, start: int, end: int, spans: Iterable[_Span]) -> tuple[str, int, int]:
    """*line* with each of *spans* masked; *start* and *end* move along."""
    for first, last in _united(spans, len(line)):
        line = line[:first] + MASK + line[last:]
        change = len(MASK) - (last - first)
        start, end = (
            at + change if at >= last else min(at, first if at is start else first + len(MASK))
            for at in (start, end)
        )
    return line, start, max(end, start + 1)


def _united(spans: Iterable[_Span], length: int) -> list[_Span]:
    """Overlapping spans made one, last ones first."""
    united: list[_Span] = []
    for first, last in sorted((max(a, 0), min(b, length)) for a, b in spans):
        if united and first <= united[-1][1]:
            united[-1] = (united[-1][0], max(last, united[-1][1]))
        elif first < last:
            united.append((first, last))
    return united[::-1]


def _window(line: str, start: int, end: int) -> tuple[str, int, int]:
    """The part of a long line around what is wrong."""
    if len(line) <= _WIDEST:
        return line, start, end
    first = max(0, start - _LEAD)
    cut = line[first : first + _WIDEST]
    lead = "…" if first else ""
    tail = "…" if first + _WIDEST < len(line) else ""
    shift = len(lead) - first
    return lead + cut + tail, start + shift, min(end + shift, len(lead + cut))


def _printable(text: str) -> str:
    """*text* with nothing in it that moves the cursor or colours the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _width(text: str) -> int:
    """How many columns of a terminal *text* takes."""
    return sum(
        0
        if unicodedata.combining(letter)
        else 2
        if unicodedata.east_asian_width(letter) in "WF"
        else 1
        for letter in text
    )
