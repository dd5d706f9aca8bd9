"""A comparison for a terminal: what got worse first, within a width."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from ..report.pieces import Piece
from ..report.summary import aligned
from ..report.words import counted, visible
from . import wording
from .model import Comparison, Part, ScoreDelta

WIDTH = 80
_MOST_OF_A_CELL = 22

_COLOURS = {"-": "31", "+": "32", "!": "1;31", "#": "1"}
_MARKS = {"-": ("[-", "-]"), "+": ("{+", "+}"), " ": ("", "")}


def shown(comparisons: Sequence[Comparison], *, width: int = WIDTH, colour: bool = False) -> str:
    """All that is said of *comparisons*; *colour* paints what was added and removed.

    Words that are gone stand in `[-…-]`, new ones in `{+…+}`.
    """
    paint = _Paint(colour)
    blocks = ["\n".join(_lines(one, width, paint)) for one in comparisons]
    return "\n\n".join(blocks) + "\n"


class _Paint:
    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def __call__(self, kind: str, text: str) -> str:
        if not self._colour or kind not in _COLOURS or not text:
            return text
        return f"\x1b[{_COLOURS[kind]}m{text}\x1b[0m"


def _lines(found: Comparison, width: int, paint: _Paint) -> Iterator[str]:
    yield paint("#", f"{visible(found.title)}: {wording.verdict(found)}")
    for name, side in (("OLD", found.old), ("NEW", found.new)):
        yield from _wrapped(f"{name}  {wording.side(side)}", width)
    for note in found.notes:
        yield from _wrapped(f"note: {note}", width)
    for regression in found.regressions:
        for number, line in enumerate(_wrapped(wording.regression(regression), width, "    ")):
            yield paint("!", line if number else f"  ! {line.strip()}")
    for part in found.parts:
        yield ""
        yield from _part(part, found, width)
    if found.changes:
        yield ""
        yield paint("#", f"the recipe: {counted(len(found.changes), 'change')}")
        for change in found.changes:
            said = _wrapped(wording.change_said(change), width)
            yield from said
            yield from _marked(wording.change_pieces(change), width, paint)
    for kind, number, rows in wording.rows_by_kind(found):
        yield ""
        more = f", {len(rows)} shown" if number > len(rows) else ""
        yield paint("#", f"{wording.kind_title(kind, number)}{more}")
        for row in rows:
            yield from _wrapped("  ".join(wording.row_name(row)), width)
            for fact in wording.row_facts(row):
                yield from _wrapped(fact, width, "    ")
            yield from _marked(wording.row_pieces(row), width, paint)
    for name, ids, number in wording.alone(found):
        yield ""
        yield paint("#", f"{counted(number, 'record')} only in {name}")
        more = ", …" if number > len(ids) else ""
        yield from _wrapped(", ".join(ids) + more, width)


def _part(part: Part, found: Comparison, width: int) -> Iterator[str]:
    counts = part.counts
    if part.label:
        yield from _wrapped(f"variant {part.label}", width, "")
    yield f"  {counted(counts.paired, 'record')} on both sides"
    rows = [(f"{number:,}", said) for number, said in wording.facts(counts)]
    widest = max((len(number) for number, _ in rows), default=0)
    yield from (f"    {number:>{widest}} {said}" for number, said in rows)
    if part.scores:
        yield ""
        heads = [*wording.SCORE_HEADS[:5]]
        heads[4] = wording.interval_head(found.confidence)
        cells = [
            [_clipped(cell, _MOST_OF_A_CELL) for cell in wording.score_cells(one)[:5]]
            for one in part.scores
        ]
        table = aligned([heads, *cells])
        yield f"  {table[0]}"
        for line, score in zip(table[1:], part.scores, strict=True):
            yield f"  {line}"
            yield from _wrapped(_about(score), width, "      ")
    if part.totals:
        yield ""
        totals = [wording.total_cells(one, found.currency) for one in part.totals]
        yield from (f"  {line}" for line in aligned([wording.TOTAL_HEADS, *totals]))


def _about(score: ScoreDelta) -> str:
    cells = wording.score_cells(score)
    said = [f"p {cells[5]}" if cells[5] else "", cells[6], cells[7]]
    return "; ".join(part for part in said if part)


def _clipped(text: str, most: int) -> str:
    text = visible(text).replace("\n", " ")
    return text if len(text) <= most else text[: most - 1] + "…"


def _wrapped(text: str, width: int, indent: str = "  ") -> list[str]:
    said = visible(text).replace("\n", " ")
    return textwrap.wrap(
        said, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def _marked(pieces: Sequence[Piece], width: int, paint: _Paint) -> Iterator[str]:
    """The pieces as lines, each change between its marks."""
    line, length = "", 0
    room = width - 4
    for kind, word in _words(pieces):
        while word:
            if length + len(word) <= room:
                part, word = word, ""
            elif length and len(word) <= room:
                yield f"    {line}".rstrip()
                line, length, word = "", 0, word.lstrip()
                continue
            else:  # longer than a line
                part, word = word[: room - length], word[room - length :]
            line += paint(kind, part)
            length += len(part)
            if length >= room:
                yield f"    {line}".rstrip()
                line, length = "", 0
    if line.strip():
        yield f"    {line}".rstrip()


def _words(pieces: Sequence[Piece]) -> Iterator[tuple[str, str]]:
    """Words with the white space behind them; ends of lines are shown as ⏎."""
    for piece in pieces:
        opening, closing = _MARKS[piece.kind]
        text = opening + visible(piece.text).replace("\n", "⏎ ").replace("\t", " ") + closing
        start = 0
        for at, character in enumerate(text):
            if character == " ":
                yield piece.kind, text[start : at + 1]
                start = at + 1
        if start < len(text):
            yield piece.kind, text[start:]
