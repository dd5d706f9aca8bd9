"""Differences of two texts, word by word."""

from __future__ import annotations

import json
import re
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

from ..types import Json

MOST_CELLS = 250_000
"""Words of one text times words of the other up to which they are matched; else what is between
their common beginning and end is told as replaced."""

_WORD = re.compile(r"\s+|\w+|[^\s\w]")
_CUT = "…"


class Piece(NamedTuple):
    """A stretch of *text* that is in both texts (` `), in the old (`-`), or in the new (`+`)."""

    kind: Literal[" ", "-", "+"]
    text: str


def text_of(output: Json) -> str:
    """An output as a text: itself, or its JSON."""
    return output if isinstance(output, str) else json.dumps(output, indent=1, ensure_ascii=False)


def word_diff(before: str, after: str) -> list[Piece]:
    """The pieces of which leaving out the new ones gives *before*, and the old ones *after*."""
    if before == after:
        return [Piece(" ", before)] if before else []
    old, new = _WORD.findall(before), _WORD.findall(after)
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    pieces = [Piece(" ", "".join(old[:start]))]
    pieces += _between(old[start : len(old) - end], new[start : len(new) - end])
    pieces.append(Piece(" ", "".join(old[len(old) - end :])))
    return [piece for piece in pieces if piece.text]


def _between(old: list[str], new: list[str]) -> list[Piece]:
    if not old or not new or len(old) * len(new) > MOST_CELLS:
        return [Piece("-", "".join(old)), Piece("+", "".join(new))]
    pieces: list[Piece] = []
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    removed, added = "", ""
    for what, i, j, k, m in matcher.get_opcodes():
        kept = "".join(old[i:j]) if what == "equal" else ""
        if kept and not (kept.isspace() and (removed or added)):
            pieces += [Piece("-", removed), Piece("+", added), Piece(" ", kept)]
            removed, added = "", ""
        elif kept:  # white space between words that both were replaced holds them together
            removed, added = removed + kept, added + kept
        else:
            removed, added = removed + "".join(old[i:j]), added + "".join(new[k:m])
    pieces += [Piece("-", removed), Piece("+", added)]
    return [piece for piece in pieces if piece.text]


def shortened(pieces: list[Piece], around: int = 60, longest: int = 400) -> list[Piece]:
    """*pieces* to be read at a glance: *around* characters of what did not change beside what
    did, and *longest* of each change."""
    made: list[Piece] = []
    for number, piece in enumerate(pieces):
        text = piece.text
        if piece.kind != " ":
            made.append(Piece(piece.kind, _start(text, longest)))
            continue
        head = around if number else 0
        tail = around if number < len(pieces) - 1 else 0
        if len(pieces) == 1:
            text = _start(text, longest)
        elif len(text) > head + tail + 20:
            text = text[:head] + _CUT + (text[-tail:] if tail else "")
        made.append(Piece(" ", text))
    return made


def _start(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + _CUT
