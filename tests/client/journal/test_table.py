"""Numbers of open files stay, whatever becomes of their names."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dbrun.client.journal.segment import GONE, Segment
from dbrun.client.journal.table import Files


@pytest.fixture
def files() -> Files:
    return Files(threading.RLock())


def put(folder: Path, name: str, text: str = "") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_a_file_is_opened_once(files: Files, tmp_path: Path) -> None:
    path = put(tmp_path, "one.jsonl", "x")
    number = files.find("one.jsonl", path)
    assert number is not None
    assert files.find("one.jsonl", path) == number == files.number("one.jsonl")
    assert (list(files), len(files), files[number].read(0, 1)) == (["one.jsonl"], 1, b"x")
    files.close()


def test_a_compacted_file_that_was_replaced_is_another(files: Files, tmp_path: Path) -> None:
    path = put(tmp_path, "answers.jsonl", "old")
    before = files.find("answers.jsonl", path)
    Path(put(tmp_path, "new", "new")).replace(path)
    after = files.find("answers.jsonl", path)
    assert before is not None
    assert after is not None
    assert (before != after, len(files)) == (True, 1)
    assert (files[before].read(0, 3), files[after].read(0, 3)) == (b"old", b"new")
    assert files.rank(before) == GONE
    files.close()


def test_what_is_gone_has_no_number(files: Files, tmp_path: Path) -> None:
    assert files.find("no.jsonl", str(tmp_path / "no.jsonl")) is None
    number = files.find("one.jsonl", put(tmp_path, "one.jsonl", "x"))
    assert number is not None
    files.forget("one.jsonl")
    files.forget("one.jsonl")
    assert (files.number("one.jsonl"), len(files), files.rank(number)) == (None, 0, GONE)
    assert files[number].read(0, 1) == b"x"  # for whoever knows where
    files.close()


def test_own_and_trusted_files(files: Files, tmp_path: Path) -> None:
    own = files.begin(Segment(put(tmp_path, "own.jsonl")))
    other = files.find("other.jsonl", put(tmp_path, "other.jsonl"))
    folded = files.find("answers.jsonl", put(tmp_path, "answers.jsonl"))
    assert other is not None
    assert folded is not None
    assert (files.begun, files.growing) == (["own.jsonl"], [other])
    assert [files.is_trusted(number) for number in (own, other, folded)] == [True, False, True]
    files.trust(["other.jsonl"])
    assert files.is_trusted(other)
    files.close()
