"""Frozen values behave as dataclasses with slots and keyword arguments do."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace

import pytest

from dbrun.frozen import frozen


@frozen
class Point:
    """A place."""

    x: int
    y: int = 2
    notes: Mapping[str, str] = field(default_factory=dict)
    name: str = field(default="here")

    @property
    def sum(self) -> int:
        """Both together."""
        return self.x + self.y


@dataclass(slots=True, kw_only=True)
class Twin:
    """A place."""

    x: int
    y: int = 2
    notes: Mapping[str, str] = field(default_factory=dict)
    name: str = field(default="here")


@frozen
class Nothing:
    """No fields."""


def test_defaults() -> None:
    point, twin = Point(x=1), Twin(x=1)
    assert [getattr(point, name) for name in Point.__slots__] == [1, 2, {}, "here"]
    assert repr(point) == repr(twin).replace("Twin", "Point")
    assert point.notes is not Point(x=1).notes
    assert point.sum == 3
    assert not hasattr(point, "__dict__")
    assert (Point.__doc__, Point.__name__, Point.__module__) == ("A place.", "Point", __name__)


@pytest.mark.parametrize("given", [{}, {"x": 1, "z": 2}])
def test_wrong_arguments(given: dict[str, int]) -> None:
    with pytest.raises(TypeError) as ours:
        Point(**given)  # type: ignore[arg-type]
    with pytest.raises(TypeError) as theirs:
        Twin(**given)  # type: ignore[arg-type]
    assert str(ours.value) == str(theirs.value).replace("Twin", "Point")


def test_no_positions() -> None:
    with pytest.raises(TypeError, match="positional"):
        Point(1)  # type: ignore[misc]


def test_equal_by_values() -> None:
    assert Point(x=1, notes={"a": "b"}) == Point(x=1, notes={"a": "b"})
    assert Point(x=1) != Point(x=2)
    assert Point(x=1) != Twin(x=1)
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())


def test_what_dataclasses_offers() -> None:
    assert is_dataclass(Point)
    assert [one.name for one in fields(Point)] == ["x", "y", "notes", "name"]  # type: ignore[arg-type]
    point = Point(x=1, notes={"a": "b"})
    changed = replace(point, y=5)  # type: ignore[type-var]
    assert changed == Point(x=1, y=5, notes={"a": "b"})
    assert (changed.notes, point.y) == (point.notes, 2)


def test_copies() -> None:
    point = Point(x=1, notes={"a": "b"})
    assert pickle.loads(pickle.dumps(point)) == point
    assert copy.copy(point) == copy.deepcopy(point) == point


def test_the_signature_is_known_once_one_was_made() -> None:
    Point(x=1)
    names = list(inspect.signature(Point).parameters)
    assert names == ["x", "y", "notes", "name"]
