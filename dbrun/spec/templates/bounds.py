"""Bounds that keep a template from hanging the run or filling the memory.

Templates are reviewed text, so this guards against slips (a loop over the wrong thing, a
width with too many digits) rather than against an attacker with time: each rendering may take
`MAX_STEPS` turns of loops (a call counts as five) and make texts of `MAX_TEXT` characters.
"""

from __future__ import annotations

import functools
import operator
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

MAX_STEPS = 500_000
CALL = 5
MAX_TEXT = 32 * 1024 * 1024
MAX_RANGE = 100_000

_COUNTED = 64
_MAX_BITS = 100_000
_WIDE = re.compile(r"%[^a-zA-Z%]*\d{7}|\{[^{}]*\d{7}")  # a field of seven digits or more
_GIVEN = re.compile(r"%[^a-zA-Z%]*\*|\{[^{}]*:[^{}]*\{")  # a field whose width is an argument
_SIZED_METHODS = frozenset(
    {"ljust", "rjust", "center", "zfill", "expandtabs", "format", "format_map"}
)


class Refused(Exception):
    """A template asks for what it may not; the message says what. *needle* is the text of the
    template that asks, where it is known."""

    def __init__(self, message: str, needle: str | None = None) -> None:
        super().__init__(message)
        self.needle = needle


class Budget(threading.local):
    """What is left of the steps of the rendering at work in this thread."""

    left = MAX_STEPS

    def spend(self, steps: int = 1) -> None:
        """Count *steps*. Raises `Refused` when there are none left."""
        self.left -= steps
        if self.left < 0:
            raise Refused(f"the template takes more than {MAX_STEPS} turns of its loops")

    def range(self, *bounds: int) -> range:
        """The builtin `range`, of at most `MAX_RANGE` items."""
        found = range(*bounds)
        if len(found) > MAX_RANGE:
            raise Refused(f"a range may have at most {MAX_RANGE} items")
        self.spend(len(found))
        return found

    def turns(self, items: Any) -> Any:
        """*items* to loop over, each counted as a step."""
        if hasattr(items, "__len__"):
            self.spend(len(items))
            return items
        return self._counted(items)

    def _counted(self, items: Iterable[Any]) -> Iterator[Any]:
        count = 0
        for item in items:
            count += 1
            if count == _COUNTED:
                self.spend(count)
                count = 0
            yield item
        self.spend(count)


def joined(pieces: Iterable[str]) -> str:
    """The pieces as one text, refused as soon as it is too long."""
    kept, size = [], 0
    for piece in pieces:
        size += len(piece)
        if size > MAX_TEXT:
            raise Refused(f"the text is longer than {MAX_TEXT} characters")
        kept.append(piece)
    return "".join(kept)


def fitting(value: Any) -> Any:
    """*value*, refused if it is a text or list that is too long."""
    if isinstance(value, (str, list, tuple)) and len(value) > MAX_TEXT:
        raise Refused(f"the result is longer than {MAX_TEXT} characters")
    return value


def add(left: Any, right: Any) -> Any:
    """`left + right`, within bounds."""
    return fitting(left + right)


def multiply(left: Any, right: Any) -> Any:
    """`left * right`, within bounds."""
    if isinstance(left, int) and isinstance(right, int):
        _refuse_bits(left.bit_length() + right.bit_length())
    elif isinstance(left, int) and hasattr(right, "__len__"):
        _refuse_length(len(right) * left)
    elif isinstance(right, int) and hasattr(left, "__len__"):
        _refuse_length(len(left) * right)
    return left * right


def power(left: Any, right: Any) -> Any:
    """`left ** right`, within bounds."""
    if isinstance(left, int) and isinstance(right, int):
        _refuse_bits(left.bit_length() * right)
    return left**right


def modulo(left: Any, right: Any) -> Any:
    """`left % right`, within bounds when *left* is a format."""
    if isinstance(left, str):
        check_format(left, right if isinstance(right, tuple) else (right,))
    return left % right


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": add,
    "*": multiply,
    "**": power,
    "%": modulo,
    "-": operator.sub,
    "/": operator.truediv,
    "//": operator.floordiv,
}


def check_call(function: Any, arguments: Iterable[Any]) -> None:
    """Refuse methods of texts that are asked for a width out of all proportion."""
    function = getattr(function, "__wrapped__", function)
    owner = getattr(function, "__self__", None)
    if not isinstance(owner, str) or function.__name__ not in _SIZED_METHODS:
        return
    if function.__name__ in ("format", "format_map"):
        check_format(owner, arguments)
    else:
        _check_widths(arguments)


def check_format(text: str, arguments: Iterable[Any]) -> None:
    """Refuse a format with a width of seven digits, written in it or given as an argument."""
    if _WIDE.search(text):
        raise Refused("the width in the format is too large")
    if _GIVEN.search(text):
        _check_widths(arguments)


def sized(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose numbers are widths or counts, with these bounded."""

    @functools.wraps(function)  # which keeps the mark of filters that want the environment
    def call(*arguments: Any, **named: Any) -> Any:
        for argument in (*arguments[1:], *named.values()):
            if isinstance(argument, int) and abs(argument) > MAX_RANGE:
                raise Refused(f"{argument} is too large; {MAX_RANGE} is the most")
        return function(*arguments, **named)

    return call


def formatted(text: Any, *arguments: Any, **named: Any) -> str:
    """The filter `format`: `text % arguments`, within bounds."""
    check_format(str(text), (*arguments, *named.values()))
    return str(text) % (named or arguments)


def _refuse_bits(bits: int) -> None:
    if bits > _MAX_BITS:
        raise Refused("the number has too many digits")


def _refuse_length(length: int) -> None:
    if length > MAX_TEXT:
        raise Refused(f"the result is longer than {MAX_TEXT} characters")


def _check_widths(arguments: Iterable[Any]) -> None:
    for argument in arguments:
        if isinstance(argument, int):
            _refuse_length(abs(argument))
