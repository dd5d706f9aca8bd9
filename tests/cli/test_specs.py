"""The SPEC arguments: which files they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbrun.cli.specs import spec_paths
from dbrun.errors import UserError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.yaml", "a.yaml", "_base.yaml", "deep/c.yaml", "[odd].yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["b.yaml", "a.yaml"], ["b.yaml", "a.yaml"]),
        (["?.yaml"], ["a.yaml", "b.yaml"]),
        (["**/*.yaml"], ["[odd].yaml", "a.yaml", "b.yaml", "deep/c.yaml"]),
        (["_base.yaml"], ["_base.yaml"]),
        (["_base.yaml", "a.yaml"], ["a.yaml"]),
        (["_*.yaml"], []),
        (["[odd].yaml"], ["[odd].yaml"]),
        (["nothing.yaml"], ["nothing.yaml"]),
    ],
)
def test_words_become_paths(words: list[str], expected: list[str]) -> None:
    assert spec_paths(words) == expected


def test_a_lone_fragment_may_be_passed_over_too() -> None:
    assert spec_paths(["_base.yaml"], keep_lone_fragment=False) == []


@pytest.mark.parametrize(
    ("word", "expected"),
    [("x*.yaml", "no file matches 'x*.yaml'"), ("deep", "deep is a folder; name its specs")],
)
def test_what_names_no_spec_is_refused(word: str, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        spec_paths([word])
    assert expected in str(caught.value)
