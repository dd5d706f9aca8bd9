"""A comparison as data: all of it, under names that stay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ..types import Json
from .model import Comparison

VERSION = 1


def shown(comparisons: Sequence[Comparison]) -> str:
    """The JSON text of `described`."""
    return json.dumps(described(comparisons), indent=2, ensure_ascii=False) + "\n"


def described(comparisons: Sequence[Comparison]) -> dict[str, Json]:
    """`{version, comparisons: […]}`; each has the fields of `Comparison`, and `regressions`."""
    return {"version": VERSION, "comparisons": [_described(one) for one in comparisons]}


def _described(one: Comparison) -> dict[str, Json]:
    said: dict[str, Any] = asdict(one)
    said["counts"] = asdict(one.counts)
    said["regressions"] = [
        {"what": found.what, "part": found.part, "count": found.count} for found in one.regressions
    ]
    return said
