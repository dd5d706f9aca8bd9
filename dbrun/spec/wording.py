"""How problems speak of values and of what a key wants."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from ..types import Json
from .nodes import Node

_SHOWN = 40
_KINDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_ITEMS = {
    "object": "mappings",
    "array": "lists",
    "string": "texts",
    "integer": "whole numbers",
    "number": "numbers",
}


def wanted(schema: Mapping[str, Json]) -> str:
    """What a schema wants, in words: `a list of texts`."""
    if "x-wants" in schema:
        return str(schema["x-wants"])
    types = schema.get("type", [])
    names = [types] if isinstance(types, str) else types
    return either(_wanted(name, schema) for name in names if name != "null")


def _wanted(name: str, schema: Mapping[str, Json]) -> str:
    items = schema.get("items")
    if name == "array" and isinstance(items, Mapping) and items.get("type") in _ITEMS:
        return f"a list of {_ITEMS[items['type']]}"
    return _KINDS[name]


def found(node: Node) -> str:
    """What a value is, in words: `a number`; a `${…}` is named, its value never shown."""
    if node.raw is not None:
        return f"the value of {node.raw}"
    value = node.value
    if value is None:
        return "nothing" if node.empty else "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    kinds = {int: "a number", float: "a number", dict: "a mapping", list: "a list"}
    return kinds.get(type(value), "text")


def shown(node: Node) -> str:
    """A scalar as written, shortened; a `${…}` is named, its value never shown."""
    if node.raw is not None:
        return f"the value of {node.raw}"
    if isinstance(node.value, (dict, list)) or node.value is None:
        return found(node)
    if isinstance(node.value, str):
        text = node.value if len(node.value) <= _SHOWN else node.value[: _SHOWN - 1] + "…"
        return "'" + json.dumps(text, ensure_ascii=False)[1:-1].replace('\\"', '"') + "'"
    return json.dumps(node.value)


def either(choices: Iterable[str]) -> str:
    """`a, b or c`."""
    names = list(dict.fromkeys(choices))
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def listed(values: Iterable[Json]) -> str:
    """The allowed values of an enumeration: `a, b or c`."""
    return either(value if isinstance(value, str) else json.dumps(value) for value in values)
