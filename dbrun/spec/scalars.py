"""Plain scalars as YAML 1.2 reads them (YAML 1.2.2 section 10.3, core schema).

Narrower in two ways: only `true` and `false` are booleans and only `null`, `~` and nothing at
all are null, so that words like `no`, `on` or `Null` stay words; and infinities and NaN, which
JSON cannot hold, are refused.
"""

from __future__ import annotations

import math
import re

from ..types import Json

_WORDS: dict[str, Json] = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"[-+]?[0-9]+", re.ASCII)
_OCTAL = re.compile(r"0o[0-7]+", re.ASCII)
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)
_MOST_DIGITS = 300


class NotJson(ValueError):
    """A number that JSON cannot hold."""


def read_plain(text: str) -> Json:
    """The value of an unquoted scalar.

    Raises:
        NotJson: for infinities, NaN, and numbers out of range.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if len(text) > _MOST_DIGITS and _FLOAT.fullmatch(text):
        raise NotJson(f"a number of more than {_MOST_DIGITS} digits")
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEXADECIMAL.fullmatch(text):
        return int(text[2:], 16)
    if _NOT_FINITE.fullmatch(text):
        raise NotJson(f"{text} is no number that JSON can hold")
    if _FLOAT.fullmatch(text):
        value = float(text)
        if math.isinf(value):
            raise NotJson(f"{text} is larger than a number can be")
        return value
    return text


def reads_as_text(text: str) -> bool:
    """Whether an unquoted *text* would be read as that text."""
    try:
        return read_plain(text) == text and bool(text)
    except NotJson:
        return False
