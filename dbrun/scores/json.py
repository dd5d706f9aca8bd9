"""A score that holds a value against a JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import ClassVar

from ..context import Context
from ..spec.model import ScoreSpec
from ..spec.response import output_check
from ..types import Json, Score
from .base import Subject, verdict


class JsonSchema:
    """Whether the value satisfies a JSON Schema; a text is read as JSON first."""

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["schema"],
        "properties": {
            "schema": {
                "type": ["object", "boolean"],
                "description": "A JSON Schema, or {file: path} of one.",
            },
        },
    }

    def __init__(self, check: Callable[[Json], str | None]) -> None:
        self._check = check

    @classmethod
    def create(cls, spec: ScoreSpec, context: Context) -> JsonSchema:
        """A scorer from its options."""
        return cls(output_check(spec.options["schema"]))

    def score(self, subject: Subject) -> Score:
        """True or false."""
        value = subject.value
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError) as error:
                return Score(value=False, explanation=f"it is not JSON: {error}")
        problem = self._check(value)
        return verdict(problem is None, problem or "")
