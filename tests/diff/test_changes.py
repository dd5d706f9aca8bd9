"""What differs in two recipes."""

from __future__ import annotations

from typing import Any

import pytest

from dbrun.diff.changes import changes
from dbrun.diff.model import Side


def differences(old: Any, new: Any) -> list[tuple[str, str, Any, Any]]:
    sides = (Side(path="x", label="x", spec=spec) for spec in (old, new))
    return [(one.path, one.how, one.old, one.new) for one in changes(*sides)]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [("a.b", "changed", 1, 2)]),
        ({"a": {"b": 1}}, {"a": {}}, [("a.b", "removed", 1, None), ("a", "added", None, {})]),
        ({}, {"a": {"b": None}}, [("a.b", "added", None, None)]),
        ({"a": [1, 2]}, {"a": [1, 3, 4]}, [("a[1]", "changed", 2, 3), ("a[2]", "added", None, 4)]),
        ({"a": 1}, {"a": True}, [("a", "changed", 1, True)]),
        ({"a": 1}, {"a": 1.0}, []),
        (
            {"scores": [{"name": "x", "max": 1}, {"name": "y"}]},
            {"scores": [{"name": "y"}, {"name": "x", "max": 2}]},
            [("scores.x.max", "changed", 1, 2)],
        ),
        (None, {"a": 1}, []),
        ({"tests": [{"name": "a"}]}, {"tests": [], "a": 1}, [("a", "added", None, 1)]),
    ],
)
def test_merged_specs_are_compared_value_by_value(
    old: Any, new: Any, found: list[tuple[str, str, Any, Any]]
) -> None:
    assert differences(old, new) == found


def manifest(**more: Any) -> dict[str, Any]:
    digests = {
        "templates": {"main:prompts/a.j2": "1", "main:prompt": "1"},
        "functions": {"f:g": "1"},
        "source": "1",
    }
    return {
        "spec": {"prompt": {"file": "prompts/a.j2"}},
        "digests": {**digests, **more.pop("digests", {})},
        "endpoints": [{"adapter": "x", "models": more.pop("models", {"m1": 5})}],
        "versions": {"dbrun": more.pop("version", "1")},
        **more,
    }


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({}, []),
        ({"digests": {"templates": {"main:prompts/a.j2": "2"}}}, [("prompt", "prompts/a.j2")]),
        ({"digests": {"functions": {"f:g": "2", "f:new": "1"}}}, [("function", "f:g")]),
        ({"digests": {"source": "2"}}, [("rows", "source")]),
        ({"models": {"m2": 5}}, [("model", "models")]),
        ({"version": "2"}, [("dbrun", "dbrun")]),
        (
            {"digests": {"templates": {"main:prompt": "2"}}, "spec": {"prompt": "other"}},
            [("spec", "prompt.file"), ("spec", "prompt")],
        ),
        ({"digests": "not a mapping", "endpoints": 3, "versions": None}, []),
    ],
)
def test_what_only_digests_tell_is_compared(
    more: dict[str, Any], found: list[tuple[str, str]]
) -> None:
    new = dict(manifest())
    new = manifest(**more) if "endpoints" not in more else {**new, **more}
    sides = (Side(path="x", label="x", manifest=one) for one in (manifest(), new))
    assert [(one.what, one.path) for one in changes(*sides)] == found
