"""JSON arrays and text files: what is read, and what is said of bad ones."""

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
def test_bad_json_is_said(tmp_path: Path, problem: Problem, data: bytes, said: str) -> None:
    (tmp_path / "x.json").write_bytes(data)
    assert problem("json", "x.json") == said


def test_text_files_are_rows(
    tmp_path: Path, read: Read, problem: Problem, make: Callable[..., Any]
) -> None:
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
    assert problem("text", "docs") == ("docs/z.md: byte 0xff is not UTF-8; save the file as UTF-8")
