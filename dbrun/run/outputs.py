"""From an answer to an output: cut at a stop string, parse as JSON, check against a schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from ..errors import InvalidOutput
from ..json_in_text import json_in
from ..types import Json
from ..values import DEEPEST, is_too_deep

_BEFORE = 10  # characters shown before the place that is no JSON
_SHOWN = 60
_DEEPEST = DEEPEST - 10
"""Levels of an output, so that the record around it can be read again as a row."""
_TOO_DEEP = f"the output is not JSON that a record can hold: it has more than {_DEEPEST} levels"


def cut(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """*text* up to the earliest of the *stop* strings, and whether there was one."""
    ends = [end for end in (text.find(word) for word in stop if word) if end >= 0]
    return (text[: min(ends)], True) if ends else (text, False)


def stop_of(fields: Mapping[str, Json]) -> Sequence[str]:
    """The stop strings in force: those of the request mapping that `input` returned."""
    stop = fields.get("stop")
    if isinstance(stop, str):
        return [stop]
    return [word for word in stop if isinstance(word, str)] if isinstance(stop, list) else []


def parse_json(value: Json, check: Callable[[Json], str | None]) -> Json:
    """*value* read by `json_in` if it is text, and checked.

    Raises:
        InvalidOutput: saying what the text lacks.
    """
    if isinstance(value, str):
        text = value
        try:
            value = json_in(text)
        except RecursionError as error:
            raise InvalidOutput(f"{_TOO_DEEP}; {_found(text, error)}") from error
        except ValueError as error:
            said = f"the output is not JSON: {error}; {_found(text, error)}"
            raise InvalidOutput(said) from error
        if text.count("{") + text.count("[") > _DEEPEST and is_too_deep(value, _DEEPEST):
            raise InvalidOutput(f"{_TOO_DEEP}; {_found(text, ValueError())}")
    problem = check(value)
    if problem:
        raise InvalidOutput(f"the output does not satisfy response_schema: {problem}")
    return value


def _found(text: str, error: Exception) -> str:
    """What stands where *text* is no JSON."""
    if not text.strip():
        return "it is empty"
    at = 0
    if isinstance(error, json.JSONDecodeError):
        text, at = error.doc, error.pos
    first = max(0, min(at, len(text) - 1) - _BEFORE)
    shown = text[first : first + _SHOWN]
    more = "…" if first + _SHOWN < len(text) else ""
    return f"found {json.dumps(shown, ensure_ascii=False)}{more}"
