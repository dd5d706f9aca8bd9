"""A score of the user's own: a function that is given the record."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ..context import Context
from ..errors import PluginError, TransformError
from ..frames import definition, raised, user_frame
from ..spec.model import Reference, ScoreSpec
from ..types import Json, Score
from ..values import copied, plain
from .base import Subject

_TAKES = "a number, a boolean or {value, explanation}"


class Python:
    """What `fn(record)` returns: a number, a boolean, or `{value, explanation}`."""

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["function"],
        "properties": {
            "function": {
                "x-kind": "reference",
                "description": "The function, as package.module:function.",
            },
        },
    }

    def __init__(
        self, function: Callable[..., Any], reference: Reference, project: str | None
    ) -> None:
        self._function = function
        self._reference = reference
        self._project = project

    @classmethod
    def create(cls, spec: ScoreSpec, context: Context) -> Python:
        """A scorer from its options, the function imported. Raises `SpecError`."""
        if context.resolve is None:
            raise PluginError("score 'python' needs functions, and this context finds none")
        reference: Reference = spec.options["function"]
        return cls(context.resolve(reference), reference, context.project)

    def score(self, subject: Subject) -> Score:
        """What the function returns.

        Raises:
            TransformError: it raised, or returned something else.
        """
        kwargs = self._reference.kwargs
        try:
            made = self._function(copied(subject.record), **(copied(kwargs) if kwargs else {}))
        except (Exception, SystemExit, GeneratorExit) as error:
            place = user_frame(error, self._function, self._project)
            raise TransformError(f"{self._reference.path} {raised(error)}", place) from error
        try:
            return as_score(plain(made))
        except ValueError as error:
            place = definition(self._function, self._project)
            said = f"{self._reference.path} returned {error}"
            raise TransformError(said, place) from error


def as_score(made: Json) -> Score:
    """The score that a value stands for. Raises `ValueError`, which says what it is instead."""
    explanation: Json = None
    if isinstance(made, Mapping):
        if "value" not in made:
            raise ValueError(f"a mapping without 'value'; it must return {_TAKES}")
        made, explanation = made["value"], made.get("explanation")
    if not isinstance(made, (bool, int, float)) or not math.isfinite(made):
        kind = "None" if made is None else type(made).__name__
        raise ValueError(f"{kind}; it must return {_TAKES}")
    return Score(value=made, explanation=None if explanation is None else str(explanation))
