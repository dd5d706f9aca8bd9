"""Strict JSON for rows: no NaN, no infinities, no key given twice.

Python's decoder takes all three silently; a row's digest, and the request made of it, could
then not be spelled, or a column would be lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ..types import Json
from ..values import DEEPEST, is_too_deep


class _Refused(ValueError):
    """JSON that a row cannot hold."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _Refused(f"the key '{twice}' is given twice")
    return found


def _float(text: str) -> float:
    value = float(text)
    if value - value != 0:
        raise _Refused(f"the number {text} is too large")
    return value


def _constant(name: str) -> float:
    raise _Refused(f"{name} has no place in JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)

scan: Callable[[str, int], tuple[Json, int]] = _DECODER.scan_once  # type: ignore[attr-defined]
"""From a text and an index to the value that begins there and the index behind it.

Raises `StopIteration` where no value begins, `ValueError` for what is not JSON."""


def parse(text: str) -> Json:
    """The value that *text* is, white space around it already removed.

    Raises:
        ValueError: it is not JSON; the message says why and at which column.
    """
    try:
        value, end = scan(text, 0)
    except (StopIteration, ValueError, RecursionError) as error:
        at = f" at column {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(why_not(error) + at) from error
    if end != len(text):
        raise ValueError(f"more text after the value, at column {end + 1}")
    if text.count("{") + text.count("[") > DEEPEST and is_too_deep(value):
        raise ValueError(why_not(RecursionError()))
    return value


def why_not(error: BaseException) -> str:
    """Why `scan` failed, in a few words."""
    if isinstance(error, StopIteration):
        return "a value is missing"
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, json.JSONDecodeError):
        return error.msg[:1].lower() + error.msg[1:].removesuffix(" at")
    if isinstance(error, _Refused):
        return str(error)
    # CPython limits the digits of an integer that it reads (`sys.set_int_max_str_digits`).
    return "a number has too many digits"
