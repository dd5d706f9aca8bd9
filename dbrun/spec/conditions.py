"""Whether a value meets a condition of the schema: JSON types, and what `if` and `not` ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ..types import Json
from .nodes import Node, plain

TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def holds(schema: Json, node: Node, root: Mapping[str, Json]) -> bool:
    """Whether a condition (`if`, `not`) is true of *node*."""
    if isinstance(schema, bool):
        return schema
    value = node.value
    if "type" in schema and not is_type(value, types_of(schema)):
        return False
    if "const" in schema and not same(plain(node), schema["const"]):
        return False
    if "enum" in schema and not any(same(plain(node), item) for item in schema["enum"]):
        return False
    if "minimum" in schema and is_type(value, ["number"]) and value < schema["minimum"]:
        return False
    if "not" in schema and holds(schema["not"], node, root):
        return False
    if "anyOf" in schema and not any(holds(inner, node, root) for inner in schema["anyOf"]):
        return False
    if not isinstance(value, dict):
        return True
    if any(key not in value for key in schema.get("required", ())):
        return False
    return all(
        holds(inner, value[key], root)
        for key, inner in schema.get("properties", {}).items()
        if key in value
    )


def types_of(schema: Mapping[str, Json]) -> list[str]:
    """The JSON types that a schema names, if any."""
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def is_type(value: Json, names: Iterable[str]) -> bool:
    """Whether *value* is of one of the JSON types; 1.0 is an integer, true is none."""
    return any(_is_type(value, name) for name in names)


def _is_type(value: Json, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if isinstance(value, float) and name == "integer":
        return value.is_integer()
    return isinstance(value, TYPES[name])


def same(left: Json, right: Json) -> bool:
    """Whether two scalars are the same JSON value: 1 is 1.0, and not true."""
    return left == right and isinstance(left, bool) == isinstance(right, bool)
