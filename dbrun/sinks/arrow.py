"""Columns of JSON values as Arrow arrays of the types that a table has."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from ..errors import SinkError
from ..types import Json
from .staged import StagedRow
from .table import as_text

_BATCH = 1024


def arrow_batches(
    rows: Iterable[StagedRow], schema: Any, ok: str | None, table: str
) -> Iterator[Any]:
    """Batches of *schema* that hold *rows*; a column that a row has not is null there. The column
    called *ok*, if any, tells whether the record is. *table* is how messages call the table.

    Raises:
        SinkError: a value does not fit its column.
    """
    import pyarrow

    left = iter(rows)
    while batch := list(islice(left, _BATCH)):
        arrays = []
        for field in schema:
            if field.name == ok:
                arrays.append(pyarrow.array([row.ok for row in batch], field.type))
            else:
                arrays.append(_column(batch, field, table))
        yield pyarrow.RecordBatch.from_arrays(arrays, schema=schema)


def _column(batch: Sequence[StagedRow], field: Any, table: str) -> Any:
    import pyarrow

    values = [row.values.get(field.name) for row in batch]
    try:
        return _array(values, field.type)
    except (pyarrow.ArrowException, ValueError, TypeError, OverflowError):
        for row, value in zip(batch, values, strict=True):
            try:
                _array([value], field.type)
            except (pyarrow.ArrowException, ValueError, TypeError, OverflowError) as error:
                found = as_text(value)
                raise SinkError(
                    f"{table}: row '{row.id}' has {found[:60]!r} for column '{field.name}', "
                    f"which is {field.type}",
                    "say by sink.columns what to write; what was answered is kept",
                ) from error
        raise


def _array(values: list[Json], kind: Any) -> Any:
    """An array of the type *kind*. Raises what pyarrow raises for values that do not fit."""
    import pyarrow
    from pyarrow import types

    if types.is_string(kind) or types.is_large_string(kind):
        return pyarrow.array([None if one is None else as_text(one) for one in values], kind)
    if types.is_temporal(kind) and not types.is_duration(kind):
        return pyarrow.array(values, pyarrow.string()).cast(kind)
    if types.is_decimal(kind):
        texts = [None if one is None else as_text(one) for one in values]
        return pyarrow.array(texts, pyarrow.string()).cast(kind)
    if types.is_binary(kind) or types.is_large_binary(kind):
        return pyarrow.array([None if one is None else _bytes(one) for one in values], kind)
    if any(isinstance(one, bool) for one in values) and not types.is_boolean(kind):
        raise TypeError("a truth value is no number")
    return pyarrow.array(values, kind)


def _bytes(value: Json) -> bytes:
    if not isinstance(value, str):
        raise TypeError("wants base64 text")
    return base64.b64decode(value, validate=True)
