"""A run reads one version of a table, and so does whoever continues it or looks at it again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from deltalake import write_deltalake

import dbrun
from dbrun.errors import TooManyFailures
from dbrun.registry import Registry
from dbrun.run.offline.verifying import verify_spec
from dbrun.run.opening import Surroundings

SPEC = """\
name: summarize
source: {path: table, format: delta, id: id}
endpoint: {adapter: python, function: "model:answer"}
prompt: "{{ text }}"
limits: {max_failures: 0, attempts: 1, concurrency: 1}
sink: out.jsonl
"""
MODEL = """\
import os

def answer(prompt):
    if os.path.exists("down"):
        raise RuntimeError("down")
    return prompt.upper()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "model.py").write_text(MODEL)
    append(tmp_path, "a", "b")
    return tmp_path


def append(folder: Path, *ids: str) -> None:
    rows = pyarrow.table({"id": ids, "text": [f"text {one}" for one in ids]})
    write_deltalake(str(folder / "table"), rows, mode="append")


def manifest(folder: Path, name: str = "out.run.json") -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / name).read_text())
    return loaded


def records(folder: Path) -> list[str]:
    return [json.loads(line)["id"] for line in (folder / "out.jsonl").read_text().splitlines()]


def test_a_continuation_reads_the_version_that_was_begun_with(folder: Path) -> None:
    pipeline = dbrun.load("spec.yaml", environ={})
    (folder / "down").touch()
    with pytest.raises(TooManyFailures):
        pipeline.run(environ={})
    begun = manifest(folder, "out.run.json.partial")
    assert begun["source"]["version"] == 0

    append(folder, "c")
    (folder / "down").unlink()
    pipeline.run(environ={})
    assert records(folder) == ["a", "b"]
    finished = manifest(folder)
    assert finished["source"] == begun["source"]
    assert finished["run"] == begun["run"]
    assert finished["digests"]["source"] is not None

    # What has finished is not continued: the next run reads the table as it is now.
    pipeline.run(environ={})
    assert sorted(records(folder)) == ["a", "b", "c"]
    assert manifest(folder)["source"]["version"] == 1


def test_results_are_verified_against_the_version_they_were_made_from(folder: Path) -> None:
    pipeline = dbrun.load("spec.yaml", environ={})
    pipeline.run(environ={})
    append(folder, "c")
    around = Surroundings(environ={}, registry=Registry(entry_points=False))
    assert verify_spec(pipeline.spec, around).agrees
