"""From a table of Unity Catalog into another, by the command line, against a fake workspace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.sparkless import ThreadSession
from fakes.warehouse import ID, FakeWarehouse
from fakes.workspace import FakeWorkspace

from dbrun.cli.main import main
from dbrun.run.engines import spark

SPEC = f"""\
name: summaries
vars: {{day: monday}}
source: {{table: main.tickets.open, id: id, where: "day = :day", warehouse_id: {ID}}}
endpoint: {{adapter: databricks, name: chat, task: chat}}
prompt: "{{{{ text }}}}"
sink:
  table: main.tickets.out
  warehouse_id: {ID}
  columns: {{ticket: id, said: output, day: vars.day}}
  key: ticket
journal: {{path: answers}}
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWorkspace]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "spec.yaml").write_text(SPEC)
    with FakeWarehouse() as warehouse, FakeWorkspace() as fake:
        warehouse.table(
            "main.tickets.open",
            "id STRING, text STRING, day STRING",
            ("b", "two", "monday"),
            ("a", "one", "monday"),
            ("c", "three", "sunday"),
        )
        fake.warehouse = warehouse
        for name, value in fake.environ.items():
            monkeypatch.setenv(name, value)
        yield fake


@pytest.mark.parametrize("engine", ["local", "spark"])
def test_from_a_table_into_a_table(
    engine: str,
    workspace: FakeWorkspace,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spark, "require", lambda: None)
    monkeypatch.setattr(spark.SparkRun, "open_session", lambda _: ThreadSession())
    with Path("spec.yaml").open("a") as stream:
        stream.write(f"engine: {engine}\n")
    warehouse = workspace.warehouse
    assert warehouse is not None
    assert main(["validate", "spec.yaml"]) == 0
    assert not workspace.requests, "validating asks nobody"

    assert main(["spec.yaml"]) == 0
    rows = warehouse.rows("main.tickets.out")
    assert [(row["ticket"], row["day"]) for row in rows] == [("a", "monday"), ("b", "monday")]
    assert len(workspace.calls) == 2
    assert "main.tickets.out: 2 rows merged" in capsys.readouterr().err

    manifest = json.loads(Path("answers/summaries.run.json").read_text())
    assert manifest["source"] == {"id": "main.tickets.open", "version": 1}
    assert manifest["table"]["name"] == "main.tickets.out"

    assert main(["spec.yaml", "--var", "day=sunday"]) == 0
    assert [row["ticket"] for row in warehouse.rows("main.tickets.out")] == ["a", "b", "c"]
    assert len(workspace.calls) == 3
    assert main(["verify", "spec.yaml", "--var", "day=sunday"]) == 0
    assert main(["verify", "answers/summaries.jsonl"]) == 0


def test_a_table_that_is_not_there_ends_the_run_before_anything_is_asked(
    workspace: FakeWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["spec.yaml", "--set", "source.table=main.tickets.gone"]) == 3
    said = capsys.readouterr().err
    assert "main.tickets.gone: cannot be read: [TABLE_OR_VIEW_NOT_FOUND]" in said
    assert workspace.calls == []


def test_no_token_is_written_anywhere(workspace: FakeWorkspace, tmp_path: Path) -> None:
    assert main(["spec.yaml", "-v"]) == 0
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert workspace.token.encode() not in path.read_bytes()
