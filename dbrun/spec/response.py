"""Checking an output against the `response_schema` of its step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from ..types import Json

_LONGEST_VALUE = 100
_LONGEST = 300
_MOST_BRANCHES = 4


def output_check(schema: Json) -> Callable[[Json], str | None]:
    """A function that says what is wrong with a value, or None. Compiled once per step.

    What it says goes to people, and with `reask` to the model, in JSON's words rather than
    Python's.
    """
    from jsonschema.validators import validator_for

    validator = validator_for(schema)(schema)

    def check(value: Json) -> str | None:
        try:
            errors = _in_order(validator.iter_errors(value))
        except RecursionError:
            # A schema of trees has no bound, and a model that has lost its way has none either.
            return "it is nested too deeply to be checked"
        if not errors:
            return None
        return "; ".join(_describe(error.json_path, _said(error)) for error in errors[:3])

    return check


def _in_order(errors: Iterable[Any]) -> list[Any]:
    return sorted(errors, key=lambda error: list(map(str, error.path)))


def _describe(path: str, message: str) -> str:
    place = path.removeprefix("$").lstrip(".")
    text = message if len(message) <= _LONGEST else message[:_LONGEST] + "…"
    return f"{place}: {text}" if place else text


def _said(error: Any) -> str:
    """What is wrong, of a `jsonschema.ValidationError`."""
    value = _shown(error.instance)
    if error.validator == "enum":
        return f"{value} is not one of {_json(error.validator_value)}"
    if error.validator == "const":
        return f"{value} is not {_json(error.validator_value)}"
    if error.validator is None:
        return f"{value} is not allowed here"
    if error.validator in ("anyOf", "oneOf"):
        return f"{value} {_of_branches(error)}"
    # The value stands first in most messages, in Python's words and at any length.
    message, written = str(error.message), repr(error.instance)
    return value + message.removeprefix(written) if message.startswith(written) else message


def _of_branches(error: Any) -> str:
    """Why none of the alternatives fits: the first thing that is wrong with each."""
    if not error.context:
        return "fits more than one of oneOf"
    first: dict[int, Any] = {}
    for below in error.context:
        # An alternative that is just `false` has no path.
        branch = below.schema_path[0] if below.schema_path else -1 - len(first)
        first.setdefault(branch, below)
    told = []
    for below in list(first.values())[:_MOST_BRANCHES]:
        place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in below.path)
        told.append(_describe(place, _said(below)))
    more = "" if len(first) <= _MOST_BRANCHES else "; …"
    return f"fits none of {error.validator}: {'; or '.join(dict.fromkeys(told))}{more}"


def _shown(value: Json) -> str:
    text = _json(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
