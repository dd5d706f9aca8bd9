"""Statements through a Spark session: a small double stands for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dbrun.client.sql.spark_sql import SparkSql
from dbrun.client.sql.statements import Bound, SqlFailed


class Frame:
    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self.rows = rows

    def collect(self) -> list[tuple[Any, ...]]:
        return self.rows

    def toLocalIterator(self) -> Iterator[tuple[Any, ...]]:
        yield from self.rows


class JavaError(Exception):
    def getCondition(self) -> str:
        return "TABLE_OR_VIEW_NOT_FOUND"


class Spark:
    def __init__(self, rows: list[tuple[Any, ...]], error: Exception | None = None) -> None:
        self.rows, self.error = rows, error
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def sql(self, statement: str, values: dict[str, Any]) -> Frame:
        self.asked.append((statement, values))
        if self.error is not None:
            raise self.error
        return Frame(self.rows)


def test_values_are_bound() -> None:
    spark = Spark([("a", 1, None)])
    sql = SparkSql(spark)
    given = {"day": Bound(value="x", type="STRING")}
    assert sql.run("SELECT :day", given) == [["a", "1", None]]
    assert spark.asked == [("SELECT :day", {"day": "x"})]


def test_rows_are_streamed() -> None:
    assert list(SparkSql(Spark([("a",), ("b",)])).stream("SELECT 1", {})) == ["a", "b"]


def test_what_fails_is_said_in_one_line() -> None:
    error = JavaError("An error occurred while calling o29.sql.\n: [GONE] There is none.\n\tat x")
    with pytest.raises(SqlFailed, match=r"^\[GONE\] There is none\.$") as caught:
        SparkSql(Spark([], error)).run("SELECT 1", {})
    assert caught.value.code == "TABLE_OR_VIEW_NOT_FOUND"
