"""Tables of Unity Catalog and queries, read through a SQL warehouse or a Spark session."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, ClassVar

from ..client.sql.statements import (
    SqlFailed,
    bind,
    latest_version,
    literal,
    open_sql,
    quoted,
    table_name,
)
from ..context import Context
from ..errors import SourceError
from ..types import Json

_WAREHOUSE: Mapping[str, Json] = {
    "type": "string",
    "minLength": 1,
    "description": "The SQL warehouse that reads; the Spark session does unless given.",
}


class SqlSource(ABC):
    """Rows that SQL gives, in the order of the `id` column.

    A row comes as the text of a JSON object that the machine which reads it makes: numbers,
    texts, lists and mappings stay what they are, times are ISO 8601 text, binary is base64.
    What is bound to `:name` is the variable of that name; it is never written into the SQL.
    """

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        self._context = context
        self._id: str = options["id"]
        self._where: str | None = options.get("where")
        self._limit: int | None = options.get("limit")
        self._warehouse: str | None = options.get("warehouse_id")
        self._variables: Mapping[str, Json] = options.get("vars") or {}
        self._digest: str | None = None
        self.folder: str | None = None

    @property
    @abstractmethod
    def name(self) -> str:
        """How messages call what is read."""

    @abstractmethod
    def base(self) -> str:
        """A statement that gives the rows in any order."""

    def rows(self) -> Iterator[tuple[str, Mapping[str, Json]]]:
        """The rows, in the order of their ids. Raises `SourceError`."""
        digest = hashlib.sha256()
        statement = self.statement()
        try:
            with closing(open_sql(self._warehouse, self._context)) as sql:
                texts = sql.stream(statement, bind(statement, self._variables))
                for number, text in enumerate(texts, 1):
                    digest.update(text.encode("utf-8", "surrogatepass") + b"\n")
                    yield f"{self.name} row {number}", json.loads(text)
        except SqlFailed as error:
            raise self.unreadable(error) from error
        self._digest = digest.hexdigest()

    def statement(self) -> str:
        """The statement whose only column are the rows as texts."""
        where = f"\nWHERE ({self._where}\n)" if self._where is not None else ""
        limit = f"\nLIMIT {self._limit}" if self._limit is not None else ""
        return (
            "SELECT to_json(struct(q.*), map('ignoreNullFields', 'false')) AS row\n"
            f"FROM ({self.base()}{where}\n) AS q\nORDER BY q.{quoted(self._id)}{limit}"
        )

    def unreadable(self, error: SqlFailed) -> SourceError:
        """What it means that a statement failed."""
        return SourceError(f"{self.name}: cannot be read: {error.message}", error.hint)

    def columns(self) -> frozenset[str] | None:
        """None: only the workspace would tell."""
        return None

    def count(self) -> int | None:
        """Not known before the statement has run."""
        return None

    def digest(self) -> str | None:
        """The SHA-256 of the rows as they came; None before all are read."""
        return self._digest


class TableSource(SqlSource):
    """A table or view of Unity Catalog. A run reads a table at the version it had when the run
    began, and so does whoever continues it; views have none."""

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["table"],
        "properties": {
            "table": {
                "type": "string",
                "minLength": 1,
                "description": "catalog.schema.name.",
            },
            "warehouse_id": _WAREHOUSE,
            "version": {
                "type": "integer",
                "minimum": 0,
                "description": "The version to read; the newest unless given.",
            },
            "timestamp": {"type": "string", "description": "The time at which it is read."},
        },
        "not": {"required": ["version", "timestamp"]},
        "x-message": "takes a version or a timestamp, not both",
        "x-hint": "keep one",
    }

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        super().__init__(options, context)
        self._table: str = options["table"]
        self._version: int | None = options.get("version")
        self._timestamp: str | None = options.get("timestamp")
        self._is_pinned = False

    @classmethod
    def create(cls, options: Mapping[str, Any], context: Context) -> TableSource:
        """A source from its options, already valid. Reads nothing yet."""
        return cls(options, context)

    @property
    def name(self) -> str:
        """The table's name."""
        return self._table

    def pin(self, recorded: Json) -> Json:
        """Settle on one version: that of *recorded*, if it is of this table. What is read by a
        timestamp is settled, and what has no versions is not. Raises `SourceError`."""
        self._is_pinned = True
        if isinstance(recorded, Mapping) and recorded.get("id") == self._table:
            self._version = recorded.get("version")
        elif self._version is None and self._timestamp is None:
            try:
                with closing(open_sql(self._warehouse, self._context)) as sql:
                    self._version = latest_version(sql, table_name(self._table))
            except SqlFailed as error:
                raise self.unreadable(error) from error
        return {"id": self._table, "version": self._version}

    def base(self) -> str:
        """The table at its version."""
        if not self._is_pinned:
            self.pin(None)
        at = ""
        if self._version is not None:
            at = f" VERSION AS OF {self._version}"
        elif self._timestamp is not None:
            at = f" TIMESTAMP AS OF {literal(self._timestamp)}"
        return f"SELECT * FROM {table_name(self._table)}{at}"


class QuerySource(SqlSource):
    """What a SELECT gives."""

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["query"],
        "properties": {
            "query": {
                "type": "string",
                "minLength": 1,
                "description": "A SELECT statement; :name is bound to vars.name.",
            },
            "warehouse_id": _WAREHOUSE,
        },
    }

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        super().__init__(options, context)
        self._query: str = options["query"]

    @classmethod
    def create(cls, options: Mapping[str, Any], context: Context) -> QuerySource:
        """A source from its options, already valid. Reads nothing yet."""
        return cls(options, context)

    @property
    def name(self) -> str:
        """What the query is called."""
        return "source.query"

    def base(self) -> str:
        """The query as a table."""
        query = self._query.strip().rstrip(";").rstrip()
        return f"SELECT * FROM (\n{query}\n) AS given"
