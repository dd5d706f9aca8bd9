"""Canonical JSON (RFC 8785) and the digests made of it.

The standard library's encoder is canonical already for most of what dbrun digests; values
that it would spell differently (floats in exponent form or with an integral value, keys
outside ASCII) take a slower path. Integers beyond 2**53 keep all their digits: RFC 8785 would
round them, and two requests that differ must not share a key.
"""

from __future__ import annotations

import hashlib
import json
from json.encoder import encode_basestring

from .encoding import encoder, is_plain
from .types import Json

_encode = encoder(sort_keys=True, allow_nan=False, plain_only=True)
_spell = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def canonical(value: Json) -> bytes:
    """*value* as canonical JSON.

    Raises:
        ValueError: for NaN and infinities.
        TypeError: for what JSON cannot hold.
    """
    if is_plain(value):
        return _encode(value)
    # Lone surrogates cannot be encoded; they are told apart by their escape.
    return _slow(value).encode("utf-8", "backslashreplace")


def digest(value: Json) -> str:
    """The SHA-256 of *value*'s canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _slow(value: Json) -> str:
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("keys of JSON objects must be strings")
        # RFC 8785 section 3.2.3: members are sorted by the UTF-16 code units of their names.
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return (
            "{"
            + ",".join(f"{encode_basestring(name)}:{_slow(value[name])}" for name in names)
            + "}"
        )
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_slow, value)) + "]"
    if isinstance(value, float):
        return _number(value)
    return _spell(value)


def _number(value: float) -> str:
    """A float as ECMAScript spells it (ECMA-262, Number::toString)."""
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("NaN and infinities are not JSON")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0)  # position of the decimal point in whole+fraction
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = point - 1
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'+' if power > 0 else '-'}{abs(power)}"
