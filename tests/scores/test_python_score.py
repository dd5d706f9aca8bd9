"""The score of a user's own function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dbrun.context import Context
from dbrun.errors import TransformError
from dbrun.scores.base import Subject
from dbrun.scores.python import Python
from dbrun.spec.model import Reference, ScoreSpec
from dbrun.types import Score


def scorer(function: Callable[..., Any], **kwargs: Any) -> Python:
    reference = Reference(path="functions:grade", folder=".", project=".", kwargs=kwargs)
    spec = ScoreSpec(kind="python", name="grade", options={"function": reference})
    return Python.create(spec, Context(resolve=lambda _: function))


@pytest.mark.parametrize(
    ("returned", "wanted"),
    [
        (0.5, Score(value=0.5)),
        (True, Score(value=True)),
        ({"value": 3}, Score(value=3)),
        ({"value": False, "explanation": "rude"}, Score(value=False, explanation="rude")),
    ],
)
def test_takes_numbers_and_booleans(returned: Any, wanted: Score) -> None:
    made = scorer(lambda record: returned).score(Subject(value=None))
    assert made == wanted
    assert type(made.value) is type(wanted.value)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "returned None; it must return a number"),
        ("good", "returned str; it must return a number"),
        ({"score": 1}, "a mapping without 'value'"),
        (float("nan"), "functions:grade returned"),
        (object(), "functions:grade returned"),
    ],
)
def test_refuses_the_rest(returned: Any, said: str) -> None:
    with pytest.raises(TransformError, match=said):
        scorer(lambda record: returned).score(Subject(value=None))


def test_is_given_a_copy_of_the_record_and_its_kwargs() -> None:
    record = {"id": "a", "row": {"label": "b"}}

    def grade(given: dict[str, Any], least: int) -> int:
        given["row"]["label"] = "changed"
        return len(given["id"]) + least

    assert scorer(grade, least=2).score(Subject(value=None, record=record)).value == 3
    assert record == {"id": "a", "row": {"label": "b"}}


def test_what_it_raises_names_the_function() -> None:
    def grade(record: dict[str, Any]) -> int:
        raise ValueError("no such grade")

    with pytest.raises(TransformError, match="functions:grade raised ValueError: no such grade"):
        scorer(grade).score(Subject(value=None))
