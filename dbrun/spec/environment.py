"""`${NAME}`, `${NAME:-default}` and `${vars.x}`: replaced where the schema allows it.

`$$` is a dollar there. A text that is exactly one `${…}` is read by the type that its key wants;
`${vars.x}` alone hands on the variable's value whatever its type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ..frozen import frozen
from ..types import Json
from . import hints
from .conditions import is_type, types_of
from .credentials import is_speaking_header
from .nodes import UNKNOWN, Findings, Node, Path, children, entries
from .scalars import NotJson, read_plain
from .schema import Rule, Schemas

_TOKEN = re.compile(r"\$\$|\$\{([^{}]*)\}?")
_ALONE = re.compile(r"\$\{([^{}]*)\}")
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_VARIABLE = re.compile(r"vars\.([A-Za-z_][A-Za-z0-9_-]*)")


@frozen
class _Area:
    """What holds for the values of a part of the file."""

    active: bool = False
    scalars: bool = False
    free: bool = False

    def entered(self, rules: Iterable[Rule], path: Path) -> _Area:
        active, scalars, free = self.active, self.scalars, self.free or path == ("job",)
        for rule in rules:
            active = rule.schema.get("x-environment", active)
            scalars = scalars or bool(rule.schema.get("x-scalars"))
            if rule.schema.get("x-kind") == "template":
                free = free or not active
            elif rule.schema.get("x-kind") == "credential":
                active, free = False, True
            elif rule.schema.get("x-kind") == "path":
                free = False
        return _Area(active=active, scalars=scalars, free=free)


class Environment:
    """Replaces `${…}` in a merged spec, noting what is not there.

    Where not *strict* (a target that is only looked over), what is unset is passed over.
    """

    def __init__(
        self,
        schemas: Schemas,
        environ: Mapping[str, str],
        findings: Findings,
        *,
        strict: bool = True,
    ) -> None:
        self._schemas = schemas
        self._environ = environ
        self._findings = findings
        self._strict = strict
        self._written: Mapping[str, Node] = {}
        self._vars: dict[str, Node] = {}
        self._entering: list[str] = []

    def resolve(self, root: Node) -> Node:
        """*root* with every `${…}` replaced that may be."""
        self._written = entries(root.get("vars"))
        return self._value(root, [self._schemas.top], (), _Area())

    def _value(self, node: Node, rules: Sequence[Rule], path: Path, area: _Area) -> Node:
        if _is_variable(path):
            return self._variable(str(path[1]))
        if isinstance(node.value, str):
            held = self._schemas.holding(rules, node)
            return self._text(node, held, path, area.entered(held, path))
        if not isinstance(node.value, (dict, list)):
            return node
        # Which rules hold may depend on texts that are still to be replaced.
        held = self._schemas.holding(rules, self._preview(node))
        area = area.entered(held, path)
        parts = [
            (part, self._value(child, self._schemas.below(held, part, node), (*path, part), area))
            for part, child in children(node, path)
        ]
        if isinstance(node.value, list):
            return node.with_value([child for _, child in parts])
        dropped = area.scalars and area.active
        kept = {
            str(part): child
            for part, child in parts
            if not (dropped and child.value is None and child.raw is not None)
        }
        return node.with_value(kept)

    def _preview(self, node: Node) -> Node:
        texts = (child.value for _, child in children(node) if isinstance(child.value, str))
        if not isinstance(node.value, dict) or not any("$" in text for text in texts):
            return node
        silent = Environment(self._schemas, self._environ, Findings(), strict=False)
        silent._written = self._written
        return node.with_value(
            {
                key: silent._replaced(child, ()) if isinstance(child.value, str) else child
                for key, child in node.value.items()
            }
        )

    def _text(self, node: Node, held: Sequence[Rule], path: Path, area: _Area) -> Node:
        if "$" not in node.value or is_speaking_header(path):
            return node
        if not area.active:
            if area.free or "${vars." not in node.value:
                return node
            message = "'${vars.…}' is not replaced here"
            self._findings.add(node.place, path, message, "write the value itself")
            return node.with_value(UNKNOWN)
        if (alone := _ALONE.fullmatch(node.value)) is not None:
            return self._alone(node, alone[1], held, path, area)
        return self._replaced(node, path)

    def _variable(self, name: str) -> Node:
        """The value of a variable, with what it refers to replaced."""
        if name in self._vars:
            return self._vars[name]
        node = self._written[name]
        if name in self._entering:
            chain = " → ".join([*self._entering[self._entering.index(name) :], name])
            self._findings.add(node.place, ("vars", name), f"refers to itself: {chain}")
            return node.with_value(UNKNOWN)
        self._entering.append(name)
        found = self._inner(node, ("vars", name))
        self._entering.pop()
        self._vars[name] = found
        return found

    def _inner(self, node: Node, path: Path) -> Node:
        if isinstance(node.value, str):
            if (alone := _ALONE.fullmatch(node.value)) is not None:
                return self._alone(node, alone[1], (), path, _Area(active=True))
            return self._replaced(node, path) if "$" in node.value else node
        if isinstance(node.value, dict):
            items = node.value.items()
            return node.with_value({key: self._inner(one, (*path, key)) for key, one in items})
        if isinstance(node.value, list):
            numbered = enumerate(node.value)
            return node.with_value([self._inner(one, (*path, at)) for at, one in numbered])
        return node

    def _alone(
        self, node: Node, inside: str, held: Sequence[Rule], path: Path, area: _Area
    ) -> Node:
        types = {name for rule in held for name in types_of(rule.schema)}
        if (variable := _VARIABLE.fullmatch(inside)) is not None:
            found = self._look_up_variable(variable[1], node, path)
            if found is None:
                return node.with_value(UNKNOWN)
            scalar = isinstance(found.value, (bool, int, float))
            if scalar and "string" in types and not is_type(found.value, types):
                found = found.with_value(json.dumps(found.value))
            elif isinstance(found.value, str) and (types or _is_environments(found)):
                found = found.with_value(_read(found.value, types, area))
            # The place is this one, but a path starts where the variable's value was written.
            at = replace(node.at, folder=found.at.folder)
            return replace(node, value=found.value, at=at, raw=node.value)
        text = self._look_up(inside, node, path)
        if text is None:
            return node.with_value(UNKNOWN)
        return replace(node, value=_read(text, types, area), raw=node.value)

    def _replaced(self, node: Node, path: Path) -> Node:
        missing = False

        def insert(match: re.Match[str]) -> str:
            nonlocal missing
            if match[0] == "$$":
                return "$"
            text = self._insertion(match, node, path)
            missing = missing or text is None
            return text or ""

        text = _TOKEN.sub(insert, node.value)
        if missing:
            return node.with_value(UNKNOWN)
        return node if text == node.value else replace(node, value=text, raw=node.value)

    def _insertion(self, match: re.Match[str], node: Node, path: Path) -> str | None:
        if not match[0].endswith("}"):
            self._malformed(match[0], node, path)
            return None
        if (variable := _VARIABLE.fullmatch(match[1])) is None:
            return self._look_up(match[1], node, path)
        found = self._look_up_variable(variable[1], node, path)
        if found is None:
            return None
        if isinstance(found.value, (dict, list)):
            message = f"{match[0]} is no text that could be inserted"
            self._findings.add(node.place, path, message, "let it stand alone")
            return None
        return found.value if isinstance(found.value, str) else json.dumps(found.value)

    def _look_up(self, inside: str, node: Node, path: Path) -> str | None:
        parts = _INSIDE.fullmatch(inside)
        if parts is None:
            self._malformed(f"${{{inside}}}", node, path)
            return None
        name, default = parts[1], parts[2]
        value = self._environ.get(name)
        if value is None or (not value and default is not None):
            value = default
        if value is None and self._strict:
            hint = f"set it, or write ${{{name}:-default}}"
            self._findings.add(
                node.place, path, f"the environment variable {name} is not set", hint
            )
        return value

    def _look_up_variable(self, name: str, node: Node, path: Path) -> Node | None:
        if name not in self._written:
            hint = hints.for_name(name, self._written, none="declare it under vars")
            self._findings.add(node.place, path, f"there is no variable '{name}'", hint)
            return None
        found = self._variable(name)
        # A variable that must be given and is not has been reported where it is declared.
        return None if found.value is UNKNOWN or found.value is None else found

    def _malformed(self, text: str, node: Node, path: Path) -> None:
        hint = "write ${NAME}, ${NAME:-default} or ${vars.name}; for a dollar, $$"
        shown = text if len(text) < 40 else text[:39] + "…"
        self._findings.add(node.place, path, f"'{shown}' cannot be replaced", hint)


def _is_variable(path: Path) -> bool:
    return len(path) == 2 and path[0] == "vars" and isinstance(path[1], str)


def _is_environments(variable: Node) -> bool:
    """Whether the value is that of `${NAME}` alone, which has no type of its own."""
    alone = _ALONE.fullmatch(variable.raw or "")
    return alone is not None and _VARIABLE.fullmatch(alone[1]) is None


def _read(text: str, types: set[str], area: _Area) -> Json:
    if not types and not area.scalars:
        return text
    try:
        value = read_plain(text)
    except NotJson:
        return text
    if not types:
        return value
    scalar = types & {"integer", "number", "boolean"}
    return value if value is not None and is_type(value, scalar) else text
