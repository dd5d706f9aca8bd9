"""Values from elsewhere: made plain, and copied."""

from __future__ import annotations

import json
from collections import OrderedDict, UserDict
from typing import Any

import pytest
from fakes.json_values import JSON_VALUES
from hypothesis import given

from dbrun.values import DEEPEST, copied, is_too_deep, plain


def containers(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [id(value), *(one for item in value.values() for one in containers(item))]
    if isinstance(value, list):
        return [id(value), *(one for item in value for one in containers(item))]
    return []


@given(JSON_VALUES)
def test_json_stays_equal_and_shares_nothing_that_can_be_altered(value: Any) -> None:
    for made in (plain(value), copied(value)):
        assert made == value
        assert json.dumps(made) == json.dumps(value)
        assert not set(containers(made)) & set(containers(value))


def test_mappings_and_tuples_of_other_kinds_become_plain() -> None:
    value = OrderedDict(a=UserDict(b=(1, [2])))
    assert plain(value) == {"a": {"b": [1, [2]]}}
    assert type(plain(value)) is dict
    assert copied(UserDict(a=[1])) == {"a": [1]}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("inf"), "infinity"),
        ([0, {"a": [float("nan")]}], "NaN at [1].a[0]"),
        ({"a": {"b": object}}, "a type at a.b"),
        ({("a",): 1}, "a key that is a tuple"),
        (iter([]), "a list_iterator"),
        (Exception("x"), "an Exception"),
    ],
)
def test_what_json_cannot_hold_is_named_with_its_place(value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        plain(value)
    assert str(caught.value) == said


@pytest.mark.parametrize("value", [10**5000, {"a": [-(10**5000)]}], ids=["alone", "inside"])
def test_numbers_that_cannot_be_written_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="a number of thousands of digits"):
        plain(value)


@pytest.mark.parametrize("inside", ["[%s]", '{"a":%s}', '[1,{"b":[],"a":%s}]'])
def test_depth_is_told_from_size(inside: str) -> None:
    text = "1"
    while text.count("{") + text.count("[") <= 3 * DEEPEST:
        text = inside % text
    assert is_too_deep(json.loads(text))
    assert not is_too_deep([[]] * 3 * DEEPEST)
    assert not is_too_deep("[" * 3 * DEEPEST)
