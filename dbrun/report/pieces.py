"""Differences of two texts, word by word."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

from ..types import Json

MOST_CELLS = 250_000
"""Words of one text times words of the other up to which they are matched; else what is between
their common beginning and end is told as replaced."""

_WORD = re.compile(r"(\s*)(\w+|[^\s\w]|\Z)")
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
    old, new = _words(before), _words(after)
    most = min(len(old), len(new))
    start = 0
    while start < most and old[start] == new[start]:
        start += 1
    end = 0
    while end < most - start and old[-1 - end] == new[-1 - end]:
        end += 1
    pieces = [Piece(" ", _text(old[:start]))]
    pieces += _between(old[start : len(old) - end], new[start : len(new) - end])
    pieces.append(Piece(" ", _text(old[len(old) - end :])))
    return _joined(pieces)


def _words(text: str) -> list[tuple[str, str]]:
    """Each word with the white space before it; last what is after the last word."""
    return _WORD.findall(text)


def _text(words: Iterable[tuple[str, str]]) -> str:
    return "".join([space + word for space, word in words])


def _between(old: list[tuple[str, str]], new: list[tuple[str, str]]) -> Iterator[Piece]:
    if not old or not new or len(old) * len(new) > MOST_CELLS:
        yield from (Piece("-", _text(old)), Piece("+", _text(new)))
        return
    # Words are matched without the white space between them, most of which is alike.
    sides = [word for _, word in old], [word for _, word in new]
    for what, i, j, k, m in SequenceMatcher(None, *sides, autojunk=False).get_opcodes():
        if what != "equal":
            yield from (Piece("-", _text(old[i:j])), Piece("+", _text(new[k:m])))
            continue
        for (space, word), (other, _) in zip(old[i:j], new[k:m], strict=True):
            if space != other:
                yield from (Piece("-", space), Piece("+", other), Piece(" ", word))
            else:
                yield Piece(" ", space + word)


def _joined(pieces: Iterable[Piece]) -> list[Piece]:
    """*pieces* with what is alike side by side in one; of what changed, the old before the new."""
    made: list[Piece] = []
    removed = added = same = ""

    def close() -> None:
        shared = _leading_space(removed, added)
        texts = (same + shared, removed[len(shared) :], added[len(shared) :])
        kinds: tuple[Literal[" ", "-", "+"], ...] = (" ", "-", "+")
        made.extend(Piece(kind, text) for kind, text in zip(kinds, texts, strict=True) if text)

    for kind, text in pieces:
        if kind == " ":
            if text and (removed or added):
                close()
                removed = added = same = ""
            same += text
        elif kind == "-":
            removed += text
        else:
            added += text
    close()
    return made


def _leading_space(one: str, other: str) -> str:
    """The white space that both begin with."""
    size = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs or not mine.isspace():
            break
        size += 1
    return one[:size]


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
            text = _first_words(text, head) + _CUT + _last_words(text, tail)
        made.append(Piece(" ", text))
    return made


def _first_words(text: str, most: int) -> str:
    """The start of *text*, at the end of a word where there is one."""
    start = text[:most]
    space = max(start.rfind(" "), start.rfind("\n"))
    return start[:space] if most and space > 0 else start


def _last_words(text: str, most: int) -> str:
    return _first_words(text[::-1], most)[::-1]


def _start(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + _CUT
