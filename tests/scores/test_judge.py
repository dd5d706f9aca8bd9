"""What is read out of a judge's answer."""

from __future__ import annotations

from typing import Any

import pytest

from dbrun.context import Context
from dbrun.errors import InvalidOutput, SpecError
from dbrun.scores.base import Subject
from dbrun.scores.judge import Judge
from dbrun.spec.model import ScoreSpec
from dbrun.types import Score


def read(answer: Any, value: str | None = None) -> Score:
    options = {} if value is None else {"value": value}
    spec = ScoreSpec(kind="judge", name="j", options=options, path="scores[0]")
    return Judge.create(spec, Context()).score(Subject(value=answer))


@pytest.mark.parametrize(
    ("answer", "value", "wanted"),
    [
        ("4", None, Score(value=4)),
        (" 0.5\n", None, Score(value=0.5)),
        ("Yes.", None, Score(value=True)),
        ("false", None, Score(value=False)),
        ('{"score": 3, "reason": "dull"}', "score", Score(value=3, explanation="dull")),
        ('```json\n{"a": {"b": [true]}}\n```', "a.b[0]", Score(value=True)),
        ({"score": "2", "explanation": "so"}, "score", Score(value=2, explanation="so")),
        ("<think>It is short. 3?</think>\n\n4", None, Score(value=4)),
        ('I would say: {"score": 5}.', "score", Score(value=5)),
        ([{"score": 7}], "[0].score", Score(value=7)),
    ],
)
def test_numbers_and_booleans_are_found(answer: Any, value: str | None, wanted: Score) -> None:
    made = read(answer, value)
    assert made == wanted
    assert type(made.value) is type(wanted.value)


@pytest.mark.parametrize(
    ("answer", "value"),
    [("I cannot say", None), ("Infinity", None), ("4", "score"), ('{"score": null}', "score")],
)
def test_what_is_neither_is_said(answer: Any, value: str | None) -> None:
    with pytest.raises(InvalidOutput, match="the judge's answer holds no number or boolean"):
        read(answer, value)


def test_a_path_that_is_none_is_a_problem() -> None:
    with pytest.raises(SpecError, match=r"scores\[0\].value: is no JMESPath"):
        read("4", "a[")


def test_a_path_that_cannot_read_the_answer_fails_the_score() -> None:
    with pytest.raises(InvalidOutput, match="cannot read the judge's answer"):
        read("4", "length(@)")
