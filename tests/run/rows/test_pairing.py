"""Pairing two sequences by key."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dbrun.run.rows.pairing import Pair, pairs

SIDES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=12)


def test_partners_meet_wherever_they_are() -> None:
    left = [("a", 1), ("b", 2), ("c", 3)]
    right = [("b", 20), ("c", 30), ("d", 40)]
    assert list(pairs(left, right)) == [
        Pair("b", 2, 20),
        Pair("c", 3, 30),
        Pair("a", 1, None),
        Pair("d", None, 40),
    ]


@given(SIDES, SIDES)
def test_every_value_is_paired_once_and_equal_keys_in_order(
    left: list[tuple[str, int]], right: list[tuple[str, int]]
) -> None:
    found = list(pairs(left, right))
    for side, name in ((left, "left"), (right, "right")):
        seen = [(p.key, getattr(p, name)) for p in found if getattr(p, name) is not None]
        assert Counter(seen) == Counter(side)
    for key in "abc":
        ours = [value for name, value in left if name == key]
        theirs = [value for name, value in right if name == key]
        met = [(p.left, p.right) for p in found if p.key == key and None not in (p.left, p.right)]
        assert met == list(zip(ours, theirs, strict=False))
