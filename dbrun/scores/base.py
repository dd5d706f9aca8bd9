"""What a score is: a judgement of one record, a number or a boolean, with a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar, Protocol

from ..context import Context
from ..errors import PluginError
from ..frozen import frozen
from ..spec.model import ScoreSpec
from ..spec.prompts import Text
from ..types import Json, Score

_LONGEST = 120  # characters of a value in an explanation

EXPECTED: Mapping[str, Json] = {
    "x-kind": "template",
    "type": "string",
    "description": "A template of what is expected; {{ column }} alone keeps the value's type.",
}
"""The option `expected`, for the scores that compare."""


@frozen
class Subject:
    """What is judged: the *value* of the score's `of`, what templates see (*scope*: the row's
    columns, `row`, `vars`, `steps`, `output`), and the whole *record* as its line would be."""

    value: Json
    scope: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Json] = field(default_factory=dict)


class Scorer(Protocol):
    """A score of a spec, ready to judge. Several threads may ask it at once."""

    options: ClassVar[Mapping[str, Json]]
    """JSON Schema (an object with `properties`) of the score's own keys."""

    @classmethod
    def create(cls, spec: ScoreSpec, context: Context) -> Scorer:
        """A scorer from its options, already valid.

        Raises:
            SpecError: a template or an expression in them is not well formed.
            PluginError: a library that it needs is not installed.
        """

    def score(self, subject: Subject) -> Score:
        """The judgement.

        Raises:
            RowError: the record cannot be judged; it is then recorded as failed, with the reason.
        """


class Expected:
    """The option `expected` of a score, rendered for one record after another."""

    def __init__(self, spec: ScoreSpec, context: Context) -> None:
        if context.template is None:
            raise PluginError("scores need templates, and this context has none")
        text: Text = spec.options["expected"]
        self._template = context.template(text)

    def of(self, subject: Subject) -> Json:
        """What is expected of *subject*. Raises `RenderError`."""
        return self._template.value(dict(subject.scope))


def verdict(met: bool, otherwise: str) -> Score:
    """Whether something is so, and what is said if it is not."""
    return Score(value=met, explanation=None if met else otherwise)


def alike(one: Json, other: Json, *, ignore_case: bool = False) -> bool:
    """Whether two values are the same: texts apart from white space around them, numbers by their
    amount, and a text like the JSON of what is none (a column of a CSV file holds texts only);
    where that is a number, any JSON of it will do: 36.0 is the text 36."""
    for text, value in ((one, other), (other, one)):
        if isinstance(text, str) and _is_number(value):
            return bool(_number(text) == value)
    if isinstance(one, str) or isinstance(other, str):
        left, right = as_text(one).strip(), as_text(other).strip()
        return left.casefold() == right.casefold() if ignore_case else left == right
    return _same(one, other)


def as_text(value: Json) -> str:
    """Text as it is, null as nothing, everything else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def shown(value: Json) -> str:
    """A value for an explanation: JSON on one line, shortened."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(text: str) -> Json:
    """The number that *text* is in JSON, where 007 is none; else None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if _is_number(value) else None


def _same(one: Json, other: Json) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return bool(one == other)
