"""Globs over listings give what the standard library's give on a disk."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.client.volumes import Entry, matching

FILES = [
    "a.jsonl",
    "b.csv",
    ".hidden.jsonl",
    "2026/a.jsonl",
    "2026/01/a.jsonl",
    "2026/01/[x].jsonl",
    "2026/02/b.jsonl.gz",
    ".git/a.jsonl",
    "x/y/z/a.jsonl",
]
PARTS = st.sampled_from(
    ["*", "**", "*.jsonl", "a.*", "2026", "0?", "[a-b]*", "[[]x].jsonl", ".*", "a.jsonl", "none"]
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for name in FILES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def listing(folder: str) -> Iterator[Entry]:
    if not os.path.isdir(folder):
        raise FileNotFoundError(folder)
    for entry in os.scandir(folder):
        yield Entry(path=entry.path, is_folder=entry.is_dir())


@given(parts=st.lists(PARTS, min_size=1, max_size=4))
def test_what_fits(tree: Path, parts: list[str]) -> None:
    pattern = "/".join([str(tree), *parts])
    if not glob.has_magic("/".join(parts)):
        return
    expected = {path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)}
    assert matching(pattern, listing) == sorted(expected)


def test_each_folder_is_listed_once(tree: Path) -> None:
    asked: list[str] = []

    def noted(folder: str) -> Iterator[Entry]:
        asked.append(folder)
        return listing(folder)

    assert len(matching(f"{tree}/**/**/*.jsonl", noted)) == 5
    assert len(asked) == len(set(asked))
