"""A comparison as one comment on a pull request: regressions first, details folded, never too long.

GitHub takes 65,536 characters. What rows and models gave is shown inside of `<pre>` and `<code>`,
where GitHub takes nothing for a mention, a reference or a link, and every character that could be
markup is written as its number (CommonMark 0.31, "Entity and numeric character references").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..report.pieces import Piece
from ..report.words import counted, visible
from . import wording
from .model import Comparison, Part, RowChange

MOST = 60_000
"""Characters of a comment, in units of UTF-16, which nobody counts fewer of."""

_PLAIN = re.compile(r"[^\w .,]|_")
_TAGS = {" ": ("", ""), "-": ("<del>", "</del>"), "+": ("<ins>", "</ins>")}
_REFERENCE = re.compile(r"([@#/]|www)")
_LONGEST = 360
"""Characters of a name, or of what is said of one."""
_LEAST = 1_000
"""Characters that one comparison takes at least, to say anything."""
_END = 100
"""Characters that are kept for saying that something was left out."""


def shown(comparisons: Sequence[Comparison], *, most: int = MOST) -> str:
    """All that is said of *comparisons*, those with regressions first, in at most *most*
    characters; what does not fit is left out by whole entries, and counted."""
    text = ""
    ordered = sorted(comparisons, key=lambda one: not one.regressions)
    for number, one in enumerate(ordered):
        left = most - _END - _length(text)
        if left < _LEAST and number:
            more = counted(len(ordered) - number, "more comparison")
            return f"{text}### and {more}, for which there is no room\n"
        rest = len(ordered) - number
        text += _one(one, max(left // rest, min(left, _LEAST)))
    return text


def _one(found: Comparison, most: int) -> str:
    page = _Page(most)
    page.add(f"### {_code(found.title)}: {wording.verdict(found)}\n\n")
    regressions = [f"- {_text(wording.regression(one))}\n" for one in found.regressions]
    page.entries(regressions, len(regressions))
    about = [
        *(f"- OLD: {_text(wording.side(found.old))}\n",),
        *(f"- NEW: {_text(wording.side(found.new))}\n",),
        *(f"- note: {_text(note)}\n" for note in found.notes),
    ]
    page.entries(about, len(about))
    for part in found.parts:
        _part(page, part, found)
    page.folded(
        f"The recipe: {counted(len(found.changes), 'change')}",
        (
            f"<p>{_code(wording.change_said(one))}</p>\n{_marked(wording.change_pieces(one))}"
            for one in found.changes
        ),
        len(found.changes),
    )
    for kind, number, rows in wording.rows_by_kind(found):
        title = wording.kind_title(kind, number)
        page.folded(title, map(_row, rows), number)
    for name, ids, number in wording.alone(found):
        page.folded(
            f"{counted(number, 'record')} only in {name}",
            (f"<p>{_code(one)}</p>\n" for one in ids),
            number,
        )
    return page.text


def _part(page: _Page, part: Part, found: Comparison) -> None:
    label = f"Variant {_code(part.label)}: " if part.label else ""
    told = ", ".join(f"{number:,} {said}" for number, said in wording.facts(part.counts))
    both = f"{counted(part.counts.paired, 'record')} on both sides"
    page.add(f"\n{label}{both}{': ' if told else ''}{told}.\n\n")
    heads = list(wording.SCORE_HEADS)
    heads[4] = wording.interval_head(found.confidence)
    _table(page, heads, [wording.score_cells(one) for one in part.scores])
    _table(
        page,
        list(wording.TOTAL_HEADS),
        [wording.total_cells(one, found.currency) for one in part.totals],
    )


def _table(page: _Page, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if rows:
        head = f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}\n"
        page.entries(
            (f"| {_code(row[0])} | {' | '.join(map(_text, row[1:]))} |\n" for row in rows),
            len(rows),
            head=head,
        )


def _row(row: RowChange) -> str:
    name = " ".join(map(_code, wording.row_name(row)))
    facts = "".join(f"<br>{_code(fact)}" for fact in wording.row_facts(row))
    return f"<p>{name}{facts}</p>\n{_marked(wording.row_pieces(row))}"


class _Page:
    """A text of at most *most* characters."""

    def __init__(self, most: int) -> None:
        self.text = ""
        self._left = most

    def add(self, text: str) -> bool:
        """Put *text* at the end, if there is room for it."""
        length = _length(text)
        if length > self._left:
            return False
        self.text += text
        self._left -= length
        return True

    def entries(
        self, entries: Iterable[str], number: int, *, head: str = "", tail: str = "\n"
    ) -> None:
        """Put as many of *entries*, of which there are *number* (more than are given, perhaps), as
        there is room for between *head* and *tail*, and how many there are besides. One lot takes
        most of the room at most, so that others have some."""
        if not number:
            return
        room = int(self._left * 0.7) - _length(head) - _length(tail) - _END
        kept = []
        for entry in entries:
            room -= _length(entry)
            if room < 0:
                break
            kept.append(entry)
        more = number - len(kept)
        rest = f"\nand {more:,} more\n" if more > 0 else ""
        self.add(f"{head}{''.join(kept)}{rest}{tail}")

    def folded(self, title: str, entries: Iterable[str], number: int) -> None:
        """Put *entries* where a click unfolds them."""
        head = f"<details><summary>{title}</summary>\n\n"
        self.entries(entries, number, head=head, tail="\n</details>\n\n")


def _marked(pieces: Sequence[Piece]) -> str:
    """The pieces in one line of a block in which nothing is markup."""
    if not pieces:
        return ""
    inner = "".join(
        f"{opening}{_escaped(piece.text)}{closing}"
        for piece in pieces
        for opening, closing in (_TAGS[piece.kind],)
    )
    return f"<pre>{inner}</pre>\n"


def _code(text: str) -> str:
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return f"<code>{_escaped(short)}</code>"


def _escaped(text: str) -> str:
    """*text* as characters that are no markup, wherever they stand."""
    return _PLAIN.sub(lambda found: f"&#{ord(found[0])};", visible(text))


def _text(text: str) -> str:
    """*text* beside our own: nobody is mentioned in it, and nothing is linked."""
    # A space without width behind what would begin a reference.
    parts = _REFERENCE.split(text.replace("\n", " "))
    return "".join(
        f"{_escaped(part)}&#8203;" if number % 2 else _escaped(part)
        for number, part in enumerate(parts)
    )


def _length(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
