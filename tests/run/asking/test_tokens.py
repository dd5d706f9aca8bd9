"""Tokens of a request before it is sent: lengths, bounds, and what answers teach."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.run.asking.tokens import OUTPUTS, TokenEstimate, most_tokens, size_of
from dbrun.types import Usage

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
)


def chat(content: Any, **params: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], **params}


@given(JSON)
def test_a_size_is_that_of_the_json(body: Any) -> None:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    assert size_of(body) == len(text.encode())


def test_an_image_counts_as_what_it_is_worth() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}}
    assert 4_000 < size_of(chat([image])) < 10_000
    assert size_of(chat([image, image])) > 1.8 * size_of(chat([image]))
    assert size_of(chat("data: " + "A" * 1_000_000 + ";base64,")) > 1_000_000


@pytest.mark.parametrize(
    ("body", "most"),
    [
        (chat("a"), None),
        (chat("a", max_tokens=50), 50),
        (chat("a", max_completion_tokens=50), 50),
        ({"input": "a", "max_output_tokens": 50}, 50),
        (chat("a", max_tokens=50, n=3), 150),
        (chat("a", max_tokens=50, n=1, best_of=4), 200),
        (chat("a", max_tokens=50, n="3"), 50),
        (chat("a", max_tokens=True), None),
        (chat("a", max_tokens="50"), None),
        (chat("a", max_tokens=0), 0),
        ({"inputs": ["a"], "params": {"max_tokens": 50}}, 50),
        ({"inputs": ["a"], "params": "max_tokens"}, None),
        (["max_tokens"], None),
        ("max_tokens", None),
    ],
)
def test_what_bounds_an_answer(body: Any, most: int | None) -> None:
    assert most_tokens(body) == most


def test_before_any_answer_text_is_taken_for_dense() -> None:
    body = chat("a" * 100)
    inputs, outputs, beside = TokenEstimate().most([body])
    assert inputs == math.ceil(size_of(body) / 2)
    assert outputs == OUTPUTS
    assert beside == 0


def test_max_tokens_makes_it_sure() -> None:
    estimate = TokenEstimate()
    assert estimate.most([chat("a", max_tokens=9), chat("b", max_tokens=5)])[1:] == (14, math.inf)
    assert estimate.most([chat("a", max_tokens=9), chat("b")])[1:] == (9 + OUTPUTS, 0)


def test_the_most_is_the_longest_answer_and_the_densest_text_so_far() -> None:
    estimate = TokenEstimate()
    body = chat("a" * 100)
    for number, (inputs, outputs) in enumerate([(20, 5), (50, 90), (10, 1)], start=1):
        usage = Usage(input_tokens=inputs, output_tokens=outputs)
        assert estimate.after([usage], [body]) == (inputs, outputs)
        assert estimate.most([body])[2] == number
    assert estimate.most([body])[:2] == (50, 90)


def test_joined_calls_teach_what_each_of_them_took() -> None:
    estimate = TokenEstimate()
    bodies = [chat("a" * 100), chat("b" * 100)]
    assert estimate.after([Usage(input_tokens=80, output_tokens=30)], bodies) == (80, 30)
    assert estimate.most(bodies)[:2] == (80, 30)
    assert estimate.most(bodies[:1])[:2] == (40, 15)


def test_who_tells_nothing_teaches_only_that_answers_come() -> None:
    estimate = TokenEstimate()
    body = chat("a")
    before = estimate.most([body])
    assert estimate.after([None], [body]) is None
    assert estimate.most([body]) == (*before[:2], 1)
