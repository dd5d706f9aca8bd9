"""From an answer to an output: cut at a stop string, parse as JSON, check against a schema."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence

from ..errors import InvalidOutput
from ..types import Json

_FENCE = re.compile(r"\s*```[A-Za-z0-9_-]*[ \t]*\r?\n(.*?)\n?[ \t]*```\s*", re.DOTALL)
_BEGINS = re.compile(r"[\[{]")
_THOUGHT = "</think>"  # which ends what some models think aloud before they answer

_BEFORE = 10  # characters shown before the place that is no JSON
_SHOWN = 60


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
    """*value* parsed as JSON if it is text, and checked.

    Models talk: where the text as a whole is no JSON, the one object or list in it will do, in a
    code fence or between words, and what was thought aloud before it does not count. Two of them
    will not do, nor a part of one that is broken.

    Raises:
        InvalidOutput: saying what the text lacks.
    """
    if isinstance(value, str):
        fenced = _FENCE.fullmatch(value)
        text = fenced.group(1) if fenced else value
        try:
            value = _loads(text)
        except (ValueError, RecursionError) as error:
            try:
                value = _only_json_in(value.rpartition(_THOUGHT)[2])
            except (ValueError, RecursionError):
                raise InvalidOutput(
                    f"the output is not JSON: {error}; {_found(text, error)}"
                ) from error
    problem = check(value)
    if problem:
        raise InvalidOutput(f"the output does not satisfy response_schema: {problem}")
    return value


def _loads(text: str) -> Json:
    value: Json = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    return value


def _only_json_in(text: str) -> Json:
    """The one JSON object or list in *text*, or whatever JSON the one code fence holds.

    Raises:
        ValueError: there is none, or more than one.
    """
    fences = list(re.finditer(r"```[A-Za-z0-9_-]*[ \t]*\r?\n(.*?)```", text, re.DOTALL))
    if fences:
        (fence,) = fences
        return _loads(fence.group(1))
    decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
    found: list[Json] = []
    at = 0
    while (begins := _BEGINS.search(text, at)) is not None:
        value, at = decoder.raw_decode(text, begins.start())
        found.append(value)
    (only,) = found
    return only


def _found(text: str, error: Exception) -> str:
    """What stands where *text* is no JSON."""
    if not text.strip():
        return "it is empty"
    at = error.pos if isinstance(error, json.JSONDecodeError) else 0
    first = max(0, min(at, len(text) - 1) - _BEFORE)
    shown = text[first : first + _SHOWN]
    more = "…" if first + _SHOWN < len(text) else ""
    return f"found {json.dumps(shown, ensure_ascii=False)}{more}"


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is larger than a number can be")
    return number


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")
