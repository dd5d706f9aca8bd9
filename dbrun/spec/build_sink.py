"""The sink: a results file, or a table with the file of records that it is written from."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from ..registry import Registry
from . import hints
from .formats import format_of
from .model import SinkSpec, StepSpec, TableSpec
from .nodes import Node, Place, entries
from .prompts import Text
from .site import Site, value_of

TABLE_NAME = re.compile(r"(`[^`]+`|[^.`\s/]+)(\.(`[^`]+`|[^.`\s/]+)){2}")
_OF_TABLES = ("mode", "key", "where", "columns", "errors", "warehouse_id")
_NO_FORMATS = ("stream", "table")
"""Sinks that a `format` does not name: `--out -`, and `table: catalog.schema.name`."""

_FIELDS = ("id", "status", "output")
_TOLD = ("finish_reason", "usage", "cost", "error", "row", "key")
_IDENTITY = ("id", "variant", "repeat")


def build_sink(
    site: Site, root: Node, name: str, steps: Sequence[StepSpec], registry: Registry
) -> SinkSpec | None:
    """The sink of the pipeline called *name*; None if a problem was noted."""
    node = root.get("sink")
    if node is None:
        return SinkSpec(path=os.path.join(site.project, "out", f"{name}.jsonl"))
    if site.sound(("sink",), node) is None:
        return None
    if node.get("table") is not None or _format(node) == "delta":
        return _Table(site, root, node, steps).sink(name)
    return _file(site, node, registry)


def _file(site: Site, node: Node, registry: Registry) -> SinkSpec | None:
    odd = next((key for key in _OF_TABLES if node.get(key) is not None), None)
    if odd is not None:
        hint = "write table: catalog.schema.name, or format: delta"
        site.findings.add(node.value[odd].key_place, ("sink", odd), "goes with a table", hint)
        return None
    path = node.get("path") or (node if isinstance(node.value, str) else None)
    if path is None:
        site.findings.add(node.place, ("sink",), "'path' is missing", "write {path: …}")
        return None
    found = site.path(path)
    if path.value.endswith(("/", os.sep)) or os.path.isdir(found):
        hint = "name a file in it"
        if os.path.isdir(os.path.join(found, "_delta_log")):
            hint = "it is a Delta table: write {path: …, format: delta}"
        site.findings.add(path.place, ("sink",), "a folder is no results file", hint)
        return None
    kind = _kind(site, node.get("format"), path.value, registry)
    if kind is None:
        return None
    add, omit = _fields_of(node)
    return SinkSpec(
        path=found,
        kind=kind,
        add=add,
        omit=omit,
        publish=value_of(node.get("publish"), "always"),
        where=node.place.mark,
    )


def _kind(site: Site, named: Node | None, path: str, registry: Registry) -> str | None:
    if named is None:
        told = format_of(path)
        return told if told is not None and registry.knows("sinks", told) else "jsonl"
    if registry.knows("sinks", named.value) and named.value not in _NO_FORMATS:
        return str(named.value)
    known = [name for name in registry.names("sinks") if name not in _NO_FORMATS]
    hint = hints.for_name(named.value, known)
    message = f"there is no sink '{named.value}'"
    site.findings.add(named.place, ("sink", "format"), message, hint)
    return None


def _format(node: Node) -> str | None:
    named = node.get("format")
    return named.value if named is not None else None


def _fields_of(node: Node) -> tuple[frozenset[str], frozenset[str]]:
    return frozenset(value_of(node.get("add"), ())), frozenset(value_of(node.get("omit"), ()))


class _Table:
    """Reads the mapping of a sink that is a table."""

    def __init__(self, site: Site, root: Node, node: Node, steps: Sequence[StepSpec]) -> None:
        self._site = site
        self._root = root
        self._node = node
        self._steps = steps

    def sink(self, name: str) -> SinkSpec | None:
        """The sink; None if a problem was noted."""
        table, folder = self._name(), self._folder()
        mode, where = self._mode()
        columns = self._columns()
        add, omit = _fields_of(self._node)
        fields = self._fields(add, omit)
        key, columns = self._key(mode, fields, columns)
        if self._site.findings.spoils(("sink",)) or table is None or folder is None:
            return None
        errors = self._node.get("errors")
        warehouse = self._node.get("warehouse_id")
        return SinkSpec(
            path=os.path.join(folder, f"{name}.jsonl"),
            add=add,
            omit=omit,
            publish=value_of(self._node.get("publish"), "always"),
            where=self._node.place.mark,
            table=TableSpec(
                kind="table" if self._node.get("table") is not None else "delta",
                name=table,
                mode=mode,
                key=key,
                where=where,
                fields=fields,
                columns=columns,
                errors=self._site.path(errors) if errors is not None else None,
                warehouse=warehouse.value if warehouse is not None else None,
            ),
        )

    def _say(self, place: Place, key: str, message: str, hint: str = "") -> None:
        self._site.findings.add(place, ("sink", key) if key else ("sink",), message, hint)

    def _name(self) -> str | None:
        node, path = self._node, self._node.get("path")
        table = node.get("table")
        if table is None:
            if path is None:
                self._say(node.place, "", "'path' is missing", "write {path: …, format: delta}")
            elif node.get("warehouse_id") is not None:
                place = node.value["warehouse_id"].key_place
                self._say(place, "warehouse_id", "goes with `table`, not with a folder")
            else:
                return self._site.path(path)
            return None
        for key in ("path", "format"):
            if (other := node.get(key)) is not None:
                self._say(other.key_place, key, "does not go with `table`", "keep one of them")
        if not TABLE_NAME.fullmatch(table.value):
            hint = "write catalog.schema.name; `…` around a part with dots or spaces"
            self._say(table.place, "table", f"'{table.value}' names no table", hint)
        return str(table.value)

    def _folder(self) -> str | None:
        """Where the records lie that the table is written from: with the journal."""
        journal = self._root.get("journal")
        path = journal.get("path") if journal is not None else None
        if path is not None:
            return self._site.path(path)
        beside = self._node.get("path")
        if beside is not None:
            return f"{self._site.path(beside)}.journal"
        if self._node.get("table") is None:
            return None
        message = "a table needs a journal elsewhere"
        hint = "write journal: {path: …}, where the manifest and the records lie as well"
        self._say(self._node.place, "", message, hint)
        return None

    def _mode(self) -> tuple[str, str | None]:
        mode = str(value_of(self._node.get("mode"), "merge"))
        where = self._node.get("where")
        if mode == "overwrite" and where is None:
            place = self._node.value["mode"].key_place
            hint = "write where: a condition in SQL, or where: all for the whole table"
            self._say(place, "mode", "overwrite needs to know which rows it replaces", hint)
        elif mode != "overwrite" and where is not None:
            self._say(where.key_place, "where", "goes with mode: overwrite")
        return mode, str(where.value) if where is not None else None

    def _columns(self) -> Mapping[str, Text] | None:
        node = self._node.get("columns")
        if node is None:
            return None
        if not node.value:
            self._say(node.place, "columns", "is empty", "write {column: expression}, or remove it")
        return {
            column: self._site.text(one, ("sink", "columns", column))
            for column, one in entries(node).items()
        }

    def _fields(self, add: frozenset[str], omit: frozenset[str]) -> tuple[str, ...]:
        """The columns of a table without `columns`: whatever the records of this spec may hold,
        so that they do not depend on how a run went."""
        fields = [*_FIELDS]
        if self._root.get("matrix") is not None:
            fields.append("variant")
        if self._repeats():
            fields.append("repeat")
        left_out = {"error"} if self._node.get("errors") is not None else set()
        if all(step.endpoint.price is None for step in self._steps):
            left_out.add("cost")
        fields += [field for field in _TOLD if field not in left_out]
        if self._root.get("scores") is not None:
            fields.append("scores")
        if len(self._steps) > 1:
            fields.append("steps")
        fields += sorted(add)
        return tuple(field for field in fields if field not in omit)

    def _repeats(self) -> bool:
        return bool(value_of(self._root.get("repeats"), 1) != 1)

    def _key(
        self, mode: str, fields: Sequence[str], columns: Mapping[str, Text] | None
    ) -> tuple[tuple[str, ...], Mapping[str, Text] | None]:
        """The columns that a merge matches, and the columns with those of them that go without
        saying."""
        node = self._node.get("key")
        if mode != "merge":
            if node is not None:
                self._say(node.key_place, "key", "goes with mode: merge")
            return (), columns
        written = value_of(node)
        key = [written] if isinstance(written, str) else list(written or ())
        if node is None:
            key = ["id", *(["variant"] if self._root.get("matrix") is not None else [])]
            key += ["repeat"] if self._repeats() else []
        elif not key:
            self._say(node.place, "key", "names no column", "remove it: id is the default")
        known = dict(columns) if columns is not None else dict.fromkeys(fields)
        for name in key:
            if columns is not None and name in _IDENTITY and name not in known:
                known[name] = Text(source=name, name=f"sink.columns.{name}")
            elif name not in known:
                assert node is not None
                hint = hints.for_name(name, known)
                self._say(node.place, "key", f"'{name}' is none of the table's columns", hint)
        return tuple(key), known if columns is not None else None  # type: ignore[return-value]
