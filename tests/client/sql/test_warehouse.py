"""Statements through a warehouse: parameters, waiting, results in parts, failures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from fakes.warehouse import ID, FakeWarehouse
from fakes.workspace import FakeWorkspace

from dbrun.client.rest import Refused
from dbrun.client.sql.statements import (
    Bound,
    SqlFailed,
    bind,
    latest_version,
    literal,
    quoted,
    table_name,
)
from dbrun.client.sql.warehouse import Warehouse
from dbrun.clock import Clock
from dbrun.context import Context
from dbrun.spec.markers import markers
from dbrun.types import Json


class Quick(Clock):
    """Sleeps no longer than it must."""

    def sleep(self, seconds: float, stop: object = None) -> bool:
        return False


@pytest.fixture
def workspace() -> Iterator[FakeWorkspace]:
    with FakeWarehouse() as warehouse, FakeWorkspace() as fake:
        fake.warehouse = warehouse
        yield fake


@pytest.fixture
def fake(workspace: FakeWorkspace) -> FakeWarehouse:
    assert workspace.warehouse is not None
    return workspace.warehouse


@pytest.fixture
def sql(workspace: FakeWorkspace) -> Iterator[Warehouse]:
    made = Warehouse(ID, Context(environ=workspace.environ, clock=Quick()))
    yield made
    made.close()


def numbers(count: int) -> str:
    return f"SELECT CAST(range AS STRING) AS n FROM range({count}) ORDER BY range"


def test_values_are_bound_and_never_written_into_the_statement(
    sql: Warehouse, fake: FakeWarehouse
) -> None:
    nasty = "x'; DROP TABLE t; -- :n"
    given = {
        "text": Bound(value=nasty, type="STRING"),
        "n": Bound(value=7, type="BIGINT"),
        "x": Bound(value=0.5, type="DOUBLE"),
        "yes": Bound(value=True, type="BOOLEAN"),
        "nothing": Bound(value=None, type="VOID"),
    }
    statement = "SELECT :text, :n + 1, :x, :yes, :nothing IS NULL"
    assert sql.run(statement, given) == [[nasty, "8", "0.5", "True", "True"]]
    (asked,) = fake.statements
    assert asked["statement"] == statement
    assert asked["parameters"] == [
        {"name": "text", "value": nasty, "type": "STRING"},
        {"name": "n", "value": "7", "type": "BIGINT"},
        {"name": "x", "value": "0.5", "type": "DOUBLE"},
        {"name": "yes", "value": "true", "type": "BOOLEAN"},
        {"name": "nothing"},
    ]


def test_a_result_in_parts(sql: Warehouse, fake: FakeWarehouse) -> None:
    fake.chunk = 10
    wanted = [str(number) for number in range(95)]
    assert list(sql.stream(numbers(95), {})) == wanted
    assert [row[0] for row in sql.run(numbers(95), {})] == wanted
    assert list(sql.stream(numbers(0), {})) == []


def test_what_is_pending_is_waited_for(sql: Warehouse, fake: FakeWarehouse) -> None:
    fake.pending = 3
    assert sql.run("SELECT 1", {}) == [["1"]]


def test_links_carry_no_login_and_are_renewed(
    sql: Warehouse, fake: FakeWarehouse, workspace: FakeWorkspace
) -> None:
    fake.chunk, fake.stale_links = 2, 2
    assert list(sql.stream(numbers(3), {})) == ["0", "1", "2"]
    links = [one for one in workspace.requests if one.path.startswith("/external")]
    assert len(links) == 4
    assert not any("authorization" in one.headers for one in links)


def test_links_that_stay_refused(sql: Warehouse, fake: FakeWarehouse) -> None:
    fake.stale_links = 100
    with pytest.raises(SqlFailed, match=r"part 0 of the result .* cannot be fetched: status 403"):
        list(sql.stream(numbers(3), {}))


def test_what_fails_is_said(sql: Warehouse, fake: FakeWarehouse) -> None:
    fake.failures = ["[DIVIDE_BY_ZERO] Division by zero.\n== SQL ==\nSELECT 1/0"]
    with pytest.raises(SqlFailed, match=r"^\[DIVIDE_BY_ZERO\] Division by zero\. == SQL ==") as at:
        sql.run("SELECT 1/0", {})
    assert at.value.code == "DIVIDE_BY_ZERO"


def test_a_warehouse_that_is_not_there(workspace: FakeWorkspace) -> None:
    other = Warehouse("other", Context(environ=workspace.environ, clock=Quick()))
    with pytest.raises(Refused, match="400: other is not a valid endpoint id"):
        other.run("SELECT 1", {})
    other.close()


def test_a_workspace_that_refuses(workspace: FakeWorkspace) -> None:
    environ = {**workspace.environ, "DATABRICKS_TOKEN": "dapi-wrong"}
    other = Warehouse(ID, Context(environ=environ, clock=Quick()))
    with pytest.raises(Exception, match=r"(?i)token|login|refused"):
        other.run("SELECT 1", {})
    other.close()


def test_versions(sql: Warehouse, fake: FakeWarehouse) -> None:
    fake.table("a.b.c", "id STRING", ("x",))
    assert latest_version(sql, "`a`.`b`.`c`") == 1
    fake.views.add("a.b.v")
    assert latest_version(sql, "`a`.`b`.`v`") is None
    with pytest.raises(SqlFailed, match="TABLE_OR_VIEW_NOT_FOUND"):
        latest_version(sql, "`a`.`b`.`d`")


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("SELECT :a, :b_2, :a", ["a", "b_2"]),
        ("SELECT x::int, ':no', \":no\", `:no` -- :no\n, /* :no\n */ :yes", ["yes"]),
        ("SELECT 'it''s :no', 'a \\' :no', :yes", ["yes"]),
        ("SELECT 1", []),
    ],
)
def test_markers(statement: str, names: list[str]) -> None:
    assert markers(statement) == names


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "VOID"),
        (True, "BOOLEAN"),
        (3, "BIGINT"),
        (2**70, "DOUBLE"),
        (0.5, "DOUBLE"),
        ("x", "STRING"),
    ],
)
def test_types_of_variables(value: Json, kind: str) -> None:
    given: Mapping[str, Json] = {"x": value, "other": []}
    assert bind("SELECT :x", given) == {"x": Bound(value=value, type=kind)}


def test_what_cannot_be_bound() -> None:
    with pytest.raises(ValueError, match="x"):
        bind("SELECT :x", {"x": [1]})


def test_names_and_texts_are_quoted() -> None:
    assert table_name("main.my schema.t") == "`main`.`my schema`.`t`"
    assert table_name("main.`a.b`.`c``d`") == "`main`.`a.b`.`c``d`"
    assert quoted("a`b") == "`a``b`"
    assert literal("it's \\") == "'it\\'s \\\\'"
