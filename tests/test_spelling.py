"""What somebody may have meant."""

from __future__ import annotations

import pytest

from dbrun.spelling import nearest


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("promt", ["prompt", "params"], "prompt"),
        ("PROMPT", ["prompt", "params"], "prompt"),
        ("tset", ["test", "rest"], "test"),  # two letters swapped are one slip
        ("trunc", ["truncate", "truncate_words", "trim"], "truncate"),
        ("tok", ["token", "tokenizer", "toaster"], "token"),
        ("summ", ["summarize", "summation"], None),
        ("x", ["y", "xylophone"], None),
        ("elephant", ["prompt", "params"], None),
        ("anything", [], None),
    ],
)
def test_nearest(name: str, known: list[str], meant: str | None) -> None:
    assert nearest(name, known) == meant
