"""Sinks of columns: CSV and Parquet."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from sinks.conftest import FAILED, LENIENT, TEXTS, create, record, write

from dbrun.errors import PluginError

# CSV


def test_csv_columns_and_cells(tmp_path: Path) -> None:
    records = [
        record(0, output='x,"y"\nz', row={"text": "ä", "tags": ["a", 1], "none": None}),
        FAILED,
        record(2, output={"label": True}, row={"more": 1.5, "text": True}),
    ]
    write("csv", tmp_path / "x.csv", records, omit=frozenset({"usage"}))
    with open(tmp_path / "x.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream, strict=True))
    assert rows[0] == [
        "id",
        "status",
        "output",
        "finish_reason",
        "error",
        "row.text",
        "row.tags",
        "row.none",
        "row.n",
        "row.more",
        "key",
    ]
    assert rows[1] == ["T-0", "ok", 'x,"y"\nz', "stop", "", "ä", '["a", 1]', "", "", "", "k"]
    assert rows[2] == [
        "T-1",
        "error",
        "",
        "",
        '{"class": "timeout", "message": "late", "retryable": true}',
        "a",
        "",
        "",
        "1",
        "",
        "",
    ]
    assert rows[3] == ["T-2", "ok", '{"label": true}', "stop", "", "true", "", "", "", "1.5", "k"]


@LENIENT
@given(st.lists(TEXTS, min_size=1, max_size=4), TEXTS)
def test_csv_texts_can_be_read_back(tmp_path: Path, outputs: list[str], column: str) -> None:
    records = [record(output=one, row={column: one}) for one in outputs]
    write("csv", tmp_path / "x.csv", records)
    with open(tmp_path / "x.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, strict=True))

    def spelled(text: str) -> str:
        return text.encode("utf-8", "backslashreplace").decode()

    assert [row["output"] for row in rows] == [spelled(one) for one in outputs]
    assert [row[spelled(f"row.{column}")] for row in rows] == [spelled(one) for one in outputs]


def test_a_table_without_records_has_its_first_columns(tmp_path: Path) -> None:
    write("csv", tmp_path / "x.csv", [])
    assert (tmp_path / "x.csv").read_bytes() == b"id,status,output\r\n"
    write("parquet", tmp_path / "x.parquet", [])
    assert parquet.read_table(tmp_path / "x.parquet").schema.names == ["id", "status", "output"]


def test_csv_holds_null_characters(tmp_path: Path) -> None:
    write("csv", tmp_path / "x.csv", [record(output="a\0b", last=None, row={})])
    assert (tmp_path / "x.csv").read_bytes() == b"id,status,output\r\nT-0,ok,a\0b\r\n"


# Parquet


def test_parquet_kinds(tmp_path: Path) -> None:
    outputs: list[Any] = [[1, 2], "text", None, "\ud800"]
    records = [record(number, output=one) for number, one in enumerate(outputs)]
    write("parquet", tmp_path / "x.parquet", records, add=frozenset({"index"}))
    table = parquet.read_table(tmp_path / "x.parquet")
    assert {field.name: str(field.type) for field in table.schema} == {
        "id": "string",
        "status": "string",
        "output": "string",
        "finish_reason": "string",
        "usage": "string",
        "row": "string",
        "key": "string",
        "index": "int64",
    }
    assert table["output"].to_pylist() == ["[1, 2]", "text", None, "\\ud800"]
    assert json.loads(table["row"][1].as_py()) == {"text": "a", "n": 1}
    assert json.loads(table["usage"][0].as_py()) == {"input_tokens": 3}


@pytest.mark.parametrize(
    ("outputs", "kind", "made"),
    [
        ([1, None, 2], "int64", [1, None, 2]),
        ([1, 2.5], "double", [1.0, 2.5]),
        ([True, None], "bool", [True, None]),
        ([True, 1], "string", ["true", "1"]),
        ([2**60, 1], "int64", [2**60, 1]),
        ([2**60, 0.5], "string", [str(2**60), "0.5"]),
        ([2**70], "string", [str(2**70)]),
        ([None], "string", [None]),
        (["a", 1], "string", ["a", "1"]),
        ([{"a": "ä"}], "string", ['{"a": "ä"}']),
    ],
)
def test_parquet_outputs(tmp_path: Path, outputs: list[Any], kind: str, made: list[Any]) -> None:
    write("parquet", tmp_path / "x.parquet", [record(output=one) for one in outputs])
    column = parquet.read_table(tmp_path / "x.parquet")["output"]
    assert str(column.type) == kind
    assert column.to_pylist() == made


def test_parquet_is_written_in_batches(tmp_path: Path) -> None:
    write("parquet", tmp_path / "x.parquet", [record(number) for number in range(2500)])
    ids = parquet.read_table(tmp_path / "x.parquet")["id"].to_pylist()
    assert ids == [f"T-{number}" for number in range(2500)]


def test_pyarrow_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(PluginError, match=r"pip install 'dbrun\[parquet\]'"):
        create("parquet", tmp_path / "x.parquet").open()
