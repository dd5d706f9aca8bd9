"""Tables of Unity Catalog as sinks, by statements that a fake warehouse really runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.warehouse import ID, FakeWarehouse
from fakes.workspace import FakeWorkspace

from dbrun.context import Context
from dbrun.errors import SinkError
from dbrun.sinks import unity
from dbrun.sinks.base import SinkAround
from dbrun.sinks.unity import UnityTableSink
from dbrun.spec.model import SinkSpec, TableSpec
from dbrun.spec.prompts import Text
from dbrun.spec.templates import Templates
from dbrun.types import Failure, Mark, Record, StepResult

TABLE = "main.tickets.out"
FIELDS = ("id", "status", "output", "cost", "row")


def text(source: str) -> Text:
    return Text(source=source, name="sink.columns", where=Mark(file="x.yaml", line=3))


def record(name: str, output: Any = "one", **changes: Any) -> Record:
    known: dict[str, Any] = {
        "id": name,
        "index": 0,
        "status": "ok",
        "row": {"day": "2026-11-22"},
        "output": output,
        "last": StepResult(output="one", key="k"),
    }
    return Record(**{**known, **changes})


def failed(name: str) -> Record:
    failure = Failure(kind="timeout", message="late", retryable=True)
    return record(name, None, status="error", failure=failure)


Publish = Callable[..., UnityTableSink]


@pytest.fixture
def fake() -> Iterator[FakeWarehouse]:
    with FakeWarehouse() as warehouse:
        yield warehouse


@pytest.fixture
def publish(tmp_path: Path, fake: FakeWarehouse) -> Iterator[Publish]:
    with FakeWorkspace() as workspace:
        workspace.warehouse = fake

        def run(
            *records: Record, run: str = "r1", earlier: Any = None, **table: Any
        ) -> UnityTableSink:
            known = {"key": ("id",), "fields": FIELDS, "warehouse": ID, **table}
            if known.get("mode", "merge") != "merge":
                known["key"] = ()
            spec = SinkSpec(
                path=str(tmp_path / "journal/x.jsonl"),
                table=TableSpec(kind="table", name=TABLE, **known),
            )
            templates = Templates(project=str(tmp_path), folder=str(tmp_path))
            context = Context(environ=workspace.environ, expression=templates.expression)
            around = SinkAround(
                context=context, variables={"day": "monday"}, run=run, earlier=earlier
            )
            sink = UnityTableSink.create_within(spec, around)
            try:
                sink.open()
                for one in records:
                    sink.write(one)
                sink.commit()
            finally:
                sink.close()
            return sink

        yield run


def outputs(fake: FakeWarehouse) -> dict[str, Any]:
    return {row["id"]: row["output"] for row in fake.rows(TABLE)}


def test_a_table_that_is_not_there_is_made(fake: FakeWarehouse, publish: Publish) -> None:
    sink = publish(record("a", "it's"), record("b", {"x": 1}), failed("c"))
    row = '{"day": "2026-11-22"}'
    assert fake.rows(TABLE) == [
        {"id": "a", "status": "ok", "output": "it's", "cost": None, "row": row},
        {"id": "b", "status": "ok", "output": '{"x": 1}', "cost": None, "row": row},
        {"id": "c", "status": "error", "output": None, "cost": None, "row": row},
    ]
    assert sink.published["rows"] == 3
    assert sink.published["version"] == fake.version(TABLE)


def test_merge_replaces_by_key_but_never_ok_by_not_ok(
    fake: FakeWarehouse, publish: Publish
) -> None:
    publish(record("a", "old"), failed("b"), record("c", "old"), record("d", "old"))
    before = fake.version(TABLE)
    publish(record("a", "new"), record("b", "new"), failed("c"), record("e", "new"), run="r2")
    assert outputs(fake) == {"a": "new", "b": "new", "c": "old", "d": "old", "e": "new"}
    assert fake.version(TABLE) == before + 1


def test_without_a_status_a_failure_replaces_nothing(fake: FakeWarehouse, publish: Publish) -> None:
    columns = {"id": text("id"), "said": text("output")}
    publish(record("a", "old"), failed("b"), columns=columns)
    publish(failed("a"), record("b", "new"), failed("c"), columns=columns, run="r2")
    assert [(row["id"], row["said"]) for row in fake.rows(TABLE)] == [
        ("a", "old"),
        ("b", "new"),
        ("c", None),
    ]


def test_rows_that_no_statement_holds_are_staged(
    fake: FakeWarehouse, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unity, "_MOST", 500)
    publish(record("old"), *(record(f"{number:03d}", number) for number in range(40)))
    before = fake.version(TABLE)
    publish(*(record(f"{number:03d}", number + 1) for number in range(20, 60)), run="r2")
    assert len(fake.rows(TABLE)) == 61
    assert outputs(fake)["020"] == "21"
    assert fake.version(TABLE) == before + 1
    assert fake.tables == [f'"{TABLE}"']
    assert any("CREATE OR REPLACE TABLE" in one["statement"] for one in fake.statements)


def test_what_was_staged_goes_whatever_happens(
    fake: FakeWarehouse, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unity, "_MOST", 500)
    fake.table(TABLE, "id STRING, status STRING, output BIGINT, cost DOUBLE, row STRING")
    many = [record(f"{number:03d}", number) for number in range(40)]
    with pytest.raises(SinkError, match="row 'bad' has 'x' for column 'output', which is bigint"):
        publish(*many, record("bad", "x"))
    assert fake.rows(TABLE) == []
    assert fake.tables == [f'"{TABLE}"']


def test_overwrite_replaces_what_where_says(fake: FakeWarehouse, publish: Publish) -> None:
    fake.table(TABLE, "day STRING, id STRING, n BIGINT", ("monday", "x", 1), ("sunday", "y", 2))
    columns = {"id": text("id"), "day": text("vars.day")}
    publish(record("a"), mode="overwrite", where="day = 'monday'", columns=columns)
    assert fake.rows(TABLE) == [
        {"day": "monday", "id": "a", "n": None},
        {"day": "sunday", "id": "y", "n": 2},
    ]
    with pytest.raises(SinkError, match="DELTA_REPLACE_WHERE_MISMATCH"):
        publish(record("a"), mode="overwrite", where="day = 'sunday'", columns=columns, run="r2")
    assert len(fake.rows(TABLE)) == 2
    publish(record("b"), mode="overwrite", where="all", columns=columns, run="r3")
    assert fake.rows(TABLE) == [{"day": "monday", "id": "b", "n": None}]


def test_append_happens_once_a_run(fake: FakeWarehouse, publish: Publish) -> None:
    first = publish(record("a"), mode="append")
    publish(record("a"), record("late"), mode="append")  # the run was continued
    assert [(row["id"], row["dbrun_run"]) for row in fake.rows(TABLE)] == [("a", "r1")]
    again = publish(record("a"), mode="append", run="r2", earlier={"table": first.published})
    assert again.published["appended_by"] == "r1"
    publish(record("b"), mode="append", run="r3", earlier={"table": again.published})
    assert [(row["id"], row["dbrun_run"]) for row in fake.rows(TABLE)] == [
        ("a", "r1"),
        ("b", "r3"),
    ]


def test_append_wants_its_column(fake: FakeWarehouse, publish: Publish) -> None:
    fake.table(TABLE, "id STRING")
    with pytest.raises(SinkError, match=r"ALTER TABLE `main`.`tickets`.`out` ADD COLUMN"):
        publish(mode="append", columns={"id": text("id")})


def test_a_table_without_the_columns_is_refused_before_anything_is_asked(
    fake: FakeWarehouse, publish: Publish
) -> None:
    fake.table(TABLE, "ID STRING, STATUS STRING")
    with pytest.raises(SinkError, match="has no column 'output', 'cost', 'row'; add"):
        publish()


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        ("BIGINT", 1, True),
        ("BIGINT", True, False),
        ("BIGINT", 1.5, False),
        ("DOUBLE", 1, True),
        ("DOUBLE", "1", False),
        ("BOOLEAN", False, True),
        ("BOOLEAN", 0, False),
        ("STRING", {"a": 1}, True),
    ],
)
def test_values_must_fit(
    fake: FakeWarehouse, publish: Publish, kind: str, value: Any, fits: bool
) -> None:
    fake.table(TABLE, f"id STRING, v {kind}")
    columns = {"id": text("id"), "v": text("output")}
    if fits:
        publish(record("a", value), columns=columns)
        (row,) = fake.rows(TABLE)
        assert row["v"] == (json.dumps(value) if kind == "STRING" else value)
    else:
        with pytest.raises(SinkError, match=r"row 'a' has .* for column 'v', which is"):
            publish(record("a", value), columns=columns)


def test_what_the_warehouse_refuses_is_said(fake: FakeWarehouse, publish: Publish) -> None:
    fake.failures = ["[INSUFFICIENT_PERMISSIONS] User does not have USE SCHEMA on main.tickets."]
    with pytest.raises(SinkError, match=r"main\.tickets\.out: the table cannot be looked at: .INS"):
        publish(record("a"))


def test_no_rows(fake: FakeWarehouse, publish: Publish) -> None:
    assert publish().published["rows"] == 0
    assert fake.rows(TABLE) == []
