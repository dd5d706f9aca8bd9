"""What an answer's bytes are taken for."""

from __future__ import annotations

import json

import pytest
from fakes.json_values import JSON_VALUES
from hypothesis import given
from hypothesis import strategies as st

from dbrun.adapters.payload import is_cut_short


@given(
    value=st.dictionaries(st.text(), JSON_VALUES, min_size=1) | st.lists(JSON_VALUES, min_size=1),
    ascii_only=st.booleans(),
    at=st.floats(0.0, 1.0),
)
def test_every_beginning_of_an_answer_is_one(value: object, ascii_only: bool, at: float) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    whole = text.encode("utf-8", "backslashreplace")
    end = 1 + round(at * (len(whole) - 2))
    assert is_cut_short(whole[:end])


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"choices: none",
        b"<html>",
        b'"text',
        b"{'choices': 1}",
        b'{"choices": oh}',
        b'{"choices": []} and more',
        b'{"choices": [],}',
        b'{"a": "\\x"}',
        b'{"a": "\\u12x4"}',
        b"[" * 200_000 + b"]" * 200_000,
        b"[" + b"1" * 5000 + b"]",
        b'{"whole": 1}',
    ],
)
def test_what_is_none(raw: bytes) -> None:
    assert not is_cut_short(raw)
