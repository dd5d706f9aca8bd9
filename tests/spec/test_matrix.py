"""What the variants of a matrix are called, and which there are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dbrun.spec.document import parse
from dbrun.spec.matrix import variants
from dbrun.spec.nodes import Findings


def names(matrix: dict[str, Any]) -> list[str]:
    root = parse(json.dumps({"vars": {"a": 1}, "matrix": matrix}), file="x.yaml", folder="/")
    findings = Findings()
    made = variants(root, findings)
    assert not findings
    return [variant.name for variant in made]


@pytest.mark.parametrize(
    ("matrix", "wanted"),
    [
        ({"vars.a": [1, 2]}, ["vars.a=1", "vars.a=2"]),
        ({"vars.a": [{"name": "one", "value": 1}, None]}, ["vars.a=one", "vars.a=null"]),
        ({"prompt": [{"file": "p/v1.j2"}]}, ["prompt=v1.j2"]),
        ({"prompt": [{"file": "a/p.j2"}, {"file": "b/p.j2"}]}, ["prompt=a/p.j2", "prompt=b/p.j2"]),
        ({"prompt": ["{{ a }}", "{{ b }}"]}, ["prompt=1", "prompt=2"]),
        ({"endpoint": [{"adapter": "x", "name": "n"}]}, ["endpoint=n"]),
        ({"vars.a": [1, 1, 1]}, ["vars.a=1", "vars.a=1#2", "vars.a=1#3"]),
        ({"vars.a": [1, 2], "stop": [["x"]]}, ['vars.a=1,stop=["x"]', 'vars.a=2,stop=["x"]']),
        ({"vars.a": [1, 2], "exclude": [{"vars.a": 1}]}, ["vars.a=2"]),
        ({"include": [{"vars.a": 5}]}, ["vars.a=5"]),
        (
            {"vars.a": [{"name": "one", "value": 1}], "include": [{"vars.a": "one", "stop": "x"}]},
            ["vars.a=one", "vars.a=one,stop=x"],
        ),
    ],
)
def test_names(matrix: dict[str, Any], wanted: list[str]) -> None:
    assert names(matrix) == wanted
