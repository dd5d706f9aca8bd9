"""JSON for the hot path: by the standard library, or by orjson where it is installed.

Which of them it is makes no difference to the bytes written, nor to the values read: what orjson
would spell or take differently, or refuse, is left to the standard library. It writes a prompt ten
times as fast, and a run writes each three times: for the key, the request and the record.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from json import encoder as _library
from typing import Any

from .types import Json

_LEAVES = frozenset({str, int, bool, type(None)})
_DIGITS_AS_0 = bytes(48 if 48 <= byte <= 57 else 32 for byte in range(256))
_MANY_DIGITS = b"0" * 19  # a whole number of so many may not fit into 64 bits


def encoder(
    *,
    sort_keys: bool = False,
    allow_nan: bool = True,
    escape_all: bool = False,
    plain_only: bool = False,
    fast: Any = "if installed",
) -> Callable[[Json], bytes]:
    """A function that writes compact JSON in UTF-8, as `json.JSONEncoder` of these settings does.

    Lone surrogates, which UTF-8 cannot hold, are written as escapes; with *escape_all* so is then
    all else beyond ASCII. *plain_only* promises that all values are `is_plain`, which is not
    looked at again. *fast* is the module orjson, or None; if nothing is said, it is looked for at
    the first call, for importing it takes its time.

    What the function raises: `ValueError` for NaN and infinities unless they are allowed,
    `TypeError` for what JSON cannot hold, `RecursionError` for what holds itself.
    """
    if fast == "if installed":
        chosen: Callable[[Json], bytes] | None = None

        def first(value: Json) -> bytes:
            nonlocal chosen
            if chosen is None:
                chosen = encoder(
                    sort_keys=sort_keys,
                    allow_nan=allow_nan,
                    escape_all=escape_all,
                    plain_only=plain_only,
                    fast=_installed(),
                )
            return chosen(value)

        return first
    write = _standard(sort_keys=sort_keys, allow_nan=allow_nan, ascii_only=False)
    write_ascii = _standard(sort_keys=sort_keys, allow_nan=allow_nan, ascii_only=True)

    def standard(value: Json) -> bytes:
        text = write(value)
        try:
            return text.encode()
        except UnicodeEncodeError:
            if escape_all:
                return write_ascii(value).encode()
            return text.encode("utf-8", "backslashreplace")

    if fast is None:
        return standard
    dumps, option = fast.dumps, fast.OPT_SORT_KEYS if sort_keys else None

    def quick(value: Json) -> bytes:
        if plain_only or is_plain(value):
            try:
                made: bytes = dumps(value, None, option)
                return made
            except TypeError:  # a lone surrogate, a number of more than 64 bits, depth
                pass
        return standard(value)

    return quick


def reader(standard: Callable[[str], Json], fast: Any = "if installed") -> Callable[[bytes], Json]:
    """A function that reads JSON in UTF-8 as *standard*, a `json.JSONDecoder`'s `decode`, does.

    Text that JSON does not allow, or numbers that orjson would round, are *standard*'s to read,
    and so are mistakes: it raises what the function raises. *fast* is as for `encoder`.
    """

    def plainly(raw: bytes) -> Json:
        return standard(raw.decode())

    if fast is None:
        return plainly
    if fast == "if installed":
        chosen: Callable[[bytes], Json] | None = None

        def first(raw: bytes) -> Json:
            nonlocal chosen
            if chosen is None:
                chosen = reader(standard, _installed())
            return chosen(raw)

        return first
    loads = fast.loads

    def quick(raw: bytes) -> Json:
        if _MANY_DIGITS not in raw.translate(_DIGITS_AS_0):
            try:
                return loads(raw)
            except ValueError:  # NaN, a lone surrogate, a number beyond all bounds, no JSON
                pass
        return plainly(raw)

    return quick


def _installed() -> Any:
    try:
        import orjson
    except ImportError:
        return None
    return orjson


def is_plain(value: Json) -> bool:
    """Whether every encoder spells *value* the same, in the canonical way (RFC 8785).

    Not so for floats in exponent form or with an integral value, keys outside ASCII, and what is
    not JSON.
    """
    kind = type(value)
    if kind in _LEAVES:
        return True
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str or not key.isascii():
                return False
            if type(item) not in _LEAVES and not is_plain(item):
                return False
        return True
    if kind is list or kind is tuple:
        return all(map(is_plain, value))
    if kind is float:
        text = repr(value)
        return "e" not in text and not text.endswith(".0") and "n" not in text
    return False


def _standard(*, sort_keys: bool, allow_nan: bool, ascii_only: bool) -> Callable[[Json], str]:
    """The standard library's encoder, without what `JSONEncoder.encode` does anew each time."""
    whole = json.JSONEncoder(
        ensure_ascii=ascii_only,
        sort_keys=sort_keys,
        allow_nan=allow_nan,
        separators=(",", ":"),
        check_circular=False,
    )
    make = getattr(_library, "c_make_encoder", None)
    if make is None:  # an interpreter without the C part
        return whole.encode
    text = _library.encode_basestring_ascii if ascii_only else _library.encode_basestring
    pieces = make(None, whole.default, text, None, ":", ",", sort_keys, False, allow_nan)
    join = "".join

    def encode(value: Json) -> str:
        # A text or a number alone is no container, which is what the C part wants.
        return join(pieces(value, 0)) if type(value) is dict else whole.encode(value)

    return encode
