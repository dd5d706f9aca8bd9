"""Text as lines: from a character's index to its line and column."""

from __future__ import annotations

import re
from bisect import bisect_right

_BREAK = re.compile(r"\r\n|\n|\r")


class Lines:
    """The lines of a text as an editor counts them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0, *(match.end() for match in _BREAK.finditer(text))]

    def extent(self, start: int, end: int) -> tuple[int, int, int]:
        """Line and column (from 1) of *start*, and how far it is to *end* or the line's end."""
        if start >= len(self._text) and start > 0:
            start = self._last_visible()
            end = start + 1
        line = bisect_right(self._starts, start)
        first = self._starts[line - 1]
        rest = self._text[start:end].splitlines() if end > start else []
        length = len(rest[0].rstrip()) if rest else 1
        return line, start - first + 1, max(length, 1)

    def _last_visible(self) -> int:
        # The end of a file is shown at the end of its last line that has anything on it.
        return max(len(self._text.rstrip()), 1)


def split_lines(text: str) -> list[str]:
    """The lines of *text*, counted as `Lines` counts them."""
    return _BREAK.split(text)


def first_unprintable(text: str) -> int | None:
    """Where the first character is that YAML does not allow (YAML 1.2.2 section 5.1)."""
    odd = [text.index(letter) for letter in set(text) if not _is_allowed(letter)]
    return min(odd, default=None)


def _is_allowed(letter: str) -> bool:
    if letter < "\x7f":
        return letter >= " " or letter in "\t\n\r"
    return (
        letter == "\x85"
        or "\xa0" <= letter <= "\ud7ff"
        or "\ue000" <= letter <= "\ufffd"
        or letter >= "\U00010000"
    )
