"""A table of Unity Catalog as a sink, written through a SQL warehouse or a Spark session.

Rows travel as JSON in a bound parameter, and are read there by `from_json` with the types of
the table. What does not fit into one statement goes into a table of its own first, so that the
table itself is written by one statement, which is one transaction, all the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from ..client.sql.statements import (
    Bound,
    Sql,
    SqlFailed,
    latest_version,
    literal,
    open_sql,
    quoted,
    table_name,
)
from ..errors import RunError, SinkError
from ..spec.model import SinkSpec
from ..types import Json
from .base import SinkAround, encode_line
from .published import PublishedSink
from .staged import Staged, StagedRow
from .table import as_text

RUN = "dbrun_run"
"""The column by which an append is known: SQL cannot give a commit an application transaction."""

_OK = "_dbrun_ok"
_MOST = 4 << 20
"""Bytes of rows in one statement: its limit is 16 MiB (Statement Execution API, "statement")."""

_NOT_FOUND = ("TABLE_OR_VIEW_NOT_FOUND", "42P01")
_TYPES = {"string": "STRING", "int64": "BIGINT", "float64": "DOUBLE", "bool_": "BOOLEAN"}
_NUMBERS: Mapping[str, tuple[type, ...]] = {
    "tinyint": (int,),
    "smallint": (int,),
    "int": (int,),
    "bigint": (int,),
    "float": (int, float),
    "double": (int, float),
}


class UnityTableSink(PublishedSink):
    """Merges, overwrites or appends the rows of a run by one statement.

    A table that is not there is made. An append is known by the run's name in the column
    `dbrun_run`, which the table must have: rows of a run that is there are not added again.
    """

    def __init__(self, spec: SinkSpec, around: SinkAround) -> None:
        super().__init__(spec, around)
        self._name = table_name(self.table.name)
        self._sql: Sql = open_sql(self.table.warehouse, around.context)
        self._types: dict[str, str] | None = None

    def begin(self) -> None:
        """See that the table, if it is there, has the columns. Raises `SinkError`."""
        with self._failing("looked at"):
            self._types = self._described()
        if self._types is None:
            return
        there = {name.lower() for name in self._types}
        self.refuse_missing([name for name in self.names if name.lower() in there])
        if self.table.mode == "append" and RUN not in there:
            raise SinkError(
                f"{self.table.name}: mode append needs a column '{RUN}', by which rows of a run "
                "are known to be there",
                f"ALTER TABLE {self._name} ADD COLUMN ({RUN} STRING), or use mode: merge",
            )

    def publish(self, staged: Staged) -> dict[str, Json]:
        """Write the rows by one statement. Raises `SinkError`."""
        with self._failing("written"):
            if self._types is None:
                self._types = self._create(staged)
            if self.table.mode == "append" and (run := self._appended()) is not None:
                return {"appended_by": run}
            with self._source(staged) as (source, parameters):
                self._write(source, parameters)
            told: dict[str, Json] = {"version": latest_version(self._sql, self._name)}
        if self.table.mode == "append":
            told["appended_by"] = self.around.run
        return told

    def close(self) -> None:
        """Let go of the files and of the warehouse."""
        super().close()
        self._sql.close()

    def _described(self) -> dict[str, str] | None:
        """The table's columns and their types; None if it is not there.

        (Databricks SQL reference, "DESCRIBE TABLE": after the columns, what it is partitioned by.)
        """
        try:
            rows = self._sql.run(f"DESCRIBE TABLE {self._name}", {})
        except SqlFailed as error:
            if any(told in f"{error.code} {error.message}" for told in _NOT_FOUND):
                return None
            raise
        types: dict[str, str] = {}
        for name, kind, *_ in rows:
            if not name or name.startswith("#"):
                break
            types[name] = str(kind)
        return types

    def _create(self, staged: Staged) -> dict[str, str]:
        types = {name: _TYPES[staged.kind(name)] for name in self.names}
        if self.table.mode == "append":
            types.setdefault(RUN, "STRING")
        columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in types.items())
        self._sql.run(f"CREATE TABLE IF NOT EXISTS {self._name} ({columns}) USING DELTA", {})
        return types

    def _appended(self) -> str | None:
        """The run by which these rows are in the table already."""
        for run in self.runs:
            statement = f"SELECT count(*) FROM {self._name} WHERE {RUN} = :run"
            rows = self._sql.run(statement, {"run": Bound(value=run, type="STRING")})
            if int(rows[0][0] or 0):
                return run
        return None

    def _write(self, source: str, parameters: Mapping[str, Bound]) -> None:
        mode = self.table.mode
        if mode == "merge":
            self._sql.run(self._merge(source), parameters)
        elif mode == "append":
            names = ", ".join(quoted(name) for name in self.names)
            run = {"run": Bound(value=self.around.run, type="STRING")}
            self._sql.run(
                f"INSERT INTO {self._name} ({names}, {RUN}) SELECT {names}, :run "
                f"FROM {source} AS s "
                f"WHERE NOT EXISTS (SELECT 1 FROM {self._name} WHERE {RUN} = :run)",
                {**parameters, **run},
            )
        else:
            where = self.table.where
            into = f"INSERT OVERWRITE {self._name}"
            if where != "all":
                into = f"INSERT INTO {self._name} REPLACE WHERE {where}\n"
            self._sql.run(f"{into} SELECT {self._in_order()} FROM {source} AS s", parameters)

    def _merge(self, source: str) -> str:
        matched = " AND ".join(f"t.{quoted(name)} = s.{quoted(name)}" for name in self.table.key)
        better = f"s.{quoted(_OK)}"
        if "status" in self.names:
            better += " OR NOT (t.`status` <=> 'ok')"
        taken = ", ".join(f"{quoted(name)} = s.{quoted(name)}" for name in self.names)
        names = ", ".join(quoted(name) for name in self.names)
        values = ", ".join(f"s.{quoted(name)}" for name in self.names)
        return (
            f"MERGE INTO {self._name} AS t USING {source} AS s ON {matched} "
            f"WHEN MATCHED AND ({better}) THEN UPDATE SET {taken} "
            f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})"
        )

    def _in_order(self) -> str:
        """All columns of the table in its order; those that are not written are null."""
        assert self._types is not None
        written = {name.lower() for name in self.names}
        return ", ".join(
            f"s.{quoted(name)}" if name.lower() in written else f"CAST(NULL AS {kind})"
            for name, kind in self._types.items()
        )

    @contextmanager
    def _source(self, staged: Staged) -> Iterator[tuple[str, Mapping[str, Bound]]]:
        """The rows as what SQL selects from: one parameter, or a table of their own for a while."""
        chunks = _chunks(self._texts(staged.rows()))
        first, second = next(chunks, "[]"), next(chunks, None)
        if second is None:
            yield f"({self._parsed()})", {"rows": Bound(value=first, type="STRING")}
            return
        *folder, name = self._name[1:-1].split("`.`")
        mark = hashlib.sha256(self.around.run.encode()).hexdigest()[:12]
        aside = ".".join(quoted(part) for part in (*folder, f"{name}_dbrun_{mark}"))
        kinds = ", ".join(f"{quoted(name)} {kind}" for name, kind in self._kinds().items())
        self._sql.run(f"CREATE OR REPLACE TABLE {aside} ({kinds}) USING DELTA", {})
        try:
            for chunk in (first, second, *chunks):
                rows = {"rows": Bound(value=chunk, type="STRING")}
                self._sql.run(f"INSERT INTO {aside} {self._parsed()}", rows)
            yield aside, {}
        finally:
            with suppress(RunError):
                self._sql.run(f"DROP TABLE IF EXISTS {aside}", {})

    def _parsed(self) -> str:
        """A statement that makes rows of the JSON in the parameter `rows`."""
        fields = ", ".join(f"{quoted(name)}: {kind}" for name, kind in self._kinds().items())
        kind = literal(f"ARRAY<STRUCT<{fields}>>")
        return (
            "SELECT r.* FROM (SELECT explode(from_json("
            f":rows, {kind}, map('mode', 'FAILFAST'))) AS r)"
        )

    def _kinds(self) -> dict[str, str]:
        """The types of the columns that are written, and of the mark of records that are ok."""
        assert self._types is not None
        known = {name.lower(): kind for name, kind in self._types.items()}
        return {**{name: known[name.lower()] for name in self.names}, _OK: "BOOLEAN"}

    def _texts(self, rows: Iterator[StagedRow]) -> Iterator[bytes]:
        kinds = {name: kind.lower() for name, kind in self._kinds().items()}
        for row in rows:
            values = {name: self._fitting(row, name, kinds[name]) for name in self.names}
            yield encode_line({**values, _OK: row.ok}).rstrip(b"\n")

    def _fitting(self, row: StagedRow, name: str, kind: str) -> Json:
        """The value of a column as JSON that `from_json` reads; other types it judges itself."""
        value = row.values.get(name)
        if value is None:
            return None
        if kind == "string":
            return as_text(value)
        wanted = (bool,) if kind == "boolean" else _NUMBERS.get(kind)
        is_fit = wanted is None or (
            isinstance(value, wanted) and isinstance(value, bool) == (kind == "boolean")
        )
        if not is_fit:
            raise SinkError(
                f"{self.table.name}: row '{row.id}' has {as_text(value)[:60]!r} for column "
                f"'{name}', which is {kind}",
                "say by sink.columns what to write; what was answered is kept",
            )
        return value

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        try:
            yield
        except SqlFailed as error:
            raise SinkError(
                f"{self.table.name}: the table cannot be {what}: {error.message}",
                error.hint or "mend that and run the same command again; what was answered is kept",
            ) from error


def _chunks(texts: Iterator[bytes]) -> Iterator[str]:
    """Arrays of JSON with the rows *texts*, each as large as a statement takes."""
    held: list[bytes] = []
    size = 0
    for text in texts:
        if held and size + len(text) > _MOST:
            yield _array(held)
            held, size = [], 0
        held.append(text)
        size += len(text) + 1
    if held:
        yield _array(held)


def _array(texts: Sequence[bytes]) -> str:
    return f"[{b','.join(texts).decode()}]"
