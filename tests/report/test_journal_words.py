"""What is said of a journal: only what there is, and no more of it than helps."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest

from dbrun.report.journal import (
    described,
    shown,
    shown_compact,
    shown_import,
    shown_prune,
    shown_requests,
)
from dbrun.report.words import size
from dbrun.run.journals.batches import Requests
from dbrun.run.journals.importing import Imported
from dbrun.run.journals.looking import Found
from dbrun.run.journals.pruning import Compacted, Pruned
from dbrun.run.journals.use import Count, Use
from dbrun.run.offline.survey import Trouble

PATH = os.path.abspath("out/a.journal")


@pytest.mark.parametrize(
    ("bytes_", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (9_940, "9.9 kB"),
        (12_345, "12 kB"),
        (999_499, "999 kB"),
        (999_600, "1.0 MB"),
        (200_000_000, "200 MB"),
        (1_300_000_000, "1.3 GB"),
        (5_000_000_000_000_000, "5,000 TB"),
    ],
)
def test_sizes(bytes_: int, text: str) -> None:
    assert size(bytes_) == text


def test_an_empty_journal_has_few_facts() -> None:
    found = Found(path=PATH, exists=True, use=Use())
    assert shown(found).splitlines() == [
        "out/a.journal",
        "  answers      0 in 0 files, 0 bytes",
        "  used         0 by 0 rows",
    ]
    assert described(found)["use"]["used"] == 0


def test_facts_are_listed_below_each_other_and_many_models_are_cut() -> None:
    found = Found(
        path=PATH,
        exists=True,
        use=Use(unknown=[("target 'a' of x.yaml", "no host"), ("target 'b' of x.yaml", "no")]),
        models=Counter({f"m{number}": 10 - number for number in range(8)}),
        facts={"b": 1, "a": ["x"]},
        damaged=1,
    )
    lines = shown(found).splitlines()
    assert lines[3:] == [
        "  not known    what target 'a' of x.yaml asks for: no host",
        "               what target 'b' of x.yaml asks for: no",
        "  models       m0: 10, m1: 9, m2: 8, m3: 7, m4: 6, and 3 more",
        "  damaged      1 line, passed over",
        '  remembered   a: ["x"]',
        "               b: 1",
    ]


def test_pruning_and_compacting() -> None:
    pruned = Pruned(total=Count(answers=2000, bytes=10**6), dropped=Count(answers=1, bytes=500))
    assert shown_prune(PATH, pruned, dry_run=True) == (
        "out/a.journal: 1 answer would be dropped (500 bytes), 1,999 would stay"
    )
    assert shown_prune(PATH, pruned, dry_run=False) == (
        "out/a.journal: 1 answer dropped (500 bytes), 1,999 stay"
    )
    for answers, told in ((1, "the 1 answer is"), (2, "all 2 answers are")):
        kept = Pruned(total=Count(answers=answers, bytes=9), dropped=Count(answers=0, bytes=0))
        said = shown_prune(PATH, kept, dry_run=False)
        assert said == f"out/a.journal: nothing to drop: {told} asked for"
    made = Compacted(files_before=3, bytes_before=3000, files=1, bytes=2000)
    assert shown_compact(PATH, made) == "out/a.journal: 1 file, 2.0 kB; before: 3 files, 3.0 kB"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"models": Counter({None: 5})}, ["5 requests without a model, which batch APIs want"]),
        ({"written": 50_000}, []),
        ({"written": 50_001}, ["OpenAI takes 50,000 requests and 200 MB in a file: split it"]),
        ({"bytes": 200_000_001}, ["OpenAI takes 50,000 requests"]),
        ({"models": Counter({"a": 1, "b": 1})}, ["here are /v1/embeddings, a, b"]),
        ({"urls": Counter({"/v1/x": 1, "/v1/y": 1})}, ["one URL and one model in a file"]),
    ],
)
def test_what_to_know_before_sending(changes: dict[str, Any], said: list[str]) -> None:
    usual = {"urls": Counter({"/v1/embeddings": 5}), "models": Counter({"m": 5})}
    told = Requests(**{"written": 5, "bytes": 5000, **usual, **changes})
    lines = list(shown_requests("f.jsonl", told))
    assert lines[0].startswith("f.jsonl: ")
    assert len(lines) == 1 + len(said)
    for line, words in zip(lines[1:], said, strict=True):
        assert words in line


def test_many_foreign_lines_are_named_in_part() -> None:
    told = Imported(lines=30)
    for number in range(30):
        told.foreign.add(f"a.jsonl:{number}: the line is no object")
    lines = list(shown_import("x.yaml", told))
    assert lines[0] == "a.jsonl:0: the line is no object"
    assert lines[20:] == ["and 10 more lines of this kind", "30 lines: 0 taken, 30 no answers"]


def test_rows_without_a_request_are_named() -> None:
    told = Requests(unrendered=Trouble(count=1, named=["row 1: render: no"]))
    assert list(shown_requests("f.jsonl", told)) == [
        "row 1: render: no",
        "1 row without a request",
        "f.jsonl: 0 requests, 0 bytes",
    ]
