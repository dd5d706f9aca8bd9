"""CSV: what is read, and what is said of bad lines."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Read = Callable[..., Any]
Problem = Callable[..., str]

LENIENT = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@LENIENT
@given(
    st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=2, max_size=2
        ),
        max_size=5,
    ),
    st.sampled_from(["\n", "\r", "\r\n"]),
)
def test_csv_gives_back_what_was_written(tmp_path: Path, read: Read, rows: Any, end: str) -> None:
    with open(tmp_path / "x.csv", "w", encoding="utf-8-sig", newline="") as stream:
        # Python before 3.13 quotes only what holds a line end of this very kind.
        writer = csv.writer(stream, lineterminator=end, quoting=csv.QUOTE_ALL)
        writer.writerow(["a", "b c"])
        writer.writerows(rows)
    expected = [dict(zip(["a", "b c"], row, strict=True)) for row in rows]
    assert [row for _, row in read("csv", "x.csv")] == expected


@pytest.mark.parametrize(
    ("name", "data", "options", "rows"),
    [
        ("x.csv", b"a,b\n1,\n", {}, [("x.csv:2", {"a": "1", "b": ""})]),
        (
            "x.csv",
            b'\n\na,b\r\n\r\n007,"x,\n""y"\r\n2,3',
            {},
            [("x.csv:5", {"a": "007", "b": 'x,\n"y'}), ("x.csv:7", {"a": "2", "b": "3"})],
        ),
        ("x.csv", b"\xef\xbb\xbfid\n\xc3\xa4\n", {}, [("x.csv:2", {"id": "ä"})]),
        ("x.csv", b",a\n0,1\n", {}, [("x.csv:2", {"": "0", "a": "1"})]),
        ("x.tsv", b"a\tb\n1\t2,3\n", {}, [("x.tsv:2", {"a": "1", "b": "2,3"})]),
        ("x.csv", b"a;b\n1;2\n", {"delimiter": ";"}, [("x.csv:2", {"a": "1", "b": "2"})]),
        ("x.tsv", b"a;b\n1;2\n", {"delimiter": ";"}, [("x.tsv:2", {"a": "1", "b": "2"})]),
        ("x.csv", b"a\n" + b"y" * 300_000, {}, [("x.csv:2", {"a": "y" * 300_000})]),
        ("x.csv", b"a,b\n", {}, []),
        (
            "x.csv",
            b'\xef\xbb\xbfa,b\r1,"two\rlines\r\n"\r2,\xc3\xa4',
            {},
            [("x.csv:2", {"a": "1", "b": "two\rlines\r\n"}), ("x.csv:5", {"a": "2", "b": "ä"})],
        ),
        ("x.csv", b"a\r1\n2\r\n3", {}, [(f"x.csv:{1 + n}", {"a": f"{n}"}) for n in (1, 2, 3)]),
    ],
)
def test_csv_reads(
    tmp_path: Path, make: Callable[..., Any], name: str, data: bytes, options: Any, rows: Any
) -> None:
    (tmp_path / name).write_bytes(data)
    source = make("csv", name, **options)
    assert list(source.rows()) == rows
    assert not rows or source.columns() == set(rows[0][1])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "x.csv: the file is empty; its first line must name the columns"),
        (b"a,b,a\n", "x.csv:1: the header names 'a' more than once; give every column a name"),
        (
            b'a,b\n1,2\n"x\ny",3,4 5,6\n',
            "x.csv:3: 4 fields where the header names 2; too many are '4 5', '6'; quote fields",
        ),
        (
            b"a,b,c\n1\n",
            "x.csv:2: 1 fields where the header names 3; there is none for 'b', 'c'; complete",
        ),
        (b'a\n"x"y\n', "x.csv:2: not CSV: ',' expected after '\"'; quote fields"),
        (
            b'a\n1\n"x\n2\n',
            "x.csv:3: not CSV: a quote is opened in this row and never closed; close it, or double",
        ),
        (b"a\nx\xff\n", "x.csv:2: byte 0xff is not UTF-8; save the file as UTF-8"),
        (b"a\r\xc3\xa4\rx\xff\r", "x.csv:3: byte 0xff is not UTF-8; save the file as UTF-8"),
        (b"\xff\xfea\0,\0", "x.csv:1: the file is UTF-16; save the file as UTF-8"),
        (b"a,b\r1,2\r3\r", "x.csv:3: 1 fields where the header names 2"),
    ],
)
def test_bad_csv_is_said(tmp_path: Path, problem: Problem, data: bytes, said: str) -> None:
    (tmp_path / "x.csv").write_bytes(data)
    assert problem("csv", "x.csv").startswith(said)
