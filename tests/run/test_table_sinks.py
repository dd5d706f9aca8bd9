"""Runs whose results are a table: partial runs, continuing, asking again, verifying."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

import dbrun
from dbrun.errors import SinkError
from dbrun.registry import Registry
from dbrun.report.summary import describe, summary
from dbrun.run.offline.verifying import verify_spec
from dbrun.run.opening import Surroundings

SPEC = """\
name: summarize
source: {rows: [{id: a, text: one}, {id: b, text: two}], id: id}
endpoint: {adapter: python, function: "model:answer", identity: model}
prompt: "{{ text }}"
limits: {attempts: 1}
gates: {success: {min: 0}}
sink: {path: out/table, format: delta, columns: {said: output, n: text | length}}
journal: {path: journal}
"""
MODEL = """\
import os

def answer(prompt):
    if os.path.exists("down") and prompt == "two":
        raise RuntimeError("down")
    return prompt.upper()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "model.py").write_text(MODEL)
    return tmp_path


def load(**sink: Any) -> dbrun.Pipeline:
    text = SPEC
    for key, value in sink.items():
        text = text.replace("format: delta", f"format: delta, {key}: {value}")
    Path("spec.yaml").write_text(text.replace("text | length", "row.text | length"))
    return dbrun.load("spec.yaml", environ={})


def rows() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = DeltaTable("out/table").to_pyarrow_table().to_pylist()
    return sorted(found, key=lambda row: str(row))


def test_records_and_manifest_lie_with_the_journal(folder: Path) -> None:
    run = load().run(environ={})
    assert rows() == [{"said": "ONE", "n": 3, "id": "a"}, {"said": "TWO", "n": 3, "id": "b"}]
    assert sorted(path.name for path in Path("journal").iterdir()) == [
        "answers.jsonl",
        "summarize.jsonl",
        "summarize.run.json",
    ]
    table = json.loads(Path("journal/summarize.run.json").read_text())["table"]
    assert (table["mode"], table["rows"], table["version"]) == ("merge", 2, 0)
    assert [record["id"] for record in run.results] == ["a", "b"]
    assert "table     out/table: 2 rows merged" in summary(run)
    assert describe(run, "spec.yaml")["table"] == table


def test_a_part_of_the_rows_does_not_go_to_the_table(folder: Path) -> None:
    load().run(environ={}, limit=1)
    assert not Path("out").exists()
    assert Path("journal/summarize.part.jsonl").exists()
    load().run(environ={}, out="elsewhere.jsonl")
    assert not Path("out").exists()


def test_what_failed_is_asked_again(folder: Path) -> None:
    Path("down").touch()
    pipeline = load(errors="errors.jsonl")
    pipeline.run(environ={})
    assert [row["id"] for row in rows()] == ["a"]
    assert len(Path("errors.jsonl").read_text().splitlines()) == 1
    Path("down").unlink()
    run = pipeline.run(environ={}, only_errors=True)
    assert run.manifest["requests"]["sent"] == 1
    assert [row["id"] for row in rows()] == ["a", "b"]
    assert Path("errors.jsonl").read_text() == ""


def test_the_records_are_verified(folder: Path) -> None:
    pipeline = load()
    pipeline.run(environ={})
    around = Surroundings(environ={}, registry=Registry(entry_points=False))
    assert verify_spec(pipeline.spec, around).agrees


def test_an_append_that_was_cut_short_is_continued_once(folder: Path) -> None:
    pipeline = load(mode="append")
    pipeline.run(environ={})
    # As if the run had been killed between the table's commit and the manifest.
    manifest = Path("journal/summarize.run.json")
    manifest.rename(f"{manifest}.partial")
    Path("journal/summarize.jsonl").unlink()
    run = pipeline.run(environ={})
    assert run.manifest["requests"]["sent"] == 0
    assert len(rows()) == 2
    pipeline.run(environ={})
    assert len(rows()) == 2


def test_a_table_that_refuses_leaves_everything_to_the_next_try(folder: Path) -> None:
    load().run(environ={})
    before = Path("journal/summarize.run.json").read_bytes()
    with pytest.raises(SinkError, match=r"out/table: the table cannot be written: .*nothing"):
        load(mode="overwrite", where="nothing = 4").run(environ={})
    assert Path("journal/summarize.run.json").read_bytes() == before
    assert len(rows()) == 2
    run = load(mode="overwrite", where="all").run(environ={})
    assert run.manifest["requests"]["sent"] == 0
    assert [row["said"] for row in rows()] == ["ONE", "TWO"]
