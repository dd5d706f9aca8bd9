"""The filters that dbrun adds to Jinja's own, and the way user filters are called."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from jinja2 import Undefined, UndefinedError

from ...errors import RowError
from ...frames import raised, user_frame
from ...types import Json
from ...values import copied
from .bounds import Refused

BYTES_PER_TOKEN = 4
"""What a token is taken to be where no tokenizer is at hand; fits English prose in most
vocabularies (it is between 3.5 and 4.5), and errs towards more tokens for other scripts."""


class FilterFailed(Exception):
    """A user's filter raised: the message says which, what and where; *name* is the filter's."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


def tojson(value: Any, indent: int | None = None) -> str:
    """*value* as JSON text: non-ASCII characters and the order of keys kept, nothing escaped
    for HTML. Raises `ValueError` or `TypeError` for what JSON cannot hold."""
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, indent=indent, default=_refuse_object
    )


def truncate_tokens(text: Any, count: int) -> str:
    """The beginning of *text*: about *count* tokens, cut between words where it can be.

    No tokenizer is asked: a token is taken to be four bytes of UTF-8 (`BYTES_PER_TOKEN`). The
    cut falls on the last white space of the second half of what is kept; a text without one
    there (Chinese, a long URL) is cut between two characters.
    """
    if count < 0:
        raise Refused(f"truncate_tokens wants a count of at least 0, not {count}")
    whole = str(text)
    data = whole.encode("utf-8", "surrogatepass")
    end = count * BYTES_PER_TOKEN
    if len(data) <= end:
        return whole
    while end and data[end] & 0xC0 == 0x80:  # inside a character
        end -= 1
    kept: str = data[:end].decode("utf-8", "surrogatepass")
    if whole[len(kept)].isspace() or kept[-1:].isspace():
        return kept.rstrip()
    words = kept.rsplit(None, 1)
    if len(words) == 2 and len(words[0]) >= len(kept) // 2:
        return words[0]
    return kept


def user_filter(name: str, function: Callable[..., Any], project: str) -> Callable[..., Any]:
    """*function* as a filter: given copies, so that it cannot alter the row, never an undefined
    name, and its exceptions raised as `FilterFailed`."""

    def call(*arguments: Any, **named: Any) -> Any:
        given = [_defined(argument) for argument in arguments]
        keywords = {key: _defined(value) for key, value in named.items()}
        try:
            return function(*given, **keywords)
        except (RowError, UndefinedError):
            raise
        except (Exception, SystemExit) as error:
            place = user_frame(error, function, project)
            at = f" at {place}" if place else ""
            raise FilterFailed(f"filter '{name}' {raised(error)}{at}", name) from error

    return call


def _defined(value: Any) -> Any:
    if isinstance(value, Undefined):
        str(value)  # raises, and says which name it is
    return copied(value)


def _refuse_object(value: Any) -> Json:
    str(value)  # an undefined name raises here, and says which it is
    raise TypeError(f"tojson cannot spell a {type(value).__name__}")
