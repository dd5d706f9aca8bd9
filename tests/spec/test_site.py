"""Where a spec stands: its project, and how what it names is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbrun.spec.formats import format_of, format_on_disk
from dbrun.spec.site import find_project


@pytest.mark.parametrize("marker", [".git", "pyproject.toml", "databricks.yml"])
def test_the_project_is_the_nearest_folder_with_a_marker(marker: str, tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (tmp_path / "a" / marker).touch()
    assert find_project(str(deep)) == str(tmp_path / "a")
    (tmp_path / "a" / "b" / "pyproject.toml").touch()
    assert find_project(str(deep)) == str(tmp_path / "a" / "b")
    assert find_project(str(tmp_path / "a" / "b")) == str(tmp_path / "a" / "b")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.jsonl", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.JSON", "json"),
        ("dir.x/a.csv", "csv"),
        ("a.tsv.gz", "csv"),
        ("a.parquet", "parquet"),
        ("a.txt.zst", "text"),
        ("**/*.md", "text"),
        ("a.gz", None),
        ("a", None),
        (".jsonl", None),
        ("a.xml", None),
        ("", None),
    ],
)
def test_formats_by_extension(path: str, found: str | None) -> None:
    assert format_of(path) == found


def test_formats_by_what_is_there(tmp_path: Path) -> None:
    for name in ("one/a.jsonl", "one/b.ndjson", "one/.hidden.txt", "two/a.csv", "two/b.json"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "empty").mkdir()
    assert format_on_disk(str(tmp_path / "one")) == "jsonl"
    assert format_on_disk(str(tmp_path / "one" / "*")) == "jsonl"
    assert format_on_disk(str(tmp_path / "two")) is None
    assert format_on_disk(str(tmp_path / "two" / "a*")) == "csv"
    assert format_on_disk(str(tmp_path / "empty")) is None
    assert format_on_disk(str(tmp_path / "nowhere")) is None
