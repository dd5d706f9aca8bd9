"""One line of the journal: an answer under its request key.

    {"key":"<64 hex digits>","generation":1,"model":"…","usage":{…},"body":{…}}

The key stands at a fixed offset, so that opening a journal looks at a slice of each line and
parses none. A line that an editor or `jq` has laid out anew is still understood, by parsing it.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import field
from typing import Protocol

from ...encoding import encoder, reader
from ...frozen import frozen
from ...types import Json, JsonText

_BOM = b"\xef\xbb\xbf"  # some editors put it before the first line
_LAYOUT = re.compile(rb'\{"key":"([0-9a-f]{64})","generation":(\d{1,10}),')
_DIGITS = "0123456789abcdef"
_OWN_FIELDS = frozenset({"key", "generation", "model", "body"})
_MAX_GENERATION = 2**32 - 1
PREFIX_DIGITS = 16
"""The digits of a key that the index holds."""

_text = encoder(escape_all=True)
_read = reader(json.JSONDecoder().decode)


class Answered(Protocol):
    """An endpoint's answer, as adapters hand it over.

    *body* is the answer as if asked alone, *raw* its JSON text if there is one to keep byte for
    byte, *model* the served version where it is known.
    """

    @property
    def body(self) -> Json: ...

    @property
    def raw(self) -> bytes | None: ...

    @property
    def model(self) -> str | None: ...


@frozen
class Entry:
    """A journalled answer: its *body*, the served *model* if known, the *generation* it is of.

    *extra* are the further fields that were written with it (usage, latency).
    """

    body: Json
    model: str | None = None
    generation: int = 1
    extra: Mapping[str, Json] = field(default_factory=dict)


def encode(key: str, generation: int, answer: Answered, extra: Mapping[str, Json]) -> bytes:
    """The line of *answer*, newline included."""
    if not _is_key(key):
        raise ValueError(f"a request key is 64 hexadecimal digits, not {key!r}")
    if not extra:
        between = _between(generation, answer.model)
        return b'{"key":"%b%b%b}\n' % (key.encode("ascii"), between, _body(answer))
    if not _OWN_FIELDS.isdisjoint(extra):
        raise ValueError(f"names taken by the journal itself: {sorted(_OWN_FIELDS & set(extra))}")
    parts = [b'{"key":"%b","generation":%d' % (key.encode("ascii"), generation)]
    if answer.model is not None:
        parts.append(b',"model":' + _text(answer.model))
    for name, value in extra.items():
        parts.append(b"," + _text(name) + b":" + _text(value))
    parts.append(b',"body":' + _body(answer) + b"}\n")
    return b"".join(parts)


@functools.lru_cache(maxsize=64)
def _between(generation: int, model: str | None) -> bytes:
    """What stands between a key and a body."""
    said = b'","generation":%d' % generation
    if model is not None:
        said += b',"model":' + _text(model)
    return said + b',"body":'


def decode(line: bytes) -> tuple[str, Entry] | None:
    """The key and entry of a line; None if it is damaged."""
    try:
        said = _read(line.removeprefix(_BOM))
    except (ValueError, RecursionError):
        return None
    if type(said) is not dict or "body" not in said:
        return None
    key = said.pop("key", None)
    generation = said.pop("generation", None)
    model = said.pop("model", None)
    body = said.pop("body")
    if not (_is_key(key) and _is_generation(generation) and (model is None or type(model) is str)):
        return None
    return key, Entry(body=body, model=model, generation=generation, extra=said)


def is_tidy(line: bytes) -> bool:
    """Whether a line is whole and laid out as this module does, as far as a glance can tell."""
    return line.endswith(b"}\n") and _LAYOUT.match(line) is not None


def is_own(line: bytes, prefix: int) -> bool:
    """Whether a line that this module wrote is still the one of the key that begins with
    *prefix*, and whole."""
    return (
        line.startswith(b"%016x" % prefix, 8)
        and line.startswith(b'","generation":', 72)
        and line.endswith(b"}\n")
    )


def key_in(line: bytes) -> bytes:
    """The key of a line that is tidy."""
    return line[8:72]


def glance(line: bytes) -> tuple[int, bytes, int] | None:
    """The first 64 bits of the key, the key, and the generation of a whole line.

    None if the line is damaged. Only a line of a foreign layout is parsed; damage inside of the
    body is left for `decode` to find.
    """
    laid_out = _LAYOUT.match(line) if line.endswith(b"}\n") else None
    if laid_out is None:
        found = decode(line)
        if found is None:
            return None
        key, generation = found[0].encode("ascii"), found[1].generation
    else:
        key, generation = laid_out[1], int(laid_out[2])
        if generation > _MAX_GENERATION:
            return None
    return int(key[:PREFIX_DIGITS], 16), key, generation


def tidy(line: bytes) -> bytes | None:
    """The line in the journal's own layout, its body untouched where it can be; None if damaged."""
    found = decode(line)
    if found is None:
        return None
    if is_tidy(whole := line.rstrip() + b"\n"):
        return whole
    key, entry = found
    return encode(key, entry.generation, _Plain(body=entry.body, model=entry.model), entry.extra)


@frozen
class _Plain:
    body: Json
    model: str | None
    raw: bytes | None = None


def _body(answer: Answered) -> bytes:
    if answer.raw is not None:
        raw = answer.raw
        if type(raw) is JsonText:
            return raw
        raw = raw.strip()
        if b"\n" not in raw and b"\r" not in raw and _is_json(raw):
            return raw
    return _text(answer.body)


def _is_json(raw: bytes) -> bool:
    try:
        json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    return True


def _is_key(key: Json) -> bool:
    return type(key) is str and len(key) == 64 and not key.strip(_DIGITS)


def _is_generation(value: Json) -> bool:
    return type(value) is int and 0 <= value <= _MAX_GENERATION
