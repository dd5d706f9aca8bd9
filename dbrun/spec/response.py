"""Checking an output against the `response_schema` of its step."""

from __future__ import annotations

from collections.abc import Callable

from ..types import Json


def output_check(schema: Json) -> Callable[[Json], str | None]:
    """A function that says what is wrong with a value, or None. Compiled once per step."""
    from jsonschema.validators import validator_for

    validator = validator_for(schema)(schema)

    def check(value: Json) -> str | None:
        errors = sorted(validator.iter_errors(value), key=lambda error: list(map(str, error.path)))
        if not errors:
            return None
        return "; ".join(_describe(error.json_path, error.message) for error in errors[:3])

    return check


def _describe(path: str, message: str) -> str:
    place = path.removeprefix("$").lstrip(".")
    text = message if len(message) <= 300 else message[:300] + "…"
    return f"{place}: {text}" if place else text
