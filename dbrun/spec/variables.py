"""Values of pipeline variables that are given from outside: `--var k=v`, or from Python."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..errors import SpecError
from ..types import Json
from ..values import plain as plain_json
from . import hints
from .document import parse
from .nodes import Findings, Node, Place, entries, from_plain, plain
from .scalars import NotJson, read_plain
from .wording import found

_BRACES = re.compile(r"\{\{.*?\}\}", re.DOTALL)
"""A value that a Databricks job fills in ("Dynamic value references")."""


def with_variables(
    root: Node,
    variables: Sequence[tuple[str, str]],
    typed: Mapping[str, Json],
    findings: Findings,
) -> Node:
    """*root* with values of its variables given as text (*variables*) or as JSON (*typed*)."""
    if not variables and not typed:
        return root
    declared = root.get("vars")
    known = dict(entries(declared))
    for name, text in variables:
        place = Place(file="--var", folder=os.getcwd())
        if (left := _BRACES.search(text)) is not None:
            # What Databricks knows no value for stays as it is, and would be asked about as text.
            hint = "in a job it is filled in from a parameter of the job; check the name"
            findings.add(place, ("vars", name), f"'{left[0]}' was not filled in", hint)
        if (before := _declared(name, known, place, findings)) is not None:
            known[name] = _from_text(name, text, before, place, findings)
    for name, value in typed.items():
        place = Place(file="vars argument", folder=os.getcwd())
        if (before := _declared(name, known, place, findings)) is not None:
            known[name] = _from_json(name, value, before, place, findings)
    if declared is None:
        return root
    return root.with_value({**root.value, "vars": declared.with_value(known)})


def _declared(
    name: str, known: Mapping[str, Node], place: Place, findings: Findings
) -> Node | None:
    if name not in known:
        hint = hints.for_name(name, known, none="declare it under vars")
        findings.add(place, ("vars", name), f"there is no variable '{name}'", hint)
    return known.get(name)


def _from_text(name: str, text: str, before: Node, place: Place, findings: Findings) -> Node:
    if before.value is None or isinstance(before.value, str):
        return Node(value=text.replace("$", "$$"), at=place, key=before.key)
    try:
        if isinstance(before.value, (dict, list)):
            value = plain(parse(text, file="--var", folder=place.folder))
        else:
            value = read_plain(text)
    except (NotJson, SpecError):
        value = None
    return _typed(name, value, before, place, findings)


def _from_json(name: str, value: Json, before: Node, place: Place, findings: Findings) -> Node:
    try:
        data = plain_json(value)
    except ValueError as error:
        findings.add(place, ("vars", name), f"wants a JSON value, found {error}")
        return before
    if before.value is None:
        return replace(_escaped(from_plain(data, place)), key=before.key)
    return _typed(name, data, before, place, findings)


def _typed(name: str, value: Json, before: Node, place: Place, findings: Findings) -> Node:
    given = replace(_escaped(from_plain(value, place)), key=before.key)
    numbers = (int, float)
    alike = type(value) is type(before.value) or (
        isinstance(value, numbers)
        and isinstance(before.value, numbers)
        and not isinstance(value, bool)
        and not isinstance(before.value, bool)
    )
    if not alike:
        declared = found(before)
        if isinstance(before.value, bool):
            declared = "true or false"
        message = (
            f"wants {declared}, as it is declared on line {before.at.line} of {before.at.file}"
        )
        findings.add(place, ("vars", name), message)
        return before
    return given


def _escaped(node: Node) -> Node:
    """Values from outside are taken as they are: a dollar in them names nothing."""
    if isinstance(node.value, str):
        return node.with_value(node.value.replace("$", "$$"))
    if isinstance(node.value, dict):
        return node.with_value({key: _escaped(one) for key, one in node.value.items()})
    if isinstance(node.value, list):
        return node.with_value([_escaped(one) for one in node.value])
    return node
