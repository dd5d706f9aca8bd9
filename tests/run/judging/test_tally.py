"""Counting records: failures that are alike count together."""

from __future__ import annotations

import pytest

from dbrun.run.judging.tally import MOST_FAILURES, Tally, first_of_each, likeness
from dbrun.types import Failure, Record


def failed(row: str, message: str, kind: str = "rejected", where: str | None = None) -> Record:
    failure = Failure(kind=kind, message=message, where=where)
    return Record(id=row, index=0, status="error", row={}, failure=failure)


def test_failures_that_differ_in_numbers_are_alike() -> None:
    tally = Tally()
    for number in range(1000):
        tally.add(failed(f"r{number}", f"no seed (request 3f9c-00{number:04d}ab, try {number})"))
    tally.add(failed("other", "too long"))
    assert [row for row, _, _ in tally.first_failures] == ["r0", "other"]
    assert tally.counts_alike() == (1000, 1)


def test_the_place_is_told_once() -> None:
    tally = Tally()
    tally.add(failed("a", "no seed", where="a.yaml:7:3"))
    tally.add(failed("b", "f.py:3: no", "transform", where="f.py:3"))
    assert [message for _, _, message in tally.first_failures] == [
        "a.yaml:7:3: no seed",
        "f.py:3: no",
    ]


def test_only_so_many_are_kept() -> None:
    tally = Tally()
    words = [f"{first}{second}" for first in "ghijklmnopqrst" for second in "ghijklmnopqrstuvw"]
    for word in words * 2:
        tally.add(failed(word, word))
    assert len(tally.first_failures) == MOST_FAILURES
    assert tally.counts_alike() == (2,) * MOST_FAILURES
    assert len(tally.alike) == 200
    assert tally.errors == 2 * len(words)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("row 7", "row 8", True),
        ("id 0a1b2c3d-4e5f", "id ffffffff-0000", True),
        ("temperature", "max_tokens", False),
        ("1.5 is too much", "2.5 is too much", True),
        ('no JSON; found "I think"…', 'no JSON; found "No"', True),
        ('no JSON; found "I think"', "no JSON; it is empty", False),
    ],
)
def test_likeness(one: str, other: str, alike: bool) -> None:
    assert (likeness("rejected", one) == likeness("rejected", other)) is alike
    assert likeness("rejected", one) != likeness("timeout", one)


def test_the_first_of_each_of_several_parts() -> None:
    parts = [("a", "rejected", "x 1"), ("b", "rejected", "x 2"), ("c", "timeout", "x 3")]
    assert first_of_each(parts) == [parts[0], parts[2]]
