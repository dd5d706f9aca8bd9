"""Where a value differs from what is expected, or has not the parts that are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.run.judging.matching import ABSENT, parting
from dbrun.spec.nodes import dotted

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (1, 1.0),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": {}}, {"a": {"b": 2}}),
        ([{"a": 1}, {}], [{"a": 1, "b": 2}, {"c": 3}]),
        ({}, {}),
        (None, None),
    ],
)
def test_a_part_is_there(expected: Any, got: Any) -> None:
    assert parting(expected, got, part=True) is None


@pytest.mark.parametrize(
    ("expected", "got", "path", "sides"),
    [
        (True, 1, "", (True, 1)),
        (0, False, "", (0, False)),
        ("1", 1, "", ("1", 1)),
        ({"a": [{"b": "x"}]}, {"a": [{"b": "y"}]}, "a[0].b", ("x", "y")),
        ({"a": 1, "b": 2}, {"a": 1}, "b", (2, ABSENT)),
        ({"a": None}, {}, "a", (None, ABSENT)),
        ([1], [1, 2], "[1]", (ABSENT, 2)),
        ([1, 2], [1], "[1]", (2, ABSENT)),
        ({}, [], "", ({}, [])),
    ],
)
def test_a_part_is_not_there(expected: Any, got: Any, path: str, sides: tuple[Any, Any]) -> None:
    found = parting(expected, got, part=True)
    assert found is not None
    assert dotted(found.path) == path
    assert (found.expected, found.got) == sides


def test_a_further_key_is_a_difference_of_wholes() -> None:
    found = parting({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, part=False)
    assert found is not None
    assert (found.path, found.expected, found.got) == (("a", "c"), ABSENT, 2)


@given(JSON, st.booleans())
def test_everything_is_itself(value: Any, part: bool) -> None:
    assert parting(value, value, part=part) is None


@given(JSON, JSON)
def test_wholes_differ_or_are_equal(left: Any, right: Any) -> None:
    there = parting(left, right, part=False)
    back = parting(right, left, part=False)
    assert (there is None) == (back is None)
