"""Samples of lm-evaluation-harness, as `--log_samples` writes them to `samples_<task>_….jsonl`.

lm-evaluation-harness, `evaluator.evaluate` and `EvaluationTracker.save_results_samples`: `doc`,
`target`, `arguments`, `resps`, `filtered_resps`, digests, and each metric under its own name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..types import Json
from .lines import OURS, Line, as_text, kept, number, request_text

_PARAMS = frozenset({"messages", "prompt", "input", "model", "stream"})
_TAKEN = frozenset(
    {
        "doc_id",
        "doc",
        "target",
        "arguments",
        "resps",
        "filtered_resps",
        "filter",
        "metrics",
        "doc_hash",
        "prompt_hash",
        "target_hash",
        OURS,
    }
)


def to_sample(
    records: Sequence[Line], place: int, *, target: str | None, scores: Sequence[str]
) -> dict[str, Json]:
    """The sample of a row, made of its *records* (one for each repeat). *place* is the row's
    number, *target* the column that holds what was expected, *scores* are the names of all there
    are: each sample has every metric, null where it has no value. A record that is not ok has an
    empty response.
    """
    first = records[0]
    row = first.get("row")
    doc: Mapping[str, Json] = row if isinstance(row, Mapping) else {}
    expected = as_text(doc.get(target, "")) if target is not None else ""
    asked = request_text(first)
    answers = [as_text(one["output"]) if one["status"] == "ok" else "" for one in records]
    metrics = dict(_metrics(first, scores))
    return {
        "doc_id": place,
        "doc": doc,
        "target": expected,
        "arguments": {"gen_args_0": {"arg_0": asked, "arg_1": _params(first)}},
        "resps": [answers],
        "filtered_resps": [answers[0]],
        "filter": "none",
        "metrics": list(metrics),
        "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": _hash(asked),
        "target_hash": _hash(expected),
        **metrics,
        OURS: {**kept(first), "output": first["output"]},
    }


def score_names(records: Iterable[Line]) -> list[str]:
    """The names of all scores of *records*."""
    names: dict[str, None] = {}
    for record in records:
        names.update(dict.fromkeys(_scores(record)))
    return list(names)


def _scores(record: Line) -> Mapping[str, Json]:
    scores = record.get("scores")
    return scores if isinstance(scores, Mapping) else {}


def _metrics(record: Line, names: Sequence[str]) -> Iterator[tuple[str, Json]]:
    scores = _scores(record)
    for name in names:
        score = scores.get(name)
        value = score.get("value") if isinstance(score, Mapping) else None
        measured = float(value) if isinstance(value, bool) else number(value)
        yield (f"{name}_" if name in _TAKEN else name), measured


def _params(record: Line) -> dict[str, Json]:
    """What the request said besides the prompt, as arguments of the generation."""
    request = record.get("request")
    told = request if isinstance(request, Mapping) else {}
    return {name: value for name, value in told.items() if name not in _PARAMS}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
