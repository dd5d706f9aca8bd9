"""JSON in what a model says, which is seldom JSON alone."""

from __future__ import annotations

import json
import math
import re

from .types import Json

_FENCED = r"```[A-Za-z0-9_-]*[ \t]*\r?\n(.*?)```"
_BEGINS = re.compile(r"[\[{]")
_THOUGHT = "</think>"  # which ends what some models think aloud before they answer


def loads(text: str) -> Json:
    """*text* as strict JSON (RFC 8259): no NaN, no infinity, no number above what a float holds.

    Raises:
        ValueError: it is none; a `json.JSONDecodeError` says where.
        RecursionError: it is nested too deep.
    """
    value: Json = _DECODER.decode(text)
    return value


def without_thoughts(text: str) -> str:
    """*text* without what was thought aloud before it."""
    return text.rpartition(_THOUGHT)[2]


def json_in(text: str) -> Json:
    """*text* as JSON, or else the one object or list in it, in a code fence or between words.

    What was thought aloud before it does not count. Two of them will not do, nor a part of one
    that is broken.

    Raises:
        ValueError, RecursionError: as `loads`, of the text as it is but for one fence around it.
    """
    around = re.fullmatch(rf"\s*{_FENCED}\s*", text, re.DOTALL)
    try:
        return loads(around[1] if around else text)
    except (ValueError, RecursionError):
        try:
            return _only_json_in(without_thoughts(text))
        except (ValueError, RecursionError):
            pass
        raise


def _only_json_in(text: str) -> Json:
    fences = list(re.finditer(_FENCED, text, re.DOTALL))
    if fences:
        (fence,) = fences  # a ValueError unless it is one
        return loads(fence[1])
    found: list[Json] = []
    at = 0
    while (begins := _BEGINS.search(text, at)) is not None:
        value, at = _DECODER.raw_decode(text, begins.start())
        found.append(value)
    (only,) = found
    return only


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is larger than a number can be")
    return number


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
