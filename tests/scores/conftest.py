"""A score of a value, by its type."""

from __future__ import annotations

from typing import Any

from dbrun.context import Context
from dbrun.registry import Registry
from dbrun.scores.base import Subject
from dbrun.spec.model import ScoreSpec
from dbrun.spec.prompts import Text
from dbrun.spec.templates import Templates
from dbrun.types import Score


def judged(kind: str, value: Any, scope: dict[str, Any] | None = None, /, **options: Any) -> Score:
    """The score of *value* by the type *kind*."""
    if "expected" in options:
        options["expected"] = Text(source=options["expected"], name="expected")
    spec = ScoreSpec(kind=kind, name=kind, options=options, path="scores[0]")
    context = Context(template=Templates(project=".", folder=".").compile)
    scorer = Registry(entry_points=False).get("scores", kind).create(spec, context)
    score: Score = scorer.score(Subject(value=value, scope=scope or {}))
    return score
