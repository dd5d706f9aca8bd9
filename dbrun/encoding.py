"""JSON encoders for the hot path: the standard library's, without what it does anew each time."""

from __future__ import annotations

import json
from collections.abc import Callable
from json import encoder as _library

from .types import Json


def encoder(
    *, ascii_only: bool = False, sort_keys: bool = False, allow_nan: bool = True
) -> Callable[[Json], str]:
    """A function that writes compact JSON, as `json.JSONEncoder` of these settings does.

    `JSONEncoder.encode` makes another C encoder for each value that it writes; here one serves
    for all. What refers to itself ends in a `RecursionError`.
    """
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
