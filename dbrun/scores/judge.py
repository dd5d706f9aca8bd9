"""A score that a model gives: here its answer is read; what it is asked is a step of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ..context import Context
from ..errors import InvalidOutput, PluginError, SpecError
from ..json_in_text import json_in, without_thoughts
from ..spec.model import ScoreSpec
from ..types import Json, Problem, Score
from .base import Subject, shown

_WORDS: Mapping[str, bool] = {"true": True, "yes": True, "false": False, "no": False}
_REASONS = ("explanation", "reason", "reasoning")


class Judge:
    """The number or boolean in a model's answer, which is given as the subject's value.

    A text is read as JSON if there is some in it. Yes, no, true and false alone are booleans.
    """

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["endpoint", "prompt"],
        "properties": {
            "endpoint": {
                "x-kind": "endpoint",
                "description": "Who judges: an adapter and its options, or a name in endpoints.",
            },
            "prompt": {
                "x-kind": "prompt",
                "description": "What the judge is asked: a template that also sees output.",
            },
            "params": {
                "type": "object",
                "x-scalars": True,
                "default": {},
                "description": "Generation parameters in the endpoint's own names.",
            },
            "value": {
                "type": "string",
                "minLength": 1,
                "description": "A JMESPath to the number or boolean in the answer; default: all.",
            },
        },
    }

    def __init__(self, find: Callable[[Json], Json] | None, path: str | None) -> None:
        self._find = find
        self._path = path

    @classmethod
    def create(cls, spec: ScoreSpec, context: Context) -> Judge:
        """A scorer from its options.

        Raises:
            SpecError: `value` is no JMESPath.
            PluginError: `value` is given and jmespath is not installed.
        """
        path = spec.options.get("value")
        return cls(_finder(spec, path) if path is not None else None, path)

    def score(self, subject: Subject) -> Score:
        """What the answer says.

        Raises:
            InvalidOutput: there is no number and no boolean where one is looked for.
        """
        answer = _read(subject.value)
        found = answer if self._find is None else self._find(answer)
        value = _value(found)
        if value is None:
            where = f" at {self._path}" if self._path is not None else ""
            raise InvalidOutput(
                f"the judge's answer holds no number or boolean{where}: {shown(subject.value)}"
            )
        return Score(value=value, explanation=_reason(answer))


def _finder(spec: ScoreSpec, path: str) -> Callable[[Json], Json]:
    try:
        import jmespath
    except ImportError as error:
        raise PluginError(
            "'value' needs jmespath, which is not installed",
            "pip install 'dbrun[scores]'",
        ) from error
    try:
        compiled = jmespath.compile(path)
    except jmespath.exceptions.JMESPathError as error:
        said = f"is no JMESPath: {' '.join(str(error).split())}"
        problem = Problem(where=spec.mark("value"), path=f"{spec.path}.value", message=said)
        raise SpecError([problem]) from error

    def find(answer: Json) -> Json:
        try:
            return compiled.search(answer)
        except jmespath.exceptions.JMESPathError as error:
            raise InvalidOutput(f"{path} cannot read the judge's answer: {error}") from error

    return find


def _read(answer: Json) -> Json:
    """JSON that a text holds; else the text, without what was thought aloud before it."""
    if not isinstance(answer, str):
        return answer
    try:
        return json_in(answer)
    except (ValueError, RecursionError):
        return without_thoughts(answer)


def _value(found: Json) -> float | bool | None:
    if isinstance(found, str):
        word = found.strip().rstrip(".").lower()
        if word in _WORDS:
            return _WORDS[word]
        try:
            found = float(word) if not word.isdigit() else int(word)
        except ValueError:
            return None
    if isinstance(found, (bool, int, float)) and math.isfinite(found):
        return found
    return None


def _reason(answer: Json) -> str | None:
    said: Any = None
    if isinstance(answer, Mapping):
        said = next((answer[name] for name in _REASONS if answer.get(name)), None)
    return said if isinstance(said, str) else None
