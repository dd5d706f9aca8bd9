"""The source: which plug-in reads the rows, with which options."""

from __future__ import annotations

from ..registry import Registry
from . import hints
from .formats import source_kind
from .model import SourceSpec
from .nodes import Node
from .site import Site, value_of

_COMMON = ("format", "id", "where", "limit")
_KINDS = ("path", "rows", "function")


def build_source(site: Site, node: Node | None, registry: Registry) -> SourceSpec | None:
    """The source; None if a problem was noted."""
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
        options = {"path": site.path(node)}
    else:
        rules = site.schemas.inside([site.schemas.top], "source")
        options = site.options(node, rules, ("source",), _COMMON)
    return SourceSpec(
        kind=kind,
        options=options,
        id=value_of(node.get("id")),
        filter=site.text(where, ("source", "where")) if where is not None else None,
        limit=int(limit.value) if limit is not None else None,
        where=node.place.mark,
    )


def _is_one_kind(site: Site, node: Node, kind: str | None) -> bool:
    given = [key for key in _KINDS if node.get(key) is not None]
    if len(given) > 1:
        message = f"wants one of path, rows and function, found {' and '.join(given)}"
        site.findings.add(node.value[given[1]].key_place, ("source",), message, "keep one")
        return False
    if kind is None and (isinstance(node.value, str) or given):
        place = (node.get("path") or node).place
        message = "the path does not tell the format"
        hint = "write {path: …, format: jsonl}, or json, csv, parquet, delta, text"
        site.findings.add(place, ("source",), message, hint)
        return False
    if not isinstance(node.value, str) and not given and node.get("format") is None:
        hint = "write {path: …}, {rows: […]} or {function: …}"
        site.findings.add(node.place, ("source",), "says nowhere that rows come from", hint)
        return False
    return True
