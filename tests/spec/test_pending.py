"""Keys that this version does not run yet are refused at their line, and nowhere else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dbrun.registry import Registry
from dbrun.spec.check import check
from dbrun.spec.document import parse
from dbrun.spec.nodes import Findings
from dbrun.spec.pending import PENDING
from dbrun.spec.schema import Schemas

SPEC: dict[str, Any] = {"name": "x", "source": "rows.jsonl"}


def said_of(spec: dict[str, Any]) -> list[str]:
    """The problems of a spec by the schema."""
    findings = Findings()
    root = parse(json.dumps({**SPEC, **spec}), file="x.yaml", folder="/")
    check(root, Schemas(Registry(entry_points=False)), findings)
    return [one.message for one in findings.problems]


def message(label: str) -> str:
    """What is said of a feature to come."""
    return f"`{label}` is part of the spec format, but this version of dbrun does not run it yet"


@pytest.mark.parametrize(
    ("spec", "labels"),
    [
        ({"tests": []}, ["tests"]),
    ],
)
def test_is_said(spec: dict[str, Any], labels: list[str]) -> None:
    assert said_of(spec) == [message(label) for label in labels]


@pytest.mark.parametrize(
    "spec",
    [
        {"engine": "local"},
        {"source": {"path": "x", "format": "delta", "version": 3}},
        {"source": {"table": "a.b.c", "id": "i"}, "sink": {"table": "a.b.c"}},
        {"source": {"query": "SELECT 1", "warehouse_id": "w"}},
        {"engine": {"type": "spark", "partitions": 8}},
        {"limits": {"processes": 2}},
        {"sink": {"path": "x", "format": "delta", "mode": "append"}},
        {"sink": {"path": "x", "publish": "if_met"}},
        {
            "gates": {
                "success": {"min": 0.5, "warn": 1},
                "rows": {"min": 1},
                "truncated": {"max": 0},
                "latency_p95": {"max": 2},
                "cost": {"max": 2},
                "my_score": {"min": 1},
                "variants": ["a"],
            }
        },
        {"vars": {"matrix": 1, "scores": {"table": 1}}, "params": {"job": 1}},
    ],
)
def test_is_not_said(spec: dict[str, Any]) -> None:
    assert said_of(spec) == []


def test_a_wrong_value_is_wrong_all_the_same() -> None:
    assert said_of({"engine": 5}) == ["wants text or a mapping, found a number"]
    assert said_of({"limits": {"processes": 0}}) == ["wants a whole number of at least 1, found 0"]


def test_every_line_is_about_a_key_of_the_schema() -> None:
    top = Schemas(Registry(entry_points=False)).top.root["properties"]
    assert {line.path[0] for line in PENDING} <= set(top)
