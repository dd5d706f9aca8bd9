"""Volumes of a workspace from a machine that has not mounted them, through the Files API."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.server import Reply, as_json
from fakes.volumes import VOLUME, FakeVolumes
from fakes.workspace import FakeWorkspace

ROWS = "".join(json.dumps({"id": f"T-{n}", "text": f"ticket number {n}"}) + "\n" for n in range(10))
BUSY = {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "try later"}


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DBRUN_SPOOL", str(tmp_path / "spool"))
    return tmp_path / "spool"


@pytest.fixture
def volumes(
    workspace: FakeWorkspace, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeVolumes]:
    for name, value in workspace.environ.items():
        monkeypatch.setenv(name, value)
    yield workspace.volumes
    left = [path for path in spool.rglob("*") if path.is_file() and "brought" in str(path)]
    assert left == []


def reading(project: Any, path: str, **options: Any) -> None:
    """A spec whose source is at *path*."""
    source = json.dumps({"path": path, **options})
    project.write(
        "tickets.yaml",
        "name: tickets\n"
        f"source: {source}\n"
        "endpoint: {adapter: databricks, name: chat, task: chat}\n"
        'prompt: "Summarize: {{ text }}"\n'
        "sink: out/tickets.jsonl\n",
    )


def test_one_file(project: Any, volumes: FakeVolumes) -> None:
    volumes.put(f"{VOLUME}/in/rows.jsonl", ROWS)
    reading(project, f"{VOLUME}/in/rows.jsonl", id="id")
    assert project.run("tickets.yaml").code == 0
    there = project.bytes()
    reading(project, "rows.jsonl", id="id")
    done = project.run("tickets.yaml", "--json", "--quiet")
    assert done.summary["requests"]["sent"] == 0
    assert project.bytes() == there


def test_a_glob_over_pages(project: Any, volumes: FakeVolumes) -> None:
    volumes.page = 2
    for day in range(5):
        row = json.dumps({"id": f"T-{day}", "text": "x"})
        packed = gzip.compress(row.encode() + b"\n")
        volumes.put(f"{VOLUME}/in/2026/{day}/rows é [1].jsonl.gz", packed)
    volumes.put(f"{VOLUME}/in/2026/1/.hidden.jsonl.gz", "nonsense")
    volumes.put(f"{VOLUME}/in/other.txt", "nonsense")
    reading(project, f"{VOLUME}/in/**/*.jsonl.gz", id="id")
    assert project.run("tickets.yaml").code == 0
    assert [record["id"] for record in project.records()] == [f"T-{day}" for day in range(5)]


def test_a_folder_of_texts_has_the_paths_that_it_has_there(
    project: Any, volumes: FakeVolumes
) -> None:
    volumes.put(f"{VOLUME}/notes/a.txt", "one")
    volumes.put(f"{VOLUME}/notes/b.txt", "two")
    reading(project, f"{VOLUME}/notes", format="text")
    assert project.run("tickets.yaml").code == 0
    assert [record["row"]["path"] for record in project.records()] == ["a.txt", "b.txt"]


def test_parquet(project: Any, volumes: FakeVolumes) -> None:
    import pyarrow
    from pyarrow import parquet

    path = project.folder / "rows.parquet"
    parquet.write_table(pyarrow.table({"id": ["a", "b"], "text": ["x", "y"]}), path)
    volumes.put(f"{VOLUME}/rows.parquet", path.read_bytes())
    reading(project, f"{VOLUME}/rows.parquet", id="id")
    assert project.run("tickets.yaml").code == 0
    assert [record["row"]["text"] for record in project.records()] == ["x", "y"]


def test_a_download_that_breaks_is_gone_on_with(project: Any, volumes: FakeVolumes) -> None:
    rows = ROWS + "\n" * 1_600_000
    volumes.put(f"{VOLUME}/rows.jsonl", rows)
    half = Reply(
        200,
        rows.encode(),
        {"last-modified": "Mon, 01 Jan 2029 00:00:00 GMT"},
        cut=1_300_000,
    )
    volumes.fail("GET", "rows.jsonl", as_json(BUSY, 503, retry_after="0"), half)
    reading(project, f"{VOLUME}/rows.jsonl", id="id")
    assert project.run("tickets.yaml").code == 0
    assert len(project.records()) == 10
    assert volumes.given < 1_000_000  # the rest only


def test_an_old_token_is_renewed(
    project: Any, workspace: FakeWorkspace, volumes: FakeVolumes, monkeypatch: pytest.MonkeyPatch
) -> None:
    volumes.put(f"{VOLUME}/rows.jsonl", ROWS)
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", "client-id-1")
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", "client-secret-1")
    refused = as_json({"error_code": "403", "message": "Invalid access token."}, 403)
    silent = Reply(403, b"", {})
    volumes.fail("HEAD", "rows.jsonl", silent)
    volumes.fail("GET", "v", refused)
    volumes.fail("GET", "rows.jsonl", refused)
    reading(project, f"{VOLUME}/rows.jsonl", id="id")
    assert project.run("tickets.yaml").code == 0
    assert workspace.tokens_given >= 3


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("in/row.jsonl", "there is no such file; did you mean 'rows.jsonl'?"),
        ("in/other.csv.jsonl.gz", "there is no such file; its folder has rows.jsonl"),
        ("none/rows.jsonl", "there is no such file; nor is there a folder none"),
        ("in/*.csv", "no file fits; check source.path"),
        ("../closed/rows.jsonl", "User does not have READ VOLUME on Volume 'main.default.closed'."),
        ("../gone/rows.jsonl", "there is no such file; nor is there a folder gone"),
    ],
)
def test_what_cannot_be_read_is_said(
    project: Any, volumes: FakeVolumes, path: str, said: str
) -> None:
    volumes.put(f"{VOLUME}/in/rows.jsonl", ROWS)
    volumes.volumes.add("/Volumes/main/default/closed")
    volumes.closed.add("/Volumes/main/default/closed")
    reading(project, f"{VOLUME}/{path}", id="id")
    ended = project.run("tickets.yaml")
    assert ended.code == 3
    assert f"{os.path.normpath(f'{VOLUME}/{path}')}: " in ended.err
    assert said.rstrip(".") in ended.err
    assert "Traceback" not in ended.err


def test_without_a_workspace_it_is_said_what_is_missing(
    project: Any, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading(project, f"{VOLUME}/rows.jsonl", id="id")
    ended = project.run(
        "tickets.yaml", "--set", "endpoint={adapter: python, function: 'json:dumps'}"
    )
    assert ended.code == 3
    assert f"{VOLUME}/rows.jsonl is on a volume, which is not mounted here" in ended.err
    assert "set DATABRICKS_HOST" in ended.err
