"""Parquet: every kind of value as JSON."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from dbrun.errors import PluginError

Read = Callable[..., Any]
Problem = Callable[..., str]


def test_parquet_values_become_json(tmp_path: Path, make: Callable[..., Any]) -> None:
    utc = timezone.utc
    columns = {
        "text": pyarrow.array(["a", None]),
        "number": pyarrow.array([1, 2**60]),
        "float": pyarrow.array([1.5, float("nan")]),
        "bool": pyarrow.array([True, None]),
        "date": pyarrow.array([date(2026, 1, 2), None]),
        "time": pyarrow.array([time(1, 2, 3), None]),
        "stamp": pyarrow.array([datetime(2026, 1, 2, 3, 4, 5, 6, utc), None]),
        "nanos": pyarrow.array([1_700_000_000_123_456_789, None], pyarrow.timestamp("ns")),
        "span": pyarrow.array([timedelta(minutes=1, milliseconds=500), None]),
        "decimal": pyarrow.array([Decimal("1.25"), Decimal("3.00")]),
        "bytes": pyarrow.array([b"\x00\xff", None]),
        "list": pyarrow.array([[1.0, float("nan")], None]),
        "dates": pyarrow.array([[date(2026, 1, 2)], []]),
        "nested": pyarrow.array(
            [{"a": [{"b": b"x", "c": "y"}], "t": 1_700_000_000_123_456_789}, None],
            pyarrow.struct(
                [
                    (
                        "a",
                        pyarrow.list_(
                            pyarrow.struct([("b", pyarrow.binary()), ("c", pyarrow.string())])
                        ),
                    ),
                    ("t", pyarrow.timestamp("ns")),
                ]
            ),
        ),
        "map": pyarrow.array(
            [[("k", b"v")], None], pyarrow.map_(pyarrow.string(), pyarrow.binary())
        ),
        "label": pyarrow.array(["x", "y"]).dictionary_encode(),
        "null": pyarrow.nulls(2),
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "x.parquet")
    source = make("parquet", "x.parquet")
    rows = list(source.rows())
    assert [where for where, _ in rows] == ["x.parquet row 1", "x.parquet row 2"]
    first, second = (row for _, row in rows)
    assert first == {
        "text": "a",
        "number": 1,
        "float": 1.5,
        "bool": True,
        "date": "2026-01-02",
        "time": "01:02:03",
        "stamp": "2026-01-02T03:04:05.000006+00:00",
        "nanos": "2023-11-14T22:13:20.123456",
        "span": 60.5,
        "decimal": 1.25,
        "bytes": base64.b64encode(b"\x00\xff").decode(),
        "list": [1.0, None],
        "dates": ["2026-01-02"],
        "nested": {"a": [{"b": "eA==", "c": "y"}], "t": "2023-11-14T22:13:20.123456"},
        "map": [["k", "dg=="]],
        "label": "x",
        "null": None,
    }
    assert second["number"] == 2**60
    assert second["decimal"] == 3
    assert [name for name, value in second.items() if value is not None] == [
        "number",
        "decimal",
        "dates",
        "label",
    ]
    assert source.columns() == set(columns)
    data = (tmp_path / "x.parquet").read_bytes()
    assert source.digest() == hashlib.sha256(data).hexdigest()
    assert json.loads(json.dumps(first, allow_nan=False)) == first


def test_parquet_is_read_in_batches(tmp_path: Path, make: Callable[..., Any]) -> None:
    parquet.write_table(pyarrow.table({"n": range(3000)}), tmp_path / "x.parquet")
    assert [row["n"] for _, row in make("parquet", "*.parquet").rows()] == list(range(3000))


@pytest.mark.parametrize(
    "kind", [pyarrow.timestamp("us"), pyarrow.date32(), pyarrow.list_(pyarrow.timestamp("ms"))]
)
def test_times_that_no_calendar_has_are_said(tmp_path: Path, problem: Problem, kind: Any) -> None:
    far = 2**60 if "us" in str(kind) else 2**31 - 1 if "date32" in str(kind) else [2**60]
    table = pyarrow.table({"n": [1, 2, 3], "at": pyarrow.array([None, None, far], type=kind)})
    parquet.write_table(table, tmp_path / "x.parquet", row_group_size=1)
    assert problem("parquet", "x.parquet") == (
        "x.parquet row 3: column 'at' holds a time beyond the years 1 to 9999; "
        "write null there, or a text"
    )


def test_bad_parquet_is_said(
    tmp_path: Path, read: Read, problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.parquet").write_text("no parquet at all")
    assert problem("parquet", "x.parquet").startswith("x.parquet: cannot be read: ")
    assert "Parquet cannot be read from standard input" in problem("parquet", "-")
    parquet.write_table(pyarrow.table({"n": [1.0, float("inf")]}), tmp_path / "x.parquet")
    assert problem("parquet", "x.parquet") == (
        "x.parquet row 2: column 'n' holds an infinity, which JSON has no number for; "
        "write null there, or a text"
    )
    twins = pyarrow.table([[1], [2], [3]], names=["n", "m", "n"])
    parquet.write_table(twins, tmp_path / "x.parquet")
    assert problem("parquet", "x.parquet") == (
        "x.parquet: it names 'n' more than once; give every column a name of its own"
    )
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(PluginError, match=r"pip install 'dbrun\[parquet\]'"):
        read("parquet", "x.parquet")
