"""What the bytes of an answer mean: first line, headers, lengths (RFC 9112). Pure functions."""

from __future__ import annotations

import re
import string

MAX_HEAD = 64 * 1024
"""Bytes that the head of an answer may have."""

MAX_BODY = 256 * 1024 * 1024
"""Bytes that the body of an answer may have, before and after decompression."""


STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?:[ \r\n]|$)")
"""The first line of an answer: the minor version, then the status."""

_FIELD = re.compile(r"^([^:\s]+)[ \t]*:(.*)", re.MULTILINE)
_FOLD = re.compile(r"\r?\n[ \t]+")
_HEX = frozenset(string.hexdigits)


class BadAnswer(Exception):
    """What came back is cut short or no HTTP; the message says which."""


class TooLarge(Exception):
    """The body of the answer is larger than `MAX_BODY`."""


def headers_of(head: str, start: int) -> dict[str, str]:
    """Header lines as a mapping with lower-case names; repeated ones are joined by commas.

    Lines that are none are passed over, as every client does.
    """
    if "\n " in head or "\n\t" in head:  # lines may be folded (RFC 9112, section 5.2)
        head = _FOLD.sub(" ", head)
    fields = _FIELD.findall(head, start)
    headers = {name.lower(): value.strip() for name, value in fields}
    if len(headers) != len(fields):
        several: dict[str, list[str]] = {}
        for name, value in fields:
            several.setdefault(name.lower(), []).append(value.strip())
        headers = {name: ", ".join(values) for name, values in several.items()}
    return headers


def length_of(said: str) -> int:
    """The number in a `Content-Length`, which proxies may have repeated: `5, 5`."""
    if not said.isdigit():
        said, *others = {value.strip() for value in said.split(",")}
        if others:
            said = ""
    if not (said.isascii() and said.isdigit()) or len(said) > 18:
        raise BadAnswer("the answer's Content-Length is no number")
    return int(said)


def chunk_size(line: bytes) -> int:
    """The number at the start of a chunk. Raises `BadAnswer` if there is none."""
    digits = line.partition(b";")[0].strip().decode("latin-1")
    if not digits or len(digits) > 16 or not _HEX.issuperset(digits):
        raise BadAnswer("a chunk of the answer has no size")
    return int(digits, 16)
