"""The source: which plug-in reads the rows, with which options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..registry import Registry
from ..types import Json
from . import hints
from .build_sink import TABLE_NAME
from .formats import source_kind
from .markers import markers
from .model import SourceSpec
from .nodes import Node
from .site import Site, value_of

_COMMON = ("format", "id", "where", "limit")
_KINDS = ("path", "table", "query", "rows", "function")
_SQL = ("table", "query")


def build_source(
    site: Site, node: Node | None, variables: Mapping[str, Json], registry: Registry
) -> SourceSpec | None:
    """The source, whose SQL may name the *variables*; None if a problem was noted."""
    if node is None or site.sound(("source",), node) is None:
        return None
    kind = source_kind(node)
    if not _is_one_kind(site, node, kind) or kind is None:
        return None
    if not registry.knows("sources", kind):
        place = (node.get("format") or node).place
        hint = hints.for_name(kind, registry.names("sources"))
        site.findings.add(place, ("source", "format"), f"there is no source '{kind}'", hint)
        return None
    where, limit = node.get("where"), node.get("limit")
    if isinstance(node.value, str):
        options: dict[str, Any] = {"path": site.path(node)}
    else:
        rules = site.schemas.inside([site.schemas.top], "source")
        options = site.options(node, rules, ("source",), _COMMON)
    is_sql = kind in _SQL and node.get(kind) is not None
    if is_sql:
        _check_sql(site, node, variables)
        asked = {name: value_of(node.get(name)) for name in ("id", "where", "limit")}
        options = {**options, **asked, "vars": variables}
    return SourceSpec(
        kind=kind,
        options=options,
        id=value_of(node.get("id")),
        filter=site.text(where, ("source", "where")) if where is not None and not is_sql else None,
        limit=int(limit.value) if limit is not None else None,
        where=node.place.mark,
    )


def _check_sql(site: Site, node: Node, variables: Mapping[str, Json]) -> None:
    """What is read by SQL has an id to be ordered by, and names variables that are there."""
    findings = site.findings
    table = node.get("table")
    if table is not None and not TABLE_NAME.fullmatch(table.value):
        hint = "write catalog.schema.name; `…` around a part with dots or spaces"
        findings.add(table.place, ("source", "table"), f"'{table.value}' names no table", hint)
    if node.get("id") is None:
        message = "'id' is missing: rows that come by SQL have no other order"
        findings.add(node.place, ("source",), message, "name the column that identifies a row")
    for key in ("query", "where"):
        if (written := node.get(key)) is None:
            continue
        for name in markers(written.value):
            if name not in variables:
                hint = hints.for_name(name, variables) if variables else "write it under vars"
                message = f"':{name}' is no variable of the spec"
                findings.add(written.place, ("source", key), message, hint)
            elif isinstance(variables[name], (list, Mapping)):
                message = f"':{name}' is bound to a list or a mapping, which SQL cannot take"
                findings.add(written.place, ("source", key), message, "make it text or a number")


def _is_one_kind(site: Site, node: Node, kind: str | None) -> bool:
    given = [key for key in _KINDS if node.get(key) is not None]
    if len(given) > 1:
        message = f"wants one of path, table, query, rows and function, found {' and '.join(given)}"
        site.findings.add(node.value[given[1]].key_place, ("source",), message, "keep one")
        return False
    if kind is None and (isinstance(node.value, str) or given):
        place = (node.get("path") or node).place
        message = "the path does not tell the format"
        hint = "write {path: …, format: jsonl}, or json, csv, parquet, delta, text"
        site.findings.add(place, ("source",), message, hint)
        return False
    if not isinstance(node.value, str) and not given and node.get("format") is None:
        hint = "write {path: …}, {table: …}, {query: …}, {rows: […]} or {function: …}"
        site.findings.add(node.place, ("source",), "says nowhere that rows come from", hint)
        return False
    return True
