"""The schema that an output must satisfy: inline, in a file, with or without mode and reask."""

from __future__ import annotations

import os
from dataclasses import replace

from ..errors import SpecError
from .document import parse
from .files import shown
from .merge import RESPONSE_SCHEMA_KEYS
from .nodes import Node, Path, dotted, plain
from .prompts import ResponseSchema
from .schema import schema_errors
from .site import Site, value_of


def build_response_schema(site: Site, node: Node, path: Path) -> ResponseSchema | None:
    """The response schema written at *path*; None if a problem was noted."""
    if not isinstance(node.value, dict) or not RESPONSE_SCHEMA_KEYS & node.value.keys():
        return _checked(site, ResponseSchema(schema=plain(node)), node, path)
    made = ResponseSchema(
        schema=None,
        mode=value_of(node.get("mode"), "check"),
        reask=int(value_of(node.get("reask"), 0)),
        where=(node.get("mode") or node).place.mark,
    )
    schema, file = node.get("schema"), node.get("file")
    if schema is not None and file is not None:
        message = "wants 'schema' or 'file', found both"
        site.findings.add(file.key_place, path, message, "keep one of them")
        return None
    if schema is not None and (inner := _only_file(schema)) is not None:
        file, path = inner, (*path, "schema")
    if file is not None:
        return _from_file(site, made, file, (*path, "file"))
    if schema is None:
        site.findings.add(node.place, path, "'schema' is missing", "write {schema: …} or {file: …}")
        return None
    return _checked(site, replace(made, schema=plain(schema)), schema, (*path, "schema"))


def _only_file(node: Node) -> Node | None:
    file = node.get("file")
    return file if file is not None and len(node.value) == 1 else None


def _from_file(site: Site, made: ResponseSchema, node: Node, path: Path) -> ResponseSchema | None:
    found = site.file(node, path)
    if found is None:
        return None
    file, text = found
    try:
        schema = parse(text, file=shown(file), folder=os.path.dirname(file))
    except SpecError as error:
        said = (replace(problem, path=dotted(path)) for problem in error.problems)
        site.findings.take(said, path)
        return None
    return _checked(site, replace(made, schema=plain(schema)), schema, path)


def _checked(site: Site, made: ResponseSchema, node: Node, path: Path) -> ResponseSchema | None:
    if not isinstance(made.schema, (dict, bool)):
        site.findings.add(node.place, path, "a JSON Schema is a mapping", "write {type: object, …}")
        return None
    problems = schema_errors(made.schema)
    for inner, message in problems:
        at = _at(node, inner)
        said = f"no JSON Schema: {message}" if inner[-1:] != ["type"] else message
        site.findings.add(at.place, (*path, *inner), said)
    return None if problems else made


def _at(node: Node, path: Path | list[str | int]) -> Node:
    for part in path:
        node = node.value[part]
    return node
