"""Whether a JSON value is, or holds, what is expected; and if not, where they part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ...frozen import frozen
from ...spec.nodes import Path
from ...types import Json


class _Absent:
    """What is there where there is nothing."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT: Final = _Absent()


@frozen
class Parting:
    """The first place where two values differ: what was *expected* there and what is (*got*)."""

    path: Path
    expected: Json
    got: Json


def parting(expected: Json, got: Json, *, part: bool, path: Path = ()) -> Parting | None:
    """Where *got* differs from what was *expected*; None if it does not.

    Numbers are compared by value, so 1 is 1.0; true is no number. Where a *part* is enough, a
    mapping may have further keys at any depth; lists are as long as expected all the same.
    """
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for key, wanted in expected.items():
            found = parting(wanted, got.get(key, ABSENT), part=part, path=(*path, key))
            if found is not None:
                return found
        further = None if part else next((key for key in got if key not in expected), None)
        if further is None:
            return None
        return Parting(path=(*path, further), expected=ABSENT, got=got[further])
    if isinstance(expected, list) and isinstance(got, list):
        for index, wanted in enumerate(expected):
            there = got[index] if index < len(got) else ABSENT
            found = parting(wanted, there, part=part, path=(*path, index))
            if found is not None:
                return found
        if len(got) > len(expected):
            index = len(expected)
            return Parting(path=(*path, index), expected=ABSENT, got=got[index])
        return None
    same = type(expected) is type(got) or (_is_number(expected) and _is_number(got))
    return None if same and expected == got else Parting(path=path, expected=expected, got=got)


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
