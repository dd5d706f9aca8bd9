"""SQL of Databricks: what speaks it, and how names and values are written into it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from ...context import Context
from ...errors import RunError
from ...frozen import frozen
from ...spec.markers import markers
from ...types import Json

_PART = re.compile(r"`((?:[^`]|``)+)`|([^.`]+)")
_HAS_NO_HISTORY = re.compile(
    r"TABLE_NOT_VIEW|DELTA_ONLY|NOT_A_DELTA|is not a Delta table|only supported for"
)


class SqlFailed(RunError):
    """A statement failed; *code* is the error class or SQLSTATE where it is told."""

    def __init__(self, message: str, hint: str = "", *, code: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


@frozen
class Bound:
    """A value for a parameter marker, and its type in SQL."""

    value: Json
    type: str


class Sql(Protocol):
    """Something that runs statements of Databricks SQL, one after the other.

    Markers like `:name` are bound to *parameters* by the machine that runs the statement: values
    are never written into it. Statements raise `SqlFailed`.
    """

    def run(self, statement: str, parameters: Mapping[str, Bound]) -> list[list[str | None]]:
        """Run *statement* to its end; its rows, as texts. For statements with few rows."""

    def stream(self, statement: str, parameters: Mapping[str, Bound]) -> Iterator[str]:
        """The texts in the only column of *statement*'s rows, in order and however many."""

    def close(self) -> None:
        """Let go of whatever was opened."""


def open_sql(warehouse: str | None, context: Context) -> Sql:
    """The warehouse of that id, or the Spark session there is. Asks for nothing yet."""
    if warehouse is not None:
        from .warehouse import Warehouse

        return Warehouse(warehouse, context)
    from .spark_sql import SparkSql

    return SparkSql()


def latest_version(sql: Sql, table: str) -> int | None:
    """The version that *table* (quoted) is at; None for what has none: a view, a foreign table.

    (Databricks SQL reference, "DESCRIBE HISTORY": the newest version first, its number first.)
    """
    try:
        rows = sql.run(f"DESCRIBE HISTORY {table} LIMIT 1", {})
    except SqlFailed as error:
        if _HAS_NO_HISTORY.search(f"{error.code} {error.message}"):
            return None
        raise
    return int(rows[0][0] or 0) if rows else None


def table_name(written: str) -> str:
    """*written* (`catalog.schema.name`, `` `…` `` around a part or not), quoted."""
    parts = [(first or second).replace("``", "`") for first, second in _PART.findall(written)]
    return ".".join(quoted(part) for part in parts)


def quoted(name: str) -> str:
    """*name* as an identifier."""
    escaped = name.replace("`", "``")
    return f"`{escaped}`"


def literal(text: str) -> str:
    """*text* as a string of SQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def bind(statement: str, variables: Mapping[str, Json]) -> dict[str, Bound]:
    """What the markers of *statement* stand for: the variables of their names.

    Raises:
        KeyError: there is no such variable.
        ValueError: a variable is a list or a mapping.
    """
    return {name: _bound(name, variables[name]) for name in markers(statement)}


def _bound(name: str, value: Json) -> Bound:
    for kind, type_ in _TYPES:
        if kind(value):
            return Bound(value=value, type=type_)
    raise ValueError(name)


_TYPES: tuple[tuple[Callable[[Json], bool], str], ...] = (
    (lambda value: value is None, "VOID"),
    (lambda value: isinstance(value, bool), "BOOLEAN"),
    (lambda value: isinstance(value, int) and -(2**63) <= value < 2**63, "BIGINT"),
    (lambda value: isinstance(value, (int, float)), "DOUBLE"),
    (lambda value: isinstance(value, str), "STRING"),
)
