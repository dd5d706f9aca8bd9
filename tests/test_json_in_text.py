"""JSON read out of what a model says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.json_in_text import json_in, without_thoughts


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"label":"a"}', {"label": "a"}),
        ('  {"label":"a"}\n', {"label": "a"}),
        ('```json\n{"label":"a"}\n```', {"label": "a"}),
        ('```\n{"label":"a"}\n```\n', {"label": "a"}),
        ("```json\n[1,\n2]```", [1, 2]),
        ("```JSON\r\n[1,\r\n2]\r\n```\r\n", [1, 2]),
        ("12", 12),
        ('so: {"a":1}', {"a": 1}),
        ('Sure!\n```json\n{"a": "{[`"}\n```\nHope it helps {really}.', {"a": "{[`"}),
        ('I see [{"a": "}"}].', [{"a": "}"}]),
        ('<think>\nmaybe {"a":2}?\n</think>\n\n{"a":1}', {"a": 1}),
        ('so {"a":2}…</think>```json\n{"a":1}\n```', {"a": 1}),
        ('\ufeff{"a":1}', {"a": 1}),
        ('{"a":"</think>"}', {"a": "</think>"}),
        ("it is\n```\n12\n```", 12),
    ],
)
def test_json_with_or_without_a_fence(text: str, value: object) -> None:
    assert json_in(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        '{"a":1',
        "NaN",
        '{"a":Infinity}',
        'so: {"a":1} or {"a":2}',
        '{"a":1}{"a":2}',
        'so: {"a":{"b":1},',
        'so: [{"a":1},',
        'use {x}: {"a":1}',
        'so: {"a":NaN}',
        "<think>{}</think>",
        "so: 12",
        'so: "12"',
        "```json\n{}\n``` and ```\n1\n```",
        "[" * 100_000,
    ],
)
def test_what_is_no_json_is_said_so(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        json_in(text)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.dictionaries(st.text(), st.recursive(LEAVES, st.lists), min_size=1)
WORDS = st.text(st.characters(exclude_characters="[{`", exclude_categories=["Cs"]))


@given(VALUES, WORDS, WORDS, st.booleans())
def test_whatever_stands_around_it(value: object, before: str, after: str, fenced: bool) -> None:
    text = json.dumps(value)
    if fenced and "```" not in text:
        text = f"\n```json\n{text}\n```\n"
    assert json_in(f"{before}{text}{after}") == value


@given(VALUES, st.data())
def test_what_was_cut_off_is_no_json(value: object, data: st.DataObject) -> None:
    text = json.dumps(value)
    kept = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(ValueError, match=r"."):
        json_in(f"Here: {text[:kept]}")


def test_thoughts_are_left_out() -> None:
    assert without_thoughts("<think>no</think>\nyes") == "\nyes"
    assert without_thoughts("yes") == "yes"
