"""Samples as lm-evaluation-harness writes them."""

from __future__ import annotations

import hashlib
from typing import Any

from hypothesis import given
from interop.conftest import RECORDS, SOME

from dbrun.interop.lm_eval import score_names, to_sample
from dbrun.sinks.base import encode_line

RECORD = {
    "id": "T-1",
    "status": "ok",
    "output": "blue",
    "row": {"text": "sky", "label": "red"},
    "scores": {"right": {"value": False}, "words": {"value": 1}},
    "request": {"model": "m", "messages": [{"role": "user", "content": "sky?"}], "max_tokens": 5},
}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_sample() -> None:
    sample = to_sample([RECORD], 4, target="label", scores=["right", "words", "other"])
    asked = '[{"role": "user", "content": "sky?"}]'
    assert sample.pop("dbrun") == {
        "id": "T-1",
        "status": "ok",
        "scores": RECORD["scores"],
        "output": "blue",
    }
    assert sample == {
        "doc_id": 4,
        "doc": RECORD["row"],
        "target": "red",
        "arguments": {"gen_args_0": {"arg_0": asked, "arg_1": {"max_tokens": 5}}},
        "resps": [["blue"]],
        "filtered_resps": ["blue"],
        "filter": "none",
        "metrics": ["right", "words", "other"],
        "doc_hash": sha('{\n  "text": "sky",\n  "label": "red"\n}'),
        "prompt_hash": sha(asked),
        "target_hash": sha("red"),
        "right": 0.0,
        "words": 1,
        "other": None,
    }


def test_repeats_are_responses_of_one_sample() -> None:
    failed = {"id": "T-1", "status": "error", "output": None, "error": {"class": "timeout"}}
    again = {**RECORD, "output": {"a": 1}, "repeat": 2}
    sample = to_sample([RECORD, again, failed], 0, target=None, scores=[])
    assert sample["resps"] == [["blue", '{"a": 1}', ""]]
    assert (sample["filtered_resps"], sample["target"]) == (["blue"], "")


def test_a_score_that_bears_the_name_of_a_field_gives_way() -> None:
    record = {**RECORD, "scores": {"target": {"value": True}}}
    sample = to_sample([record], 0, target="label", scores=["target"])
    assert (sample["target"], sample["target_"]) == ("red", 1.0)


def test_the_names_of_all_scores() -> None:
    assert score_names([{"id": "a"}, RECORD, {"scores": None}]) == ["right", "words"]


@SOME
@given(record=RECORDS)
def test_every_record_is_a_sample(record: dict[str, Any]) -> None:
    sample = to_sample([record], 0, target="x", scores=score_names([record]))
    assert encode_line(sample).count(b"\n") == 1
