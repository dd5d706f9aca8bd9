"""Records as Parquet; the only sink that knows pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import PluginError
from ..types import Json
from .file import PartialFile
from .table import FIRST, TableSink, as_text, in_order

_BATCH = 1024
_EXACT = 2**53
"""Integers up to this size survive as floating-point numbers."""


class ParquetSink(TableSink):
    """One row a record. A column is a field of the records; a field that no record has is none.

    A column of texts is text; of numbers, integers (64 bits) or floating-point numbers; of
    booleans, booleans. What is nested (`row`, `usage`, `error`, …) is JSON text, and so is
    every value but text in a column of several kinds. Columns whose integers do not fit are
    text, too.
    """

    def open(self) -> None:
        """Start writing.

        Raises:
            SinkError: the place cannot be written.
            PluginError: pyarrow is not installed.
        """
        _pyarrow()
        super().open()

    def write_table(self, file: PartialFile) -> None:
        """Write the records in batches."""
        pyarrow, parquet = _pyarrow()
        kinds = self._kinds()
        schema = pyarrow.schema([(name, getattr(pyarrow, kinds[name])()) for name in kinds])
        with parquet.ParquetWriter(file.stream, schema) as writer:
            for batch in _batches(self.records()):
                columns = {
                    name: [_fitting(record.get(name), kind) for record in batch]
                    for name, kind in kinds.items()
                }
                writer.write_table(pyarrow.table(columns, schema=schema))

    def _kinds(self) -> dict[str, str]:
        seen: dict[str, set[str]] = {}
        for record in self.records():
            for name, value in record.items():
                seen.setdefault(name, set()).add(kind_of(value))
        kinds = {name: joined(found - {"null"}) for name, found in seen.items()}
        kinds.update({name: "string" for name in FIRST if name not in kinds})
        return {name: kinds[name] for name in in_order(kinds)}


def kind_of(value: Json) -> str:
    """The kind of column that holds *value*, by the name of its constructor in pyarrow; `null`
    if any does, `wide` for integers that only an integer column holds."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool_"
    if isinstance(value, int):
        if abs(value) <= _EXACT:
            return "int64"
        return "wide" if -(2**63) <= value < 2**63 else "string"
    return "float64" if isinstance(value, float) else "string"


def joined(kinds: set[str]) -> str:
    """The kind of column that holds values of all *kinds*."""
    if len(kinds) == 1 and "wide" not in kinds:
        return next(iter(kinds))
    if kinds and kinds <= {"int64", "wide"}:
        return "int64"
    return "float64" if kinds == {"int64", "float64"} else "string"


def _fitting(value: Json, kind: str) -> Json:
    if value is None:
        return None
    if kind == "string":
        return as_text(value)
    return float(value) if kind == "float64" else value


def _batches(records: Iterator[dict[str, Json]]) -> Iterator[list[dict[str, Json]]]:
    batch: list[dict[str, Json]] = []
    for record in records:
        batch.append(record)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise PluginError(
            "Parquet files need the package pyarrow", "pip install 'dbrun[parquet]'"
        ) from error
    return pyarrow, parquet
