"""Sources that read files: what they yield, in which order, and what is said of bad input."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from dbrun.context import Context
from dbrun.errors import PluginError, SourceError
from dbrun.registry import Registry

Read = Callable[..., Any]

LENIENT = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(st.dictionaries(st.text(), JSON_VALUES, max_size=4), max_size=5)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Any]:
    def source(kind: str, path: str = "", **options: Any) -> Any:
        given_path = path if path == "-" else str(tmp_path / path)
        made = Registry(entry_points=False).get("sources", kind)
        return made.create({"path": given_path, **options}, Context(project=str(tmp_path)))

    return source


@pytest.fixture
def read(make: Callable[..., Any]) -> Read:
    def rows(kind: str, path: str = "", **options: Any) -> list[tuple[str, Any]]:
        return list(make(kind, path, **options).rows())

    return rows


def problem(read: Read, kind: str, path: str = "", **options: Any) -> str:
    with pytest.raises(SourceError) as caught:
        read(kind, path, **options)
    return str(caught.value)


# Which files, in which order


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
def test_missing_files_are_said(tmp_path: Path, read: Read, path: str, said: str) -> None:
    (tmp_path / "tickets.jsonl").write_text("")
    (tmp_path / "empty").mkdir()
    assert problem(read, "jsonl", path).startswith(said)


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
        ("x.jsonl.gz", gzip.compress(b'{"a":1}\n' * 1000)[:-20]),
        ("x.jsonl.gz", b"no gzip"),
        ("x.jsonl.zst", b"no zstandard"),
    ],
)
def test_broken_compression_is_said(tmp_path: Path, read: Read, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    said = problem(read, "jsonl", name)
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


# JSON Lines


@LENIENT
@given(ROWS)
def test_jsonl_gives_back_what_was_written(tmp_path: Path, read: Read, rows: Any) -> None:
    lines = [json.dumps(row, ensure_ascii=index % 2 == 0) for index, row in enumerate(rows)]
    data = "\r\n\n".join(lines).encode("utf-8", "surrogatepass")
    (tmp_path / "x.jsonl").write_bytes(data)
    assert [row for _, row in read("jsonl", "x.jsonl")] == rows


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"", []),
        (b"\n \r\n\t\n", []),
        (b'\xef\xbb\xbf{"a": 1}\n', [("x.jsonl:1", {"a": 1})]),
        (b"\xef\xbb\xbf\n{}", [("x.jsonl:2", {})]),
        (b'\n\n{"a": "\\ud800"}', [("x.jsonl:3", {"a": "\ud800"})]),
        ('{"a": "\u2028\u0085"}'.encode(), [("x.jsonl:1", {"a": "\u2028\u0085"})]),
        (
            b'{"a": 123456789012345678901234567890}',
            [("x.jsonl:1", {"a": 123456789012345678901234567890})],
        ),
        (b'{"a": 1e3, "b": -0.0}', [("x.jsonl:1", {"a": 1000.0, "b": -0.0})]),
    ],
)
def test_jsonl_reads(tmp_path: Path, read: Read, data: bytes, rows: Any) -> None:
    (tmp_path / "x.jsonl").write_bytes(data)
    assert read("jsonl", "x.jsonl") == rows


WANTED = "; one JSON object a line is wanted"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"a": 1', f"not JSON: expecting ',' delimiter at column 8{WANTED}"),
        (
            b"{'a': 1}",
            f"not JSON: expecting property name enclosed in double quotes at column 2{WANTED}",
        ),
        (b"nonsense", f"not JSON: a value is missing{WANTED}"),
        (b'{"a": NaN}', f"not JSON: NaN has no place in JSON{WANTED}"),
        (b'{"a": -Infinity}', f"not JSON: -Infinity has no place in JSON{WANTED}"),
        (b'{"a": 1e999}', f"not JSON: the number 1e999 is too large{WANTED}"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', f"not JSON: the key 'c' is given twice{WANTED}"),
        (b'{"a": 1} {"b": 2}', f"not JSON: more text after the value, at column 9{WANTED}"),
        (b'{"a": "\t"}', f"not JSON: invalid control character at column 8{WANTED}"),
        (b'{"a": ' + b"9" * 5000 + b"}", f"not JSON: a number has too many digits{WANTED}"),
        (b"[" * 100_000, f"not JSON: it is nested too deep{WANTED}"),
        (b'"text"', f"the line is text, not an object{WANTED}"),
        (b"3.5", f"the line is a number, not an object{WANTED}"),
        (b"null", f"the line is null, not an object{WANTED}"),
        (
            b"[1]",
            f"the line is a list, not an object{WANTED}; for a file that is one JSON array, "
            "write source.format: json",
        ),
        (b'{"a": "\xe9"}', "byte 0xe9 is not UTF-8; save the file as UTF-8"),
        ("\N{NO-BREAK SPACE}{}".encode(), f"not JSON: a value is missing{WANTED}"),
    ],
)
def test_bad_lines_are_said(tmp_path: Path, read: Read, line: bytes, said: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.jsonl").write_bytes(b'{"ok": 1}\n\n' + line + b"\n{}\n")
    assert problem(read, "jsonl", "data/x.jsonl") == f"data/x.jsonl:3: {said}"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ('{"a": 1}\n'.encode("utf-16"), "x.jsonl:1: the file is UTF-16; save the file as UTF-8"),
        (b'[\n{"a": 1}\n]\n', "for a file that is one JSON array, write source.format: json"),
    ],
)
def test_files_of_another_kind_are_said(tmp_path: Path, read: Read, data: bytes, said: str) -> None:
    (tmp_path / "x.jsonl").write_bytes(data)
    assert said in problem(read, "jsonl", "x.jsonl")


def test_jsonl_columns_are_those_of_the_first_row(tmp_path: Path, make: Callable[..., Any]) -> None:
    (tmp_path / "x.jsonl").write_text('\n{"a": 1, "b": 2}\nnonsense')
    assert make("jsonl", "x.jsonl").columns() == {"a", "b"}
    (tmp_path / "x.jsonl").write_text("")
    assert make("jsonl", "x.jsonl").columns() is None


# CSV


@LENIENT
@given(
    st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=2, max_size=2
        ),
        max_size=5,
    )
)
def test_csv_gives_back_what_was_written(tmp_path: Path, read: Read, rows: Any) -> None:
    with open(tmp_path / "x.csv", "w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
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
        (b'a\n1\n"x\n2\n', "x.csv:4: not CSV: unexpected end of data; quote fields"),
        (b"a\nx\xff\n", "x.csv:2: byte 0xff is not UTF-8; save the file as UTF-8"),
        (b"a\rb\rc", "x.csv:1: not CSV: new-line character seen in unquoted field"),
    ],
)
def test_bad_csv_is_said(tmp_path: Path, read: Read, data: bytes, said: str) -> None:
    (tmp_path / "x.csv").write_bytes(data)
    assert problem(read, "csv", "x.csv").startswith(said)


# JSON


@LENIENT
@given(ROWS, st.sampled_from([None, 2]))
def test_json_gives_back_what_was_written(
    tmp_path: Path, read: Read, rows: Any, indent: int | None
) -> None:
    (tmp_path / "x.json").write_text(f" {json.dumps(rows, indent=indent)}\n")
    assert [row for _, row in read("json", "x.json")] == rows


def test_json_rows_have_lines(tmp_path: Path, read: Read) -> None:
    (tmp_path / "x.json").write_bytes(b'\xef\xbb\xbf[\n  {"a":\n 1},\n\n {"b": 2}]')
    assert read("json", "x.json") == [("x.json:2", {"a": 1}), ("x.json:5", {"b": 2})]


ARRAY = "; one array of objects is wanted; for one object a line write source.format: jsonl"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", f"x.json: not a JSON array{ARRAY}"),
        (b'{"a": 1}', f"x.json: not a JSON array{ARRAY}"),
        (b'[{"a": 1}\n{"a": 2}]', f"x.json:2:1: not JSON: a comma or ] is missing{ARRAY}"),
        (b'[{"a": 1},\n 3]', f"x.json:2: the element is no object{ARRAY}"),
        (b'[{"a": 1},\n]', f"x.json:2:1: not JSON: a value is missing{ARRAY}"),
        (b'[{"a": 1},\n', f"x.json:2:1: not JSON: a value is missing{ARRAY}"),
        (b'[\n{"a": 1, "a": 2}]', f"x.json:2:1: not JSON: the key 'a' is given twice{ARRAY}"),
        (b'[\n{"a" 1}]', f"x.json:2:6: not JSON: expecting ':' delimiter{ARRAY}"),
        (b"[]\n[]", f"x.json:2:1: more text after the array{ARRAY}"),
        (b'[{"a": NaN}]', f"x.json:1:2: not JSON: NaN has no place in JSON{ARRAY}"),
        (b'["\xff"]', "x.json: byte 0xff is not UTF-8; save the file as UTF-8"),
        (b"[" * 100_000, f"x.json:1:2: not JSON: it is nested too deep{ARRAY}"),
    ],
)
def test_bad_json_is_said(tmp_path: Path, read: Read, data: bytes, said: str) -> None:
    (tmp_path / "x.json").write_bytes(data)
    assert problem(read, "json", "x.json") == said


# Text


def test_text_files_are_rows(tmp_path: Path, read: Read, make: Callable[..., Any]) -> None:
    (tmp_path / "docs" / "b").mkdir(parents=True)
    (tmp_path / "docs" / "z.md").write_bytes(b"\xef\xbb\xbfone\r\ntwo\n")
    (tmp_path / "docs" / "b" / "a.txt").write_text("ä")
    assert read("text", "docs/**/*.*") == [
        ("docs/b/a.txt", {"path": "b/a.txt", "text": "ä"}),
        ("docs/z.md", {"path": "z.md", "text": "one\r\ntwo\n"}),
    ]
    assert read("text", "docs") == [("docs/z.md", {"path": "z.md", "text": "one\r\ntwo\n"})]
    assert read("text", "docs/z.md")[0][1]["path"] == "z.md"
    assert make("text", "docs").columns() == {"path", "text"}
    (tmp_path / "docs" / "z.md").write_bytes(b"\xff")
    assert problem(read, "text", "docs") == (
        "docs/z.md: byte 0xff is not UTF-8; save the file as UTF-8"
    )


# Parquet


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


def test_bad_parquet_is_said(tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.parquet").write_text("no parquet at all")
    assert problem(read, "parquet", "x.parquet").startswith("x.parquet: cannot be read: ")
    assert "Parquet cannot be read from standard input" in problem(read, "parquet", "-")
    parquet.write_table(pyarrow.table({"n": [1.0, float("inf")]}), tmp_path / "x.parquet")
    assert problem(read, "parquet", "x.parquet") == (
        "x.parquet row 2: column 'n' holds an infinity, which JSON cannot"
    )
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(PluginError, match=r"pip install 'dbrun\[parquet\]'"):
        read("parquet", "x.parquet")
