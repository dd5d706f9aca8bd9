"""Tables and queries as sources, by statements that a fake warehouse really runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fakes.warehouse import ID, FakeWarehouse
from fakes.workspace import FakeWorkspace

from dbrun.context import Context
from dbrun.errors import PluginError, RunError, SourceError
from dbrun.sources.base import pin
from dbrun.sources.sql import QuerySource, SqlSource, TableSource

TABLE = "main.tickets.open"


@pytest.fixture
def workspace() -> Iterator[FakeWorkspace]:
    with FakeWarehouse(chunk=2) as warehouse, FakeWorkspace() as fake:
        warehouse.table(
            TABLE,
            "id STRING, n BIGINT, day STRING, tags ARRAY<STRING>",
            ("b", 2, "monday", ["x", "y"]),
            ("a", 1, "sunday", []),
            ("c", None, "monday", None),
        )
        fake.warehouse = warehouse
        yield fake


@pytest.fixture
def fake(workspace: FakeWorkspace) -> FakeWarehouse:
    assert workspace.warehouse is not None
    return workspace.warehouse


def table(workspace: FakeWorkspace, **options: Any) -> TableSource:
    known = {"table": TABLE, "id": "id", "warehouse_id": ID, "vars": {}, **options}
    return TableSource.create(known, Context(environ=workspace.environ))


def query(workspace: FakeWorkspace, text: str, **options: Any) -> QuerySource:
    known = {"query": text, "id": "id", "warehouse_id": ID, "vars": {}, **options}
    return QuerySource.create(known, Context(environ=workspace.environ))


def ids(source: SqlSource) -> list[Any]:
    return [values["id"] for _, values in source.rows()]


def test_rows_come_in_the_order_of_their_ids(workspace: FakeWorkspace) -> None:
    source = table(workspace)
    assert source.digest() is None
    assert list(source.rows()) == [
        (f"{TABLE} row 1", {"id": "a", "n": 1, "day": "sunday", "tags": []}),
        (f"{TABLE} row 2", {"id": "b", "n": 2, "day": "monday", "tags": ["x", "y"]}),
        (f"{TABLE} row 3", {"id": "c", "n": None, "day": "monday", "tags": None}),
    ]
    assert source.digest() is not None


def test_where_is_sql_with_bound_variables(workspace: FakeWorkspace, fake: FakeWarehouse) -> None:
    found = table(workspace, where="day = :day AND n > 0 -- odd", vars={"day": "monday", "x": 1})
    assert ids(found) == ["b"]
    (asked,) = (one for one in fake.statements if "to_json" in one["statement"])
    assert "monday" not in asked["statement"]
    assert asked["parameters"] == [{"name": "day", "value": "monday", "type": "STRING"}]
    assert ids(table(workspace, where="day = :day", vars={"day": "x' OR '1'='1"})) == []


def test_a_limit_is_asked_for(workspace: FakeWorkspace) -> None:
    assert ids(table(workspace, limit=2)) == ["a", "b"]


def test_a_table_is_read_at_one_version(workspace: FakeWorkspace, fake: FakeWarehouse) -> None:
    said = pin(table(workspace))
    assert said == {"id": TABLE, "version": 1}
    fake._execute(f"INSERT INTO {TABLE} VALUES ('d', 4, 'monday', NULL)", {})
    later = table(workspace)
    assert pin(later, said) == said
    assert ids(later) == ["a", "b", "c"]
    assert ids(table(workspace)) == ["a", "b", "c", "d"]
    assert ids(table(workspace, version=0)) == []


def test_a_view_has_no_version(workspace: FakeWorkspace, fake: FakeWarehouse) -> None:
    fake.views.add(TABLE)
    source = table(workspace)
    assert pin(source) == {"id": TABLE, "version": None}
    assert ids(source) == ["a", "b", "c"]


def test_a_time_goes_into_the_statement(workspace: FakeWorkspace) -> None:
    source = table(workspace, timestamp="2026-11-22T00:00:00Z")
    assert pin(source) == {"id": TABLE, "version": None}
    assert "`open` TIMESTAMP AS OF '2026-11-22T00:00:00Z'" in source.statement()


def test_a_query(workspace: FakeWorkspace) -> None:
    text = f"SELECT upper(id) AS id, n FROM {TABLE} WHERE n >= :least -- that is all\n;"
    assert list(query(workspace, text, vars={"least": 2}).rows()) == [
        ("source.query row 1", {"id": "B", "n": 2})
    ]
    assert ids(query(workspace, text, vars={"least": 1}, where="id <> 'B'")) == ["A"]


def test_what_is_wrong_is_said(workspace: FakeWorkspace, fake: FakeWarehouse) -> None:
    with pytest.raises(SourceError, match=r"a\.b\.c: cannot be read: \[TABLE_OR_VIEW_NOT_FOUND\]"):
        pin(table(workspace, table="a.b.c"))
    with pytest.raises(SourceError, match=r"main\.tickets\.open: cannot be read: .*nothing"):
        ids(table(workspace, id="nothing"))
    fake.failures = ["[INSUFFICIENT_PERMISSIONS] You may not."]
    with pytest.raises(SourceError, match=r"source\.query: cannot be read: \[INSUFF.* may not"):
        ids(query(workspace, "SELECT 1 AS id"))


def test_without_a_warehouse_there_must_be_spark(workspace: FakeWorkspace) -> None:
    with pytest.raises((PluginError, RunError), match="warehouse_id"):
        ids(table(workspace, warehouse_id=None))
