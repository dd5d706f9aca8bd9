"""From the sides since a revision to what comparing them finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...registry import Registry
from ..comparing import compare
from ..model import Comparison, Options, Side
from ..reading import read_side
from .base import Base, Sides
from .side import Made

_NOW = "now"


def comparisons(base: Base, options: Options, registry: Registry) -> list[Comparison]:
    """What comparing the sides of each spec finds. A record that merely has no answer in the
    journal has not failed.

    Raises:
        UserError: a variant that is to be compared is not there.
    """
    options = replace(options, unanswered_apart=True, unrelated=True)
    found = []
    for sides in base.sides:
        old = _side(sides.old, _shown(base), _of_base(sides, base))
        new = _side(sides.new, _NOW, _of_now(sides, base))
        found.append(replace(compare(old, new, options, registry), title=sides.spec))
    return found


def _side(made: Made, label: str, notes: Iterator[str]) -> Side:
    return replace(read_side(made.results, label), notes=tuple(notes))


def _of_base(sides: Sides, base: Base) -> Iterator[str]:
    where = _shown(base)
    if sides.is_new:
        yield f"{where} does not have this spec: it is new"
        return
    if sides.trouble is not None:
        yield f"{where}: the spec cannot be replayed, so all is new: {sides.trouble}"
        return
    made = sides.old
    if made.trouble is not None and made.has_results:
        yield f"{where}: these are the committed results; they cannot be replayed: {made.trouble}"
    elif made.trouble is not None:
        yield f"{where}: these are a replay; committed results cannot be read: {made.trouble}"
    elif made.has_results:
        yield f"{where}: these are the results that are committed there"
    yield from _unanswered(made, where)


def _of_now(sides: Sides, base: Base) -> Iterator[str]:
    if sides.is_deleted:
        yield f"the spec is deleted; {_shown(base)} has it"
        return
    made = sides.new
    if made.trouble is not None and made.has_results:
        yield f"now: these are the results on disk; they cannot be replayed: {made.trouble}"
    yield from _unanswered(made, "now")
    if made.unanswered:
        yield f"run `dbrun {sides.spec}`, or a sample of it, to compare these, too"


def _unanswered(made: Made, where: str) -> Iterator[str]:
    if not made.unanswered:
        return
    shown = ", ".join(made.named[:5]) + (", …" if len(made.named) > 5 else "")
    of = f"{made.unanswered:,} of {made.records:,} records"
    yield f"{where}: {of} lack an answer in the journal: {shown}"


def _shown(base: Base) -> str:
    """What the old side is called: `main (0123abcde)`, or just the commit."""
    commit = base.commit[:9]
    is_hash = len(base.revision) == len(base.commit)
    return commit if is_hash else f"{base.revision} ({commit})"
