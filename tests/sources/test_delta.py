"""Delta tables as sources: one version, read in batches."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from deltalake import DeltaTable, write_deltalake

from dbrun.context import Context
from dbrun.errors import PluginError, UserError
from dbrun.sources.base import pin
from dbrun.sources.delta import DeltaSource

Read = Callable[..., Any]
Problem = Callable[..., str]


def append(folder: Path, *ids: str) -> None:
    table = pyarrow.table({"id": ids, "text": [f"text {one}" for one in ids]})
    write_deltalake(str(folder), table, mode="append")


def source(folder: Path, **options: Any) -> DeltaSource:
    return DeltaSource.create({"path": str(folder), **options}, Context(project=str(folder.parent)))


def ids(rows: Any) -> list[str]:
    return [values["id"] for _, values in rows]


def test_rows_say_where_they_are_from(tmp_path: Path, read: Read) -> None:
    append(tmp_path / "t", "a", "b")
    assert read("delta", "t") == [
        ("t version 0 row 1", {"id": "a", "text": "text a"}),
        ("t version 0 row 2", {"id": "b", "text": "text b"}),
    ]


def test_a_version_is_read(tmp_path: Path, read: Read) -> None:
    append(tmp_path / "t", "a")
    append(tmp_path / "t", "b")
    assert sorted(ids(read("delta", "t"))) == ["a", "b"]
    assert ids(read("delta", "t", version=0)) == ["a"]


def test_a_time_is_read(tmp_path: Path, read: Read) -> None:
    append(tmp_path / "t", "a")
    append(tmp_path / "t", "b")
    log = tmp_path / "t/_delta_log"
    for version, instant in enumerate((1_700_000_000, 1_700_086_400)):
        commit = log / f"{version:020d}.json"
        lines = [json.loads(line) for line in commit.read_text().splitlines()]
        for line in lines:
            if "commitInfo" in line:
                line["commitInfo"]["timestamp"] = instant * 1000
        commit.write_text("".join(json.dumps(line) + "\n" for line in lines))
        import os

        os.utime(commit, (instant, instant))
    assert ids(read("delta", "t", timestamp="2023-11-15T00:00:00Z")) == ["a"]
    assert ids(read("delta", "t", timestamp="2023-11-15")) == ["a"]
    assert sorted(ids(read("delta", "t", timestamp="2023-11-16T00:00:00+00:00"))) == ["a", "b"]


def test_a_source_stays_with_the_version_it_settled_on(tmp_path: Path) -> None:
    append(tmp_path / "t", "a")
    first = source(tmp_path / "t")
    said = pin(first)
    append(tmp_path / "t", "b")
    assert ids(first.rows()) == ["a"]
    later = source(tmp_path / "t")
    assert pin(later, said) == said
    assert ids(later.rows()) == ["a"]
    assert later.digest() == first.digest()
    assert pin(source(tmp_path / "t")) == {**said, "version": 1}


def test_a_table_that_was_made_anew_is_read_as_it_is(tmp_path: Path) -> None:
    append(tmp_path / "t", "a")
    append(tmp_path / "t", "b")
    said = pin(source(tmp_path / "t"))
    shutil.rmtree(tmp_path / "t")
    append(tmp_path / "t", "c")
    again = source(tmp_path / "t")
    assert pin(again, said)["version"] == 0
    assert ids(again.rows()) == ["c"]


def test_the_same_version_comes_in_the_same_order_and_in_batches(tmp_path: Path) -> None:
    for part in range(4):
        append(tmp_path / "t", *(f"{part}-{number:05d}" for number in range(3000)))
    orders = [ids(source(tmp_path / "t").rows()) for _ in range(3)]
    assert orders[0] == orders[1] == orders[2]
    assert len(orders[0]) == 12000
    rows = source(tmp_path / "t").rows()
    assert next(rows)[0].endswith("row 1")
    rows.close()


def test_rows_that_were_deleted_are_not_read(tmp_path: Path, read: Read) -> None:
    append(tmp_path / "t", "a", "b", "c")
    DeltaTable(str(tmp_path / "t")).delete("id = 'b'")
    assert ids(read("delta", "t")) == ["a", "c"]


def test_what_is_known_without_reading(tmp_path: Path) -> None:
    append(tmp_path / "t", "a", "b")
    append(tmp_path / "t", "c")
    assert source(tmp_path / "t").columns() == {"id", "text"}
    assert source(tmp_path / "t").count() == 3
    assert source(tmp_path / "t", version=0).count() == 2
    assert source(tmp_path / "t").digest() is None
    assert source(tmp_path / "nothing").columns() is None
    assert source(tmp_path / "nothing").count() is None


def test_what_is_wrong_is_said(tmp_path: Path, problem: Problem) -> None:
    assert problem("delta", "t") == (
        "t: there is no Delta table; source.path names a table's folder"
    )
    append(tmp_path / "t", "a")
    said = problem("delta", "t", version=7)
    assert said.startswith("t: the table cannot be read at version 7: ")
    assert "\n" not in said
    for file in (tmp_path / "t").glob("*.parquet"):
        file.unlink()
    said = problem("delta", "t")
    assert said.startswith("t: the table cannot be read at version 0: ")
    assert said.endswith("versions that VACUUM has cleared are gone")


def test_a_time_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'yesterday' is no time"):
        source(tmp_path, timestamp="yesterday")


def test_without_deltalake(tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(PluginError, match=r"pip install 'dbrun\[delta\]'"):
        read("delta", "t")
