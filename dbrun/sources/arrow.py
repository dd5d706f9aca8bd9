"""Rows of Arrow batches: every kind of value as JSON."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from ..errors import PluginError, SourceError
from ..types import Json

Convert = Callable[[Any], Json]


def arrow_rows(
    schema: Any, batches: Iterable[Any], name: str
) -> Iterator[tuple[str, Mapping[str, Json]]]:
    """The rows of *batches*, which are of *schema*; *name* is how messages call what holds them.

    What JSON has no kind for: dates and times become ISO 8601 text, durations seconds, decimals
    numbers, bytes base64 text, maps lists of pairs; NaN, which writers leave for a missing
    number, becomes null. An infinity is an error. Nanoseconds are cut to microseconds.

    Raises:
        SourceError: a value is none that JSON can hold, or two columns have one name.
    """
    _refuse_twins(schema, name)
    target = _schema_in_microseconds(schema)
    converts = {
        field.name: convert for field in target if (convert := _converter(field.type)) is not None
    }
    number = 0
    for batch in batches:
        if target is not schema:
            batch = _cast(batch, target)
        for values in _values(batch, name, number):
            number += 1
            where = f"{name} row {number}"
            for column, convert in converts.items():
                values[column] = _converted(convert, values[column], column, where)
            yield where, values


def arrow() -> Any:
    """pyarrow. Raises `PluginError` if it is not installed."""
    try:
        import pyarrow
    except ImportError as error:
        raise PluginError(
            "Parquet files need the package pyarrow", "pip install 'dbrun[parquet]'"
        ) from error
    return pyarrow


def _refuse_twins(schema: Any, name: str) -> None:
    """A row knows columns by their names: of two of one name it would have the last."""
    twice = {column for column in schema.names if schema.names.count(column) > 1}
    if twice:
        named = ", ".join(f"'{column}'" for column in sorted(twice))
        raise SourceError(
            f"{name}: it names {named} more than once", "give every column a name of its own"
        )


def _values(batch: Any, name: str, before: int) -> list[dict[str, Any]]:
    """The rows of *batch* as Python's values; *before* is how many there were before it."""
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except OverflowError as error:
        raise _out_of_range(batch, name, before) from error
    return rows


def _out_of_range(batch: Any, name: str, before: int) -> SourceError:
    """What to say of *batch*, which holds a date or a time that Python has none for."""
    hint = "write null there, or a text"
    for field, column in zip(batch.schema, batch.columns, strict=True):
        for number, value in enumerate(column, start=before + 1):
            try:
                value.as_py()
            except OverflowError:
                said = f"column '{field.name}' holds a time beyond the years 1 to 9999"
                return SourceError(f"{name} row {number}: {said}", hint)
    return SourceError(f"{name}: it holds a time beyond the years 1 to 9999", hint)


def _converted(convert: Convert, value: Any, column: str, where: str) -> Json:
    try:
        return convert(value)
    except ValueError as error:
        raise SourceError(
            f"{where}: column '{column}' holds {error}", "write null there, or a text"
        ) from error


def _converter(kind: Any) -> Convert | None:
    """What makes JSON of a value of an Arrow type; None where it is JSON already."""
    from pyarrow import types

    if types.is_floating(kind):
        return _or_null(_number)
    if types.is_decimal(kind):
        return _or_null(_decimal)
    if types.is_date(kind) or types.is_time(kind) or types.is_timestamp(kind):
        return _or_null(lambda value: value.isoformat())
    if types.is_duration(kind):
        return _or_null(lambda value: value.total_seconds())
    if _is_binary(kind):
        return _or_null(lambda value: base64.b64encode(value).decode("ascii"))
    if types.is_dictionary(kind):
        return _converter(kind.value_type)
    if types.is_map(kind):
        return _pairs(_converter(kind.key_type), _converter(kind.item_type))
    if types.is_struct(kind):
        return _structs({field.name: _converter(field.type) for field in kind})
    if hasattr(kind, "value_type"):
        return _lists(_converter(kind.value_type))
    simple = (types.is_null, types.is_boolean, types.is_integer, types.is_string)
    if any(fits(kind) for fits in (*simple, types.is_large_string)):
        return None
    return _or_null(str)


def _is_binary(kind: Any) -> bool:
    from pyarrow import types

    return bool(
        types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    )


def _or_null(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _number(value: float) -> float | None:
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise ValueError("an infinity, which JSON has no number for")
    return value


def _decimal(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _lists(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None
    return _or_null(lambda value: [convert(item) for item in value])


def _structs(converts: Mapping[str, Convert | None]) -> Convert | None:
    known = {name: convert for name, convert in converts.items() if convert is not None}
    if not known:
        return None
    return _or_null(
        lambda value: {
            name: known[name](item) if name in known else item for name, item in value.items()
        }
    )


def _pairs(key: Convert | None, item: Convert | None) -> Convert:
    def convert(value: Any) -> Json:
        return [[key(name) if key else name, item(held) if item else held] for name, held in value]

    return _or_null(convert)


def _schema_in_microseconds(schema: Any) -> Any:
    # Python's dates have no nanoseconds, and pyarrow refuses to drop them on its own.
    import pyarrow

    kinds = [_in_microseconds(field.type) for field in schema]
    if all(kind.equals(field.type) for kind, field in zip(kinds, schema, strict=True)):
        return schema
    return pyarrow.schema(
        [field.with_type(kind) for field, kind in zip(schema, kinds, strict=True)]
    )


def _in_microseconds(kind: Any) -> Any:
    import pyarrow
    from pyarrow import types

    if types.is_timestamp(kind) and kind.unit == "ns":
        return pyarrow.timestamp("us", kind.tz)
    if types.is_time64(kind) and kind.unit == "ns":
        return pyarrow.time64("us")
    if types.is_duration(kind) and kind.unit == "ns":
        return pyarrow.duration("us")
    if types.is_list(kind) or types.is_large_list(kind):
        make = pyarrow.list_ if types.is_list(kind) else pyarrow.large_list
        return make(kind.value_field.with_type(_in_microseconds(kind.value_type)))
    if types.is_struct(kind):
        return pyarrow.struct([field.with_type(_in_microseconds(field.type)) for field in kind])
    return kind


def _cast(batch: Any, schema: Any) -> Any:
    import pyarrow

    columns = [
        column.cast(field.type, safe=False) if column.type != field.type else column
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pyarrow.RecordBatch.from_arrays(columns, schema=schema)
