"""JSON as it travels: what can be sent, how it is written, how an answer is read."""

from __future__ import annotations

import json
import math
from codecs import BOM_UTF8

from ..encoding import encoder, is_plain, reader
from ..types import Json, JsonText
from ..values import DEEPEST, is_too_deep


class _NoJson(Exception):
    """A number that JSON does not have, which Python's parser would read all the same."""


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _NoJson(text)
    return value


def _constant(name: str) -> Json:
    raise _NoJson(name)


def _float_or_null(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


# A lone surrogate, which a row may hold, cannot be UTF-8: it travels as its escape.
_write = encoder(allow_nan=False)
_write_plain = encoder(allow_nan=False, plain_only=True)
_read = reader(json.JSONDecoder(parse_float=_float, parse_constant=_constant).decode)
_read_odd = json.JSONDecoder(parse_float=_float_or_null, parse_constant=lambda _: None).decode

_WORDS = ("true", "false", "null", "NaN", "Infinity", "-Infinity")


def dumps(body: Json) -> bytes:
    """*body* as compact UTF-8.

    Raises:
        ValueError, TypeError, RecursionError: if JSON cannot hold it.
    """
    if is_plain(body):
        return _write_plain(body)
    if (place := unsendable(body)) is not None:
        raise ValueError(place)
    return _write(body)


def loads(raw: bytes) -> tuple[Json, bool]:
    """The value of *raw*, and whether *raw* is JSON to the letter.

    NaN and infinities, which some model servers write, are read as null.

    Raises:
        ValueError, RecursionError: if it is no JSON.
    """
    raw = raw.removeprefix(BOM_UTF8)
    try:
        value, exact = _read(raw), True
    except _NoJson:
        value, exact = _read_odd(raw.decode()), False
    if raw.count(b"{") + raw.count(b"[") > DEEPEST and is_too_deep(value):
        raise RecursionError("it is nested too deep")
    return value, exact


def is_cut_short(raw: bytes) -> bool:
    """Whether *raw*, which is no JSON, is the beginning of an object or a list."""
    text = raw.removeprefix(BOM_UTF8).strip().decode("utf-8", "ignore")
    if not text.startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        rest = text[error.pos :]
        if error.msg.startswith(("Unterminated string", "Invalid \\uXXXX")):
            return error.msg[0] == "U" or len(rest) < len(r"\u0000")
        return not rest.strip(".eE+-") or any(word.startswith(rest) for word in _WORDS)
    except (ValueError, RecursionError):  # a number of thousands of digits; too deep to tell
        return False
    return False


def one_line(raw: bytes) -> JsonText | None:
    """The bytes of an answer, which were read to the letter, if a journal line can hold them as
    they are."""
    line = raw.strip()
    if b"\n" in line or b"\r" in line or line.startswith(BOM_UTF8):
        return None
    return JsonText(line)


def unsendable(value: Json, place: str = "") -> str | None:
    """Where in *value* is something that JSON cannot hold, and what; None if nowhere."""
    try:
        fault = _fault(value, place)
        if fault is None and is_too_deep(value):
            raise RecursionError
        return fault
    except RecursionError:
        return f"{place or 'it'} holds itself, or is nested too deep"


def _fault(value: Json, place: str) -> str | None:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return None
    if kind is int:
        # Python neither writes nor reads whole numbers of more than 4300 digits.
        too_long = value.bit_length() > 14_000
        return f"{place or 'it'} is a number of thousands of digits" if too_long else None
    if kind is float:
        return None if math.isfinite(value) else f"{place or 'it'} is {value}"
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                return f"{place or 'it'} has the key {name!r}, which is no text"
            if type(item) is str:
                continue
            if (found := _fault(item, f"{place}.{name}" if place else name)) is not None:
                return found
        return None
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            if type(item) is str:
                continue
            if (found := _fault(item, f"{place}[{index}]")) is not None:
                return found
        return None
    if isinstance(value, (str, int, float)):
        return None
    return f"{place or 'it'} is of type {kind.__name__}"
