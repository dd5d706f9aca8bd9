"""A Delta table in a folder as a sink, written without a JVM."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..client.delta import is_delta, library, open_table, reason, storage_options
from ..errors import DbrunError, SinkError
from ..files import shown
from ..spec.model import SinkSpec
from ..types import Json
from .arrow import arrow_batches
from .base import SinkAround
from .published import PublishedSink
from .staged import Staged

_OK = "_dbrun_ok"
"""A column of the merged rows that the table does not have: whether the record is ok."""


class DeltaSink(PublishedSink):
    """Merges, overwrites or appends the rows of a run, in one commit of the table's log.

    A table that is not there is made. An append is known by the application transaction that
    its commit carries (Delta transaction protocol, "Transaction identifiers"): a commit of the
    same run is found in the log and not repeated, and the table needs no column for it.
    """

    def __init__(self, spec: SinkSpec, around: SinkAround) -> None:
        super().__init__(spec, around)
        self._path = self.table.name
        self._shown = shown(self._path, around.context.project)
        self._trouble: SinkError | None = None

    def begin(self) -> None:
        """See that the table, if it is there, has the columns. Raises `SinkError`."""
        library()
        if is_delta(self._path):
            with self._failing("opened"):
                fields = open_table(self._path).schema().fields
            self.refuse_missing([field.name for field in fields])
        elif os.path.isfile(self._path) or (os.path.isdir(self._path) and os.listdir(self._path)):
            raise SinkError(
                f"{self._shown}: there is something that is no Delta table", "name another folder"
            )

    def publish(self, staged: Staged) -> dict[str, Json]:
        """Write the rows in one commit. Raises `SinkError`."""
        with self._failing("written"):
            if is_delta(self._path):
                return self._into(open_table(self._path), staged)
            return self._create(staged)

    def _create(self, staged: Staged) -> dict[str, Json]:
        import pyarrow

        schema = pyarrow.schema(
            [(name, getattr(pyarrow, staged.kind(name))()) for name in self.names]
        )
        library().write_deltalake(
            self._path,
            self._reader(staged, schema),
            mode="error",
            storage_options=storage_options(self._path),
            commit_properties=self._commit(),
        )
        return self._told(open_table(self._path).version())

    def _into(self, table: Any, staged: Staged) -> dict[str, Json]:
        import pyarrow

        schema = pyarrow.schema(table.schema().to_arrow())
        mode = self.table.mode
        if mode == "merge":
            self._merge(table, staged, schema)
        else:
            earlier = self._appended(table) if mode == "append" else None
            if earlier is not None:
                return {"version": table.version(), "appended_by": earlier}
            where = self.table.where if self.table.where != "all" else None
            more = {} if mode == "append" else {"predicate": where}
            library().write_deltalake(
                table,
                self._reader(staged, schema),
                mode=mode,
                commit_properties=self._commit(),
                **more,
            )
        return self._told(open_table(self._path).version())

    def _merge(self, table: Any, staged: Staged, schema: Any) -> None:
        import pyarrow

        fields = [schema.field(name) for name in self.names]
        merged = pyarrow.schema([*fields, pyarrow.field(_OK, pyarrow.bool_())])
        taken = {_quoted_target(name): f"s.{_quoted(name)}" for name in self.names}
        ok = f"s.{_quoted(_OK)}"
        if "status" in self.names:
            ok += f" OR t.{_quoted('status')} IS DISTINCT FROM 'ok'"
        matched = " AND ".join(f"t.{_quoted(one)} = s.{_quoted(one)}" for one in self.table.key)
        (
            table.merge(
                self._reader(staged, merged),
                predicate=matched,
                source_alias="s",
                target_alias="t",
                commit_properties=self._commit(),
            )
            .when_matched_update(taken, predicate=ok)
            .when_not_matched_insert(taken)
            .execute()
        )

    def _appended(self, table: Any) -> str | None:
        """The run by which these rows are in the table already."""
        for run in self.runs:
            if table.transaction_version(_application(run)) is not None:
                return run
        return None

    def _commit(self) -> Any:
        deltalake = library()
        run = self.around.run
        transactions = []
        if self.table.mode == "append":
            transactions = [deltalake.Transaction(_application(run), 1)]
        return deltalake.CommitProperties(
            custom_metadata={"dbrun": run}, app_transactions=transactions
        )

    def _told(self, version: int) -> dict[str, Json]:
        told: dict[str, Json] = {"version": version}
        if self.table.mode == "append":
            told["appended_by"] = self.around.run
        return told

    def _reader(self, staged: Staged, schema: Any) -> Any:
        """The rows as a stream of Arrow batches, which is read in Rust; what goes wrong in it is
        kept, because no exception of Python's comes through there."""
        import pyarrow

        def batches() -> Iterator[Any]:
            try:
                yield from arrow_batches(staged.rows(), schema, _OK, self._shown)
            except SinkError as error:
                self._trouble = error
                raise

        return pyarrow.RecordBatchReader.from_batches(schema, batches())

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        try:
            yield
        except DbrunError:
            raise
        except Exception as error:  # what deltalake raises has no one base
            if self._trouble is not None:
                raise self._trouble from error
            raise SinkError(
                f"{self._shown}: the table cannot be {what}: {reason(error)}",
                "mend that and run the same command again; what was answered is kept",
            ) from error


def _application(run: str) -> str:
    return f"dbrun/{run}"


def _quoted(name: str) -> str:
    """A column's name in a condition."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _quoted_target(name: str) -> str:
    """A column's name as the left side of an assignment."""
    return f"`{name}`"
