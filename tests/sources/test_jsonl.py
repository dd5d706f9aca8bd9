"""JSON Lines: what is read, and what is said of bad lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.json_values import JSON_VALUES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Read = Callable[..., Any]
Problem = Callable[..., str]

LENIENT = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
ROWS = st.lists(st.dictionaries(st.text(), JSON_VALUES, max_size=4), max_size=5)


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
        (b'{"a":' + b"[" * 300 + b"]" * 300 + b"}", f"not JSON: it is nested too deep{WANTED}"),
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
def test_bad_lines_are_said(tmp_path: Path, problem: Problem, line: bytes, said: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.jsonl").write_bytes(b'{"ok": 1}\n\n' + line + b"\n{}\n")
    assert problem("jsonl", "data/x.jsonl") == f"data/x.jsonl:3: {said}"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ('{"a": 1}\n'.encode("utf-16"), "x.jsonl:1: the file is UTF-16; save the file as UTF-8"),
        (b'[\n{"a": 1}\n]\n', "for a file that is one JSON array, write source.format: json"),
    ],
)
def test_files_of_another_kind_are_said(
    tmp_path: Path, problem: Problem, data: bytes, said: str
) -> None:
    (tmp_path / "x.jsonl").write_bytes(data)
    assert said in problem("jsonl", "x.jsonl")


def test_jsonl_columns_are_those_of_the_first_rows(
    tmp_path: Path, make: Callable[..., Any]
) -> None:
    (tmp_path / "x.jsonl").write_text('\n{"a": 1, "b": 2}\nnonsense')
    assert make("jsonl", "x.jsonl").columns() == {"a", "b"}
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n' * 9 + '{"b": 1}\n{"late": 1}\n')
    assert make("jsonl", "x.jsonl").columns() == {"a", "b"}
    (tmp_path / "x.jsonl").write_text("")
    assert make("jsonl", "x.jsonl").columns() is None
