"""Canonical JSON against an independent implementation of RFC 8785."""

from __future__ import annotations

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from dbrun.canonical import canonical, digest

SAFE = 2**53 - 1
texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-SAFE, SAFE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)


@given(values)
def test_it_is_rfc_8785(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_spelt_as_ecmascript_spells_them(value: float) -> None:
    assert canonical([value]) == rfc8785.dumps([value])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (1e21, "1e+21"),
        (1e-7, "1e-7"),
        (0.000001, "0.000001"),
        (123456789012345680000.0, "123456789012345680000"),
        (5e-324, "5e-324"),
        ({"b": 1, "a": [True, None]}, '{"a":[true,null],"b":1}'),
        ({"€": 1, "\r": 2, "𝄞": 3, "é": 4}, '{"\\r":2,"é":4,"€":1,"𝄞":3}'),
        ("3.0, and 1e5", '"3.0, and 1e5"'),
    ],
)
def test_spelling(value: object, text: str) -> None:
    assert canonical(value).decode() == text


def test_large_integers_keep_their_digits() -> None:
    assert digest({"seed": 2**60}) != digest({"seed": 2**60 + 1})
    assert canonical(2**60) == str(2**60).encode()


def test_lone_surrogates_differ_from_their_escapes() -> None:
    assert json.loads(canonical("\ud800")) == "\ud800"
    assert canonical("\ud800") != canonical("\\ud800")


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": -float("inf")}])
def test_what_json_has_not_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical(value)


@pytest.mark.parametrize("value", [{1, 2}, b"x", object()])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical(value)
