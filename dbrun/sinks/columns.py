"""The columns of a table, made of records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import RenderError, SinkError
from ..spec.model import SinkSpec, TableSpec
from ..types import FIELDS_ON_REQUEST, RECORD_FIELDS, Json, Record
from .base import SinkAround

Row = dict[str, Json]

_ALWAYS: Row = dict.fromkeys(RECORD_FIELDS)


def row_maker(
    spec: SinkSpec, table: TableSpec, around: SinkAround
) -> tuple[tuple[str, ...], Callable[[Record], Row]]:
    """The names of the table's columns, and what makes a row of a record."""
    if table.columns is None:
        fields = table.fields

        def pick(record: Record) -> Row:
            said = record.to_json(spec.add, spec.omit)
            return {name: said.get(name) for name in fields}

        return fields, pick
    columns = _Columns(table, around)
    return tuple(table.columns), columns.row


class _Columns:
    """Evaluates `sink.columns`: expressions over the whole record, and `vars`."""

    def __init__(self, table: TableSpec, around: SinkAround) -> None:
        compile_one = around.context.expression
        assert compile_one is not None, "the context compiles no expressions"
        self._expressions = {
            # A column that goes without saying is a field of the record.
            name: compile_one(text) if text.where.line else None
            for name, text in (table.columns or {}).items()
        }
        self._variables = around.variables

    def row(self, record: Record) -> Row:
        """The columns of *record*; what fails on a record that is not ok is null.

        Raises:
            SinkError: an expression fails on a record that is ok.
        """
        said = {**_ALWAYS, **record.to_json(FIELDS_ON_REQUEST)}
        scope = {**said, "vars": self._variables}
        return {
            name: said.get(name) if one is None else self._value(name, one, scope, record)
            for name, one in self._expressions.items()
        }

    def _value(self, name: str, expression: Any, scope: Mapping[str, Any], record: Record) -> Json:
        try:
            value: Json = expression.evaluate(scope)
        except RenderError as error:
            if record.status != "ok":
                return None
            raise SinkError(
                f"sink.columns.{name} fails on row '{record.id}': {error.message}",
                "mend the expression and run the same command again; what was answered is kept",
            ) from error
        return value
