"""What became of offline tests: said to people line by line, and to programs."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from typing import Literal

from ..frozen import frozen
from ..run.judging.matching import ABSENT
from ..run.offline.rehearsal import Mismatch, Outcome
from ..spec.nodes import dotted, one_line
from ..types import Json, Problem
from .pieces import shortened, word_diff

Kind = Literal["plain", "failed", "expected", "got", "passed"]

_SHORT = 60  # characters of a text that is shown whole, without a diff
_LONGEST = 400  # characters that are shown of a value
_MOST_LINES = 60  # of a diff
_MOST_COMPARED = 40_000  # characters: comparing takes the square of their words
_AROUND = 40  # characters around a difference


@frozen
class Line:
    """A line of a report, and what it is about."""

    text: str
    kind: Kind = "plain"


def name_of(outcome: Outcome) -> str:
    """The test's name, with the variant's where there is a matrix, and with the spec where the
    test is inherited."""
    name = outcome.case.name
    if outcome.variant is not None:
        name += f" [{outcome.variant}]"
    if outcome.case.where.file != outcome.spec:
        name += f" ({outcome.spec})"
    return one_line(name)


def failure_lines(outcome: Outcome) -> Iterator[Line]:
    """What is wrong with a test that failed: where, what was expected, and what came."""
    yield Line(text=f"{outcome.case.where}: {name_of(outcome)}: failed", kind="failed")
    for mismatch in outcome.mismatches:
        yield Line(text=f"  {headline(mismatch)}")
        for line in _details(mismatch):
            yield Line(text=f"    {line.text}", kind=line.kind)


def headline(mismatch: Mismatch) -> str:
    """What is wrong, in one line that says nothing of the values."""
    part = mismatch.part
    if part != "response" and (mismatch.parting is not None or mismatch.got is not None):
        place = dotted(mismatch.parting.path) if mismatch.parting is not None else ""
        of_step = f" of step '{mismatch.step}'" if mismatch.step is not None else ""
        at = f" at {place}" if place else ""
        return one_line(f"{part}{of_step} differs{at} ({mismatch.where})")
    if part == "error" and mismatch.expected is None:
        return one_line(f"unexpected error ({mismatch.where})")
    return one_line(f"{part}: {mismatch.said} ({mismatch.where})")


def _details(mismatch: Mismatch) -> Iterator[Line]:
    found = mismatch.parting
    if found is not None:
        yield from _differences(found.expected, found.got)
    elif mismatch.part == "error" and mismatch.expected is None:
        yield Line(text=f"got       {_cut(one_line(mismatch.said))}", kind="got")
    elif mismatch.part == "error":
        yield Line(text=f"expected  {_cut(one_line(mismatch.expected))}", kind="expected")
        if mismatch.got is not None:
            yield Line(text=f"got       {_cut(one_line(mismatch.got))}", kind="got")


def _differences(expected: Json, got: Json) -> Iterator[Line]:
    texts = isinstance(expected, str) and isinstance(got, str)
    if texts and len(expected) + len(got) > _MOST_COMPARED:
        yield from _first_difference(expected, got)
        return
    if texts and ("\n" in expected or "\n" in got):
        yield from _diff(expected.split("\n"), got.split("\n"))
        return
    if texts and max(len(expected), len(got)) > _SHORT:
        yield from _word_diff(expected, got)
        return
    yield Line(text=f"expected  {_shown(expected)}", kind="expected")
    yield Line(text=f"got       {_shown(got)}", kind="got")


def _first_difference(expected: str, got: str) -> Iterator[Line]:
    """Texts that are too long to be compared word by word, from where they part."""
    shorter = min(len(expected), len(got))
    at = next((at for at in range(shorter) if expected[at] != got[at]), shorter)
    yield Line(text=f"alike for {at:,} characters, then")
    yield Line(text=f"expected  {_shown(expected[at:])}", kind="expected")
    yield Line(text=f"got       {_shown(got[at:])}", kind="got")


def _diff(expected: Sequence[str], got: Sequence[str]) -> Iterator[Line]:
    """Both texts line by line: what is missing with `-`, what came instead with `+`."""
    lines = list(difflib.unified_diff(expected, got, "expected", "got", n=2, lineterm=""))
    kinds: dict[str, Kind] = {"-": "expected", "+": "got"}
    for line in lines[:_MOST_LINES]:
        yield Line(text=_cut(one_line(line)), kind=kinds.get(line[:1], "plain"))
    if len(lines) > _MOST_LINES:
        yield Line(text=f"… and {len(lines) - _MOST_LINES} more lines")


def _word_diff(expected: str, got: str) -> Iterator[Line]:
    """Both texts with the words marked that the other has not, far from which `…` stands."""
    pieces = shortened(word_diff(expected, got), _AROUND, _LONGEST)
    kinds: tuple[tuple[Literal["expected", "got"], str], ...] = (("expected", "-"), ("got", "+"))
    for kind, own in kinds:
        words = [
            piece.text if piece.kind == " " else f"[{piece.text}]"
            for piece in pieces
            if piece.kind in (" ", own)
        ]
        yield Line(text=f"{kind:<9} {_cut(one_line(''.join(words)))}", kind=kind)


def _shown(value: Json) -> str:
    if value is ABSENT:
        return "nothing"
    return _cut(one_line(json.dumps(value, ensure_ascii=False)))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"


def summary(outcomes: Sequence[Outcome]) -> Line:
    """How many tests passed and failed, and how long they took."""
    failed = sum(not outcome.passed for outcome in outcomes)
    passed = len(outcomes) - failed
    counts = [f"{failed:,} failed"] if failed else []
    counts += [f"{passed:,} passed"] if passed or not failed else []
    took = sum(outcome.seconds for outcome in outcomes) * 1000
    text = f"{', '.join(counts)} in {took:,.0f} ms"
    return Line(text=text, kind="failed" if failed else "passed")


def to_json(spec: str, outcome: Outcome) -> dict[str, Json]:
    """An outcome for programs."""
    where = outcome.case.where
    return {
        "spec": spec,
        "name": outcome.case.name,
        "variant": outcome.variant,
        "passed": outcome.passed,
        "seconds": round(outcome.seconds, 6),
        "file": where.file,
        "line": where.line,
        "column": where.column,
        "failures": [_mismatch_to_json(one) for one in outcome.mismatches],
    }


def _mismatch_to_json(mismatch: Mismatch) -> dict[str, Json]:
    found = mismatch.parting
    said: dict[str, Json] = {
        "part": mismatch.part,
        "step": mismatch.step,
        "line": mismatch.where.line,
        "column": mismatch.where.column,
        "message": in_words(mismatch),
        "path": dotted(found.path) if found is not None else None,
    }
    expected = mismatch.expected if found is None else found.expected
    got = mismatch.got if found is None else found.got
    sides = {"expected": expected, "got": got}
    # What is not there is absent here as well.
    return {**said, **{side: value for side, value in sides.items() if value is not ABSENT}}


def in_words(mismatch: Mismatch) -> str:
    """What is wrong, in one line with the values, as far as they are short."""
    details = [" ".join(line.text.split()) for line in _details(mismatch)]
    place = f" ({mismatch.where})"
    said = headline(mismatch).replace(place, "")
    return _cut("; ".join([said, *details]))


def problems_of(outcome: Outcome) -> list[Problem]:
    """What is wrong with a test as problems at their places in the spec."""
    return [
        Problem(
            where=mismatch.where,
            path=f"test '{name_of(outcome)}'",
            message=in_words(mismatch),
        )
        for mismatch in outcome.mismatches
    ]
