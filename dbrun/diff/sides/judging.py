"""Records of an earlier spec, judged by the scores of a later one."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ...client.journal import Journal
from ...client.waiting import blocking
from ...run.asking.counters import Counters
from ...run.judging.scoring import Scores
from ...run.opening import Opened, Surroundings, opened
from ...run.processing import make_scores
from ...run.rows.items import Item
from ...spec.model import Spec
from ...types import USAGE_FIELDS, Json, Record, Score, StepResult, Usage
from .kept import Line


def judged(lines: Iterable[Line], spec: Spec, around: Surroundings) -> Iterator[dict[str, Json]]:
    """*lines* with the scores of *spec* in place of their own; judges answer from its journal.

    Those of a variant that *spec* does not have are judged by the scores of its first.

    Raises:
        UserError: what only an endpoint could tell is not remembered.
    """
    around = replace(around, offline=True)
    with (
        Journal.open(
            spec.journal.path, mode="replay", writable=False, clock=around.clock
        ) as journal,
        opened(spec, around, journal=journal, counters=Counters(), halt=threading.Event()) as parts,
    ):
        scores = {branch.name: _scores(branch) for branch in parts.branches}
        first = next(iter(scores.values()))
        for index, line in enumerate(lines):
            found = scores.get(_text(line.get("variant")), first)
            yield _with_scores(line, _judge(found, line, index) if found else None)


def _scores(parts: Opened) -> Scores | None:
    return make_scores(parts, parts.spec.vars, images_folder=parts.spec.folder, send=False)


def _judge(scores: Scores, line: Line, index: int) -> Mapping[str, Score] | None:
    record = record_of(line, index)
    item = Item(
        id=record.id,
        index=index,
        values=record.row,
        repeat=record.repeat,
        variant=record.variant,
    )
    (done,) = blocking(scores.judged([item], [record]))
    return done.scores


def _with_scores(line: Line, scores: Mapping[str, Score] | None) -> dict[str, Json]:
    said = {name: value for name, value in line.items() if name != "scores"}
    if scores is not None:
        said["scores"] = {name: score.to_json() for name, score in scores.items()}
    return said


def record_of(line: Line, index: int) -> Record:
    """The record that *line* was written of, as far as scores look at it."""
    row, steps, repeat = line.get("row"), line.get("steps"), line.get("repeat")
    done = steps if isinstance(steps, Mapping) else {}
    return Record(
        id=str(line.get("id")),
        index=index,
        status=str(line.get("status")),
        row=row if isinstance(row, Mapping) else {},
        output=line.get("output"),
        repeat=repeat if isinstance(repeat, int) else None,
        variant=_text(line.get("variant")),
        steps={name: _step(step) for name, step in done.items()},
        stepwise=bool(done),
        last=_step(line),
    )


def _step(said: Any) -> StepResult:
    said = said if isinstance(said, Mapping) else {}
    usage, cost = said.get("usage"), said.get("cost")
    counts = usage if isinstance(usage, Mapping) else {}
    return StepResult(
        output=said.get("output"),
        finish_reason=_text(said.get("finish_reason")),
        usage=Usage(**{name: counts.get(name) for name in USAGE_FIELDS}) if counts else None,
        cost=cost if isinstance(cost, (int, float)) else None,
        key=_text(said.get("key")),
    )


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None
