"""Scores that look at a value as it stands: equals, contains, regex, one_of, length."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from ..context import Context
from ..errors import SpecError
from ..spec.model import ScoreSpec
from ..types import Json, Problem, Score
from .base import EXPECTED, Expected, Subject, alike, as_text, shown, verdict

_IGNORE_CASE: Mapping[str, Json] = {
    "type": "boolean",
    "default": False,
    "description": "Whether capitals and small letters are the same.",
}


class Equals:
    """Whether the value is the expected one."""

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["expected"],
        "properties": {"expected": EXPECTED, "ignore_case": _IGNORE_CASE},
    }

    def __init__(self, expected: Expected, ignore_case: bool) -> None:
        self._expected = expected
        self._ignore_case = ignore_case

    @classmethod
    def create(cls, spec: ScoreSpec, context: Context) -> Equals:
        """A scorer from its options. Raises `SpecError`."""
        return cls(Expected(spec, context), spec.options.get("ignore_case", False))

    def score(self, subject: Subject) -> Score:
        """True or false. Raises `RenderError`."""
        expected = self._expected.of(subject)
        met = alike(subject.value, expected, ignore_case=self._ignore_case)
        return verdict(met, f"expected {shown(expected)}, found {shown(subject.value)}")


class Contains(Equals):
    """Whether the value holds the expected text, or, if it is a list, the expected item."""

    def score(self, subject: Subject) -> Score:
        """True or false. Raises `RenderError`."""
        expected, value = self._expected.of(subject), subject.value
        if isinstance(value, list):
            met = any(alike(item, expected, ignore_case=self._ignore_case) for item in value)
        else:
            part, whole = as_text(expected), as_text(value)
            met = part.casefold() in whole.casefold() if self._ignore_case else part in whole
        return verdict(met, f"{shown(expected)} is not in {shown(value)}")


class Regex:
    """Whether a regular expression matches somewhere in the value's text."""

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["pattern"],
        "properties": {
            "pattern": {
                "type": "string",
                "minLength": 1,
                "description": "A regular expression in Python's words; ^ and $ for all of it.",
            },
        },
    }

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern

    @classmethod
    def create(cls, spec: ScoreSpec, context: Context) -> Regex:
        """A scorer from its options. Raises `SpecError`."""
        try:
            return cls(re.compile(spec.options["pattern"]))
        except (re.error, RecursionError, OverflowError) as error:
            said = f"is no regular expression: {error}"
            where, path = spec.mark("pattern"), f"{spec.path}.pattern"
            problem = Problem(where=where, path=path, message=said)
            raise SpecError([problem]) from error

    def score(self, subject: Subject) -> Score:
        """True or false."""
        met = self._pattern.search(as_text(subject.value)) is not None
        return verdict(met, f"nothing in {shown(subject.value)} matches {self._pattern.pattern}")


class OneOf:
    """Whether the value is one of a list."""

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["values"],
        "properties": {
            "values": {
                "type": "array",
                "minItems": 1,
                "description": "The values that will do.",
            },
        },
    }

    def __init__(self, values: list[Json]) -> None:
        self._values = values

    @classmethod
    def create(cls, spec: ScoreSpec, context: Context) -> OneOf:
        """A scorer from its options."""
        return cls(spec.options["values"])

    def score(self, subject: Subject) -> Score:
        """True or false."""
        met = any(alike(subject.value, value) for value in self._values)
        return verdict(met, f"{shown(subject.value)} is none of {shown(self._values)}")


class Length:
    """How long the value's text is; with `min` or `max`, whether it is within these."""

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "properties": {
            "unit": {
                "enum": ["words", "chars"],
                "default": "words",
                "description": "What is counted.",
            },
            "min": {"type": "integer", "minimum": 0, "description": "At least so many."},
            "max": {"type": "integer", "minimum": 0, "description": "At most so many."},
        },
    }

    def __init__(self, unit: str, least: int | None, most: int | None) -> None:
        self._unit = unit
        self._least = least
        self._most = most

    @classmethod
    def create(cls, spec: ScoreSpec, context: Context) -> Length:
        """A scorer from its options. Raises `SpecError`."""
        options = spec.options
        least, most = options.get("min"), options.get("max")
        if least is not None and most is not None and least > most:
            said = f"wants min ≤ max, found min {least}, max {most}"
            raise SpecError([Problem(where=spec.mark("min"), path=spec.path, message=said)])
        return cls(options.get("unit", "words"), least, most)

    def score(self, subject: Subject) -> Score:
        """The number, or true or false."""
        text = as_text(subject.value)
        count = len(text.split()) if self._unit == "words" else len(text)
        if self._least is None and self._most is None:
            return Score(value=count)
        if self._least is not None and count < self._least:
            return verdict(False, f"{count} {self._unit}, wanted are at least {self._least}")
        most = self._most
        return verdict(most is None or count <= most, f"{count} {self._unit}, at most {most}")
