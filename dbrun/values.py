"""JSON values that came from elsewhere: made plain, or copied against alteration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from .types import Json

_SCALARS = frozenset({str, int, bool, type(None)})
DEEPEST = 200
"""Levels of lists and objects in a row or an answer."""
_MOST_BITS = 14_000
"""Python neither writes nor reads whole numbers of more than 4300 digits."""


def plain(value: Any) -> Json:
    """A copy of *value* made of nothing but JSON values.

    Tuples become lists, other mappings dicts, subclasses of the scalars (enumerations of text,
    for one) the scalar itself, and scalars of numpy or pandas what their `item()` gives.

    Raises:
        ValueError: it holds something that JSON cannot; the message says what, and where in it.
    """
    try:
        made = _plain(value)
        if is_too_deep(made):
            raise RecursionError
        return made
    except RecursionError as error:
        raise ValueError("a value that holds itself, or is nested too deep") from error
    except ValueError as error:
        place = _place(value).lstrip(".")
        raise ValueError(f"{error} at {place}" if place else str(error)) from error


def is_too_deep(value: Json, levels: int = DEEPEST) -> bool:
    """Whether *value*, as JSON was read, has more than so many *levels*: what can be read may yet
    be too deep for Python to write."""
    level = [value] if type(value) is dict or type(value) is list else []
    for _ in range(levels):
        level = [
            item
            for one in level
            for item in (one.values() if type(one) is dict else one)
            if type(item) is dict or type(item) is list
        ]
        if not level:
            return False
    return True


def copied(value: Json) -> Json:
    """A deep copy of a JSON value; scalars are shared, for nobody can alter them."""
    kind = type(value)
    if kind is list:
        return [item if type(item) in _SCALARS else copied(item) for item in value]
    if kind is dict or isinstance(value, Mapping):
        return {
            name: item if type(item) in _SCALARS else copied(item) for name, item in value.items()
        }
    return value


def _plain(value: Any) -> Json:
    kind = type(value)
    if kind is int:
        return _short(value)
    if kind in _SCALARS:
        return value
    if kind is float:
        return _finite(value)
    if isinstance(value, Mapping):
        return {_key(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return _scalar(value)


def _scalar(value: Any) -> Json:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return _short(int(value))
    if isinstance(value, float):
        return _finite(float(value))
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", ()) == ():
        found = item()
        if type(found) in _SCALARS or type(found) is float:
            return _plain(found)
    raise ValueError(_kind_of(value))


def _short(value: int) -> int:
    if value.bit_length() > _MOST_BITS:
        raise ValueError("a number of thousands of digits")
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("NaN" if math.isnan(value) else "infinity")
    return value


def _key(name: Any) -> str:
    if isinstance(name, str):
        return str.__str__(name)
    # The name itself may be any object; only those with a stable spelling are shown.
    shown = f" ({name!r})" if isinstance(name, (int, float, type(None))) else ""
    raise ValueError(f"a key that is {_kind_of(name)}{shown}")


def _kind_of(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _place(value: Any) -> str:
    # Only after a failure, so that the ordinary way need not carry places along.
    items: Iterable[tuple[str, Any]] = ()
    if isinstance(value, Mapping):
        items = ((f".{name}", item) for name, item in value.items())
    elif isinstance(value, (list, tuple)):
        items = ((f"[{index}]", item) for index, item in enumerate(value))
    for step, item in items:
        try:
            _plain(item)
        except ValueError:
            return step + _place(item)
    return ""
