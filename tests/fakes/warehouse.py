"""A SQL warehouse that runs the statements it is sent: Databricks SQL, translated for DuckDB.

    with FakeWarehouse() as warehouse:
        warehouse.table("main.tickets.open", "id STRING, n BIGINT", ("a", 1), ("b", 2))
        workspace.warehouse = warehouse

Statements are read by sqlglot in the dialect of Databricks, so that what is no Databricks SQL is
refused. Tables keep their versions. *pending* is how often a statement is not over yet when it is
asked for, *chunk* how many rows a part of a result has; *failures* are answered one by one instead
of what is asked.
"""

from __future__ import annotations

import json
import re
import threading
from typing import Any

import duckdb
import sqlglot
from fakes.server import Received, Reply, as_json
from sqlglot import exp

ID = "abcdef0123456789"

_HISTORY = re.compile(r"DESCRIBE HISTORY (\S+) LIMIT 1\Z")
_DESCRIBE = re.compile(r"DESCRIBE TABLE (\S+)\Z")
_REPLACE = re.compile(r"INSERT INTO (\S+) REPLACE WHERE (.*?)\n (SELECT .*)\Z", re.DOTALL)
_OVERWRITE = re.compile(r"INSERT OVERWRITE (\S+) (SELECT .*)\Z", re.DOTALL)
_TYPES = {"VARCHAR": "string", "BIGINT": "bigint", "DOUBLE": "double", "INTEGER": "int"}


class Failed(Exception):
    """What a statement fails with, as the API says it."""


class FakeWarehouse:
    """Catalogs, schemas and tables, and the REST API over them."""

    def __init__(self, *, pending: int = 0, chunk: int = 1000) -> None:
        self.pending = pending
        self.chunk = chunk
        self.statements: list[dict[str, Any]] = []
        self.failures: list[str] = []
        self.views: set[str] = set()
        self.stale_links = 0
        self._results: dict[str, dict[str, Any]] = {}
        self._versions: dict[str, int] = {}
        self._lock = threading.RLock()
        self._db = duckdb.connect(":memory:")

    def __enter__(self) -> FakeWarehouse:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    # --- what a test sets up and looks at ---------------------------------------------------------

    def table(self, name: str, columns: str, *rows: tuple[Any, ...]) -> None:
        """Make a table of *rows*."""
        self._execute(f"CREATE TABLE {name} ({columns}) USING DELTA", {})
        if rows:
            marks = ", ".join("?" for _ in rows[0])
            self._db.executemany(f"INSERT INTO {_flat(name)} VALUES ({marks})", rows)
            self._written(_flat(name))

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table, in the order of their first columns."""
        found = self._db.execute(f"SELECT * FROM {_flat(name)} ORDER BY 1")
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def version(self, name: str) -> int:
        """The version that a table is at."""
        return self._versions[_flat(name)]

    @property
    def tables(self) -> list[str]:
        """The names of the tables."""
        return sorted(self._versions)

    # --- the API ----------------------------------------------------------------------------------

    def answer(self, request: Received, parts: list[str], url: str) -> Reply:
        """`/api/2.0/sql/statements…`."""
        with self._lock:
            if request.method == "POST" and not parts:
                return self._post(request.json, url)
            result = self._results.get(parts[0]) if parts else None
            if result is None:
                message = f"The statement {parts[0]} was not found."
                return as_json({"error_code": "NOT_FOUND", "message": message}, 404)
            if parts[1:3] == ["result", "chunks"]:
                return as_json(self._chunk(result, int(parts[3])))
            return self._state(result)

    def link(self, request: Received, parts: list[str]) -> Reply:
        """What a link of a result leads to, which is storage of its own: it wants no login."""
        if "authorization" in request.headers:
            return Reply(400, b"<Error><Code>InvalidArgument</Code></Error>")
        if self.stale_links:
            self.stale_links -= 1
            return Reply(403, b"<Error><Message>Request has expired</Message></Error>")
        rows = self._results[parts[0]]["chunks"][int(parts[1])]
        return Reply(200, json.dumps(rows, separators=(",", ":")).encode())

    def _post(self, asked: dict[str, Any], url: str) -> Reply:
        if asked["warehouse_id"] != ID:
            message = f"{asked['warehouse_id']} is not a valid endpoint id."
            return as_json({"error_code": "INVALID_PARAMETER_VALUE", "message": message}, 400)
        assert asked["format"] == "JSON_ARRAY"
        assert asked["on_wait_timeout"] == "CONTINUE"
        self.statements.append(asked)
        name = f"01ef-{len(self.statements):04d}"
        result: dict[str, Any] = {
            "id": name,
            "pending": self.pending,
            "url": url,
            "links": asked["disposition"] == "EXTERNAL_LINKS",
        }
        self._results[name] = result
        values = {one["name"]: _value(one) for one in asked["parameters"]}
        try:
            if self.failures:
                raise Failed(self.failures.pop(0))
            rows = self._execute(asked["statement"], values)
            texts = [[None if one is None else _text(one) for one in row] for row in rows]
            chunks = [texts[at : at + self.chunk] for at in range(0, len(texts), self.chunk)]
            result["chunks"] = chunks or [[]]
        except (Failed, duckdb.Error, sqlglot.errors.SqlglotError) as error:
            result["error"] = str(error)
        return self._state(result)

    def _state(self, result: dict[str, Any]) -> Reply:
        said: dict[str, Any] = {"statement_id": result["id"]}
        if result["pending"]:
            result["pending"] -= 1
            return as_json(
                {**said, "status": {"state": ("RUNNING", "PENDING")[result["pending"] % 2]}}
            )
        if "error" in result:
            error = {"error_code": "BAD_REQUEST", "message": result["error"]}
            return as_json({**said, "status": {"state": "FAILED", "error": error}})
        first = self._chunk(result, 0)
        return as_json({**said, "status": {"state": "SUCCEEDED"}, "result": first})

    def _chunk(self, result: dict[str, Any], number: int) -> dict[str, Any]:
        told: dict[str, Any] = {"chunk_index": number}
        if number + 1 < len(result["chunks"]):
            path = f"/api/2.0/sql/statements/{result['id']}/result/chunks/{number + 1}"
            told |= {"next_chunk_index": number + 1, "next_chunk_internal_link": path}
        if not result["links"]:
            return {**told, "data_array": result["chunks"][number]}
        if not result["chunks"][number]:
            return {}
        link = f"{result['url']}/external/{result['id']}/{number}"
        return {"external_links": [{**told, "external_link": link}]}

    # --- SQL --------------------------------------------------------------------------------------

    def _execute(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        if found := _HISTORY.match(statement):
            return self._history(found[1])
        if found := _DESCRIBE.match(statement):
            return self._describe(found[1])
        if found := _REPLACE.match(statement):
            return self._replace(found[1], found[2], found[3], values)
        if found := _OVERWRITE.match(statement):
            return self._replace(found[1], "true", found[2], values)
        tree = sqlglot.parse_one(statement, read="databricks")
        written = (tree.this or tree).find(exp.Table)
        is_write = isinstance(tree, (exp.Insert, exp.Merge, exp.Create, exp.Drop))
        rows = self._ask(tree.transform(self._translated).sql("duckdb"), values)
        if is_write:
            name = f'"{_joined(written)}"'
            if isinstance(tree, exp.Drop):
                self._versions.pop(name, None)
            else:
                self._written(name)
        return rows

    def _ask(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        used = {name: value for name, value in values.items() if f"${name}" in statement}
        return self._db.execute(statement, used or None).fetchall()

    def _translated(self, node: Any) -> Any:
        if isinstance(node, exp.Table) and node.catalog:
            return self._table(node)
        if isinstance(node, exp.Create) and node.args.get("properties"):
            node.set("properties", None)
            return node
        if isinstance(node, exp.Explode):
            return _unnest(node)
        if isinstance(node, exp.JSONFormat):
            return exp.cast(exp.func("to_json", exp.column("q")), "VARCHAR")
        return node

    def _table(self, node: exp.Table) -> exp.Table:
        name = _joined(node)
        version = node.args.get("version")
        if version is not None:
            number = version.expression.name or version.expression.sql()
            name = f"{name}@{number}"
        made = exp.Table(this=exp.to_identifier(name, quoted=True))
        if node.alias:
            made.set("alias", exp.TableAlias(this=exp.to_identifier(node.alias)))
        return made

    def _history(self, name: str) -> list[tuple[Any, ...]]:
        flat = _flat(name)
        if name.replace("`", "") in self.views:
            raise Failed("[EXPECT_TABLE_NOT_VIEW.NO_ALTERNATIVE] a table is wanted")
        self._find(flat)
        return [(self._versions[flat], "2026-11-22T00:00:00Z", "WRITE")]

    def _describe(self, name: str) -> list[tuple[Any, ...]]:
        flat = _flat(name)
        self._find(flat)
        columns = self._db.execute(f"DESCRIBE {flat}").fetchall()
        told = [(name, _TYPES.get(kind, kind.lower()), None) for name, kind, *_ in columns]
        return [*told, ("# Partition Information", "", ""), ("# col_name", "data_type", "comment")]

    def _find(self, flat: str) -> None:
        if flat not in self._versions:
            shown = flat.strip('"')
            raise Failed(f"[TABLE_OR_VIEW_NOT_FOUND] The table or view {shown} cannot be found.")

    def _replace(
        self, name: str, where: str, select: str, values: dict[str, Any]
    ) -> list[tuple[Any, ...]]:
        """What must hold of the rows is seen to before any goes (Delta Lake: `replaceWhere`)."""
        flat = _flat(name)
        tree = sqlglot.parse_one(select, read="databricks").transform(self._translated)
        condition = sqlglot.parse_one(where, read="databricks").sql("duckdb")
        self._db.execute("BEGIN")
        try:
            self._db.execute(f"CREATE TEMP TABLE fresh AS SELECT * FROM {flat} LIMIT 0")
            self._ask(f"INSERT INTO fresh {tree.sql('duckdb')}", values)
            odd = self._db.execute(f"SELECT count(*) FROM fresh WHERE NOT ({condition})").fetchone()
            if odd and odd[0]:
                raise Failed("[DELTA_REPLACE_WHERE_MISMATCH] Written data does not conform")
            self._db.execute(f"DELETE FROM {flat} WHERE {condition}")
            self._db.execute(f"INSERT INTO {flat} SELECT * FROM fresh")
            self._db.execute("DROP TABLE fresh")
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._written(flat)
        return []

    def _written(self, flat: str) -> None:
        """A table has a version more."""
        version = self._versions[flat] = self._versions.get(flat, -1) + 1
        kept = f'"{flat[1:-1]}@{version}"'
        self._db.execute(f"CREATE OR REPLACE TABLE {kept} AS SELECT * FROM {flat}")


def _joined(table: exp.Table) -> str:
    return ".".join(part for part in (table.catalog, table.db, table.name) if part)


def _flat(name: str) -> str:
    """The one name that DuckDB knows a table of a catalog and a schema by."""
    plain = name.replace("`", "")
    return f'"{plain}"'


def _unnest(node: Any) -> Any:
    """`explode(from_json(:rows, 'ARRAY<STRUCT<…>>', …))` for DuckDB, which describes it in JSON."""
    schema = next(one.name for one in node.find_all(exp.Literal) if "STRUCT" in one.name)
    fields = re.findall(r"`((?:[^`]|``)+)`: ([^,>]+(?:\([^)]*\))?)", schema)
    kinds = {
        name.replace("``", "`"): exp.DataType.build(kind, dialect="databricks").sql("duckdb")
        for name, kind in fields
    }
    described = exp.Literal.string(json.dumps([kinds]))
    rows = exp.Cast(this=exp.Placeholder(this="rows"), to=exp.DataType.build("JSON"))
    return exp.Unnest(expressions=[exp.func("from_json_strict", rows, described)])


def _value(parameter: dict[str, Any]) -> Any:
    """A parameter as the warehouse casts it."""
    text, kind = parameter.get("value"), parameter.get("type", "STRING")
    if text is None or kind == "STRING":
        return text
    if kind == "BOOLEAN":
        return {"true": True, "false": False}[text]
    return {"BIGINT": int, "DOUBLE": float}[kind](text)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
