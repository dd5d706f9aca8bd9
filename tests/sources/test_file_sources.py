"""Sources that read files: which, in which order, compressed, from standard input."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from dbrun.context import Context
from dbrun.errors import PluginError, SourceError
from dbrun.sources.jsonl import JsonlSource

Read = Callable[..., Any]
Problem = Callable[..., str]


def test_a_glob_is_read_in_the_order_of_its_paths(tmp_path: Path, read: Read) -> None:
    for name in ("b/2", "a/10", "a/9", "c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"n": name}))
    (tmp_path / "a" / "note.txt").write_text("no")
    assert [row["n"] for _, row in read("jsonl", "**/*.jsonl")] == ["a/10", "a/9", "b/2", "c"]
    assert [where for where, _ in read("jsonl", "a/*.jsonl")] == ["a/10.jsonl:1", "a/9.jsonl:1"]


def test_a_folder_stands_for_its_files_of_the_format(tmp_path: Path, read: Read) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("b.jsonl", "a.ndjson", "_SUCCESS.jsonl", ".hidden.jsonl", "README.md"):
        (folder / name).write_text('{"x": 1}\n')
    (folder / "c.jsonl.gz").write_bytes(gzip.compress(b'{"x": 2}\n'))
    (folder / "sub.jsonl").mkdir()
    assert [where for where, _ in read("jsonl", "data")] == [
        "data/a.ndjson:1",
        "data/b.jsonl:1",
        "data/c.jsonl.gz:1",
    ]


def test_a_name_with_brackets_is_a_file_if_there_is_one(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a[1].jsonl").write_text('{"x": 1}')
    assert read("jsonl", "a[1].jsonl") == [("a[1].jsonl:1", {"x": 1})]


@pytest.mark.parametrize(
    ("path", "folder"),
    [("data/a.jsonl", "data"), ("data", "data"), ("data/*/x-?.jsonl", "data"), ("data/**", "data")],
)
def test_images_may_lie_below_the_sources_folder(
    tmp_path: Path, make: Callable[..., Any], path: str, folder: str
) -> None:
    (tmp_path / "data").mkdir()
    assert make("jsonl", path).folder == str(tmp_path / folder)
    assert make("jsonl", "-").folder is None


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("ticket.jsonl", "ticket.jsonl: there is no such file; did you mean 'tickets.jsonl'?"),
        ("qqq", "qqq: there is no such file; its folder has empty, tickets.jsonl"),
        ("empty/x", "empty/x: there is no such file; its folder is empty"),
        ("no/such/x", "no/such/x: there is no such file; nor is there a folder such"),
        ("*.nope", "*.nope: no file fits; check source.path"),
        ("empty", "empty: the folder holds no .jsonl or .ndjson or .json; write a glob"),
    ],
)
def test_missing_files_are_said(tmp_path: Path, problem: Problem, path: str, said: str) -> None:
    (tmp_path / "tickets.jsonl").write_text("")
    (tmp_path / "empty").mkdir()
    assert problem("jsonl", path).startswith(said)


@pytest.mark.parametrize("kind", ["jsonl", "csv", "json", "text", "parquet"])
def test_columns_of_a_missing_file_are_unknown(make: Callable[..., Any], kind: str) -> None:
    expected = {"path", "text"} if kind == "text" else None
    assert make(kind, "nowhere").columns() == expected


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", ["jsonl", "csv", "json", "text"])
def test_compression_and_digest(
    tmp_path: Path, make: Callable[..., Any], kind: str, ending: str
) -> None:
    content = {"jsonl": b'{"a":"x"}\n' * 3, "csv": b"a\nx\n", "json": b'[{"a":"x"}]', "text": b"x"}
    data = content[kind]
    if ending == ".gz":
        data = gzip.compress(data[:5]) + gzip.compress(data[5:])
    elif ending == ".zst":
        data = zstandard.compress(data[:5]) + zstandard.compress(data[5:])
    (tmp_path / f"f.{kind}{ending}").write_bytes(data)
    source = make(kind, f"f.{kind}{ending}")
    assert source.digest() is None
    rows = [row for _, row in source.rows()]
    assert "x" in rows[0].values()
    assert source.digest() == hashlib.sha256(data).hexdigest()
    assert [row for _, row in source.rows()] == rows


def test_the_digest_of_several_files_is_that_of_their_bytes_in_order(
    tmp_path: Path, make: Callable[..., Any]
) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"a":1}\n')
    (tmp_path / "b.jsonl").write_bytes(b'{"a":2}')
    source = make("jsonl", "*.jsonl")
    rows = source.rows()
    next(rows)
    rows.close()
    assert source.digest() is None  # not read to the end
    list(source.rows())
    assert source.digest() == hashlib.sha256(b'{"a":1}\n{"a":2}').hexdigest()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.jsonl.gz", gzip.compress(b'{"a":1}\n' * 1000, mtime=0)[:-20]),
        ("x.jsonl.gz", b"no gzip"),
        ("x.jsonl.zst", b"no zstandard"),
        ("x.jsonl.zst", zstandard.compress(b'{"a":1}\n' * 1000)[:-4]),
    ],
)
def test_broken_compression_is_said(
    tmp_path: Path, problem: Problem, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)
    said = problem("jsonl", name)
    assert said.startswith(f"{name}: cannot be read: ")
    assert said.endswith(f"; is it really {name[-4:].lstrip('l')}, and complete?")


def test_zstandard_may_be_missing(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.jsonl.zst").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(PluginError, match=r"pip install 'dbrun\[zstd\]'"):
        read("jsonl", "x.jsonl.zst")


@pytest.mark.parametrize(
    ("kind", "data", "row"),
    [
        ("jsonl", b'{"a": 1}\n', {"a": 1}),
        ("csv", b"a\n1\n", {"a": "1"}),
        ("json", b'[{"a": 1}]', {"a": 1}),
        ("text", b"one", {"path": "-", "text": "one"}),
    ],
)
def test_standard_input_is_read_once(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, kind: str, data: bytes, row: Any
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(data))
    monkeypatch.setattr(sys, "stdin", stream)
    source = make(kind, "-")
    assert source.columns() in (None, {"path", "text"})
    rows = list(source.rows())
    assert [values for _, values in rows] == [row]
    assert rows[0][0].startswith("standard input")
    with pytest.raises(SourceError, match="standard input can be read only once"):
        list(source.rows())
    assert not stream.closed


@pytest.mark.parametrize(
    ("content", "rows"), [(b"", 0), (b'{"a":1}\n{"a":2}\n', 2), (b'{"a":1}\n{"a":2}', 2)]
)
def test_lines_are_counted_without_reading_them(tmp_path, content, rows) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    source = JsonlSource.create({"path": str(tmp_path / "rows.jsonl")}, Context())
    assert source.count() == rows == len(list(source.rows()))
    (tmp_path / "rows.jsonl").rename(tmp_path / "rows.jsonl.gz")
    assert JsonlSource.create({"path": str(tmp_path / "rows.jsonl.gz")}, Context()).count() is None
    assert JsonlSource.create({"path": str(tmp_path / "none.jsonl")}, Context()).count() is None
