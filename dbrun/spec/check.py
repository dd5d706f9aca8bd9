"""A pipeline file against its schema: every problem, with its place and in a person's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..spelling import nearest
from ..types import Json
from . import hints
from .conditions import holds, is_type, same, types_of
from .formats import source_kind
from .nodes import UNKNOWN, Findings, Node, Path, children, entries, plain
from .schema import Rule, Schemas, foreign_errors
from .wording import either, found, listed, shown, wanted


def check(root: Node, schemas: Schemas, findings: Findings) -> None:
    """Note every problem of *root* by the schema, plug-ins' options included."""
    _Checker(schemas, findings).value(root, [schemas.top], ())


def check_part(node: Node, name: str, schemas: Schemas, findings: Findings) -> None:
    """Note every problem of the value *node* of the top key *name*."""
    _Checker(schemas, findings).value(node, schemas.inside([schemas.top], name), (name,))


class _Checker:
    def __init__(self, schemas: Schemas, findings: Findings) -> None:
        self._schemas = schemas
        self._findings = findings

    def value(self, node: Node, rules: Sequence[Rule], path: Path) -> None:
        """Check one value and all that it holds."""
        if not rules or node.value is UNKNOWN:
            return
        held = self._schemas.holding(rules, node)
        if any(rule.schema.get("x-kind") == "credential" for rule in held):
            self._credential(node, held, path)
            return
        if not self._is_of_type(node, held, path):
            return
        words = next((r.schema["x-wants"] for r in held if "x-wants" in r.schema), None)
        for rule in held:
            if self._scalar(node, {"x-wants": words, **rule.schema}, path):
                return
        if isinstance(node.value, dict):
            self._mapping(node, held, path)
        elif isinstance(node.value, list):
            self._list(node, held, path)
        for rule in held:
            self._foreign(node, rule, path)
        for part, child in children(node, path):
            self.value(child, self._schemas.below(held, part, node), (*path, part))

    def _say(self, node: Node, path: Path, message: str, hint: str = "") -> None:
        self._findings.add(node.place, path, message, hint)

    def _credential(self, node: Node, held: Sequence[Rule], path: Path) -> None:
        # What is wrong with a literal is said by `credentials`. Nothing here may show a value:
        # someone may have put the credential itself where its name belongs.
        names = ("env", "secret")
        for key, child in entries(node).items():
            if key not in names:
                hint = hints.for_unknown(path, key, names)
                self._findings.add(child.at, (*path, key), "unknown key", hint, secret=True)
                return
        given = [key for key in names if key in entries(node)]
        if isinstance(node.value, dict) and len(given) != 1:
            self._say(node, path, "wants one of env and secret", "write {env: NAME}")
        for key in given:
            child = node.value[key]
            rules = self._schemas.holding(self._schemas.inside(held, key), child)
            pattern = next((r.schema["pattern"] for r in rules if "pattern" in r.schema), "")
            if not isinstance(child.value, str) or not re.search(pattern, child.value):
                words = "the name of a variable" if key == "env" else "a secret as scope/key"
                self._findings.add(child.place, (*path, key), f"wants {words}", secret=True)

    def _is_of_type(self, node: Node, held: Sequence[Rule], path: Path) -> bool:
        typed = [rule.schema for rule in held if "type" in rule.schema]
        wrong = [schema for schema in typed if not is_type(node.value, types_of(schema))]
        if not wrong:
            return True
        # Of several rules that want something else, the one that says it in words is quoted.
        schema = next((one for one in wrong if "x-wants" in one), wrong[0])
        if node.value is None:
            self._nothing(node, schema, path)
            return False
        self._say(node, path, f"wants {wanted(schema)}, found {found(node)}", _advice(node, schema))
        return False

    def _nothing(self, node: Node, schema: Mapping[str, Json], path: Path) -> None:
        hint = "write one, or remove the key"
        if "object" in types_of(schema):
            hint = "indent what belongs to it, or remove the key"
        self._say(node, path, f"has no value; it wants {wanted(schema)}", hint)

    def _scalar(self, node: Node, schema: Mapping[str, Json], path: Path) -> bool:
        value = node.value
        if "const" in schema and not same(plain(node), schema["const"]):
            wants = schema["x-wants"] or listed([schema["const"]])
            self._say(node, path, f"wants {wants}, found {shown(node)}")
            return True
        if "enum" in schema and not any(same(plain(node), item) for item in schema["enum"]):
            self._enum(node, schema, path)
            return True
        if isinstance(value, str):
            return self._text(node, schema, path)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return self._number(node, schema, path)
        return False

    def _enum(self, node: Node, schema: Mapping[str, Json], path: Path) -> None:
        hint = ""
        if isinstance(node.value, str) and node.raw is None:
            near = nearest(node.value, [v for v in schema["enum"] if isinstance(v, str)])
            hint = f"did you mean '{near}'?" if near else ""
        self._say(node, path, f"wants {listed(schema['enum'])}, found {shown(node)}", hint)

    def _text(self, node: Node, schema: Mapping[str, Json], path: Path) -> bool:
        value = node.value
        if len(value) < schema.get("minLength", 0):
            least = schema["minLength"]
            said = "is empty" if not value else f"wants at least {least} characters"
            self._say(node, path, said)
        elif "maxLength" in schema and len(value) > schema["maxLength"]:
            self._say(node, path, f"wants at most {schema['maxLength']} characters")
        elif "pattern" in schema and not re.search(schema["pattern"], value):
            pattern = schema["pattern"]
            words = schema["x-wants"] or _PATTERNS.get(pattern, f"text that matches {pattern}")
            self._say(node, path, f"wants {words}, found {shown(node)}")
        elif schema.get("x-kind") == "path" and "\0" in value:
            self._say(node, path, "a path cannot hold a NUL character")
        elif schema.get("x-kind") == "path" and (address := _ADDRESS.match(value)):
            shown_there = "" if node.raw is not None else _path_for(*address.groups())
            said = "wants a path, found an address"
            self._say(node, path, said, shown_there or "name a file here or below /Volumes")
        else:
            return False
        return True

    def _number(self, node: Node, schema: Mapping[str, Json], path: Path) -> bool:
        for key, fits, words in _BOUNDS:
            if key in schema and not fits(node.value, schema[key]):
                kind = "a whole number" if "integer" in types_of(schema) else "a number"
                said = f"wants {kind} {words} {schema[key]}, found {shown(node)}"
                self._say(node, path, said)
                return True
        return False

    def _mapping(self, node: Node, held: Sequence[Rule], path: Path) -> None:
        unknown = self._unknown_keys(node, held, path)
        missing = {
            key: None
            for rule in held
            for key in rule.schema.get("required", ())
            if key not in node.value
        }
        for key in missing:
            # A key that was merely misspelt is not also missing.
            if not any(_names(hint, key) for hint in unknown.values()):
                self._missing(node, held, path, key)
        for rule in held:
            self._keys(node, rule, path)

    def _unknown_keys(self, node: Node, held: Sequence[Rule], path: Path) -> dict[str, str]:
        said: dict[str, str] = {}
        closed = [r.schema for r in held if r.schema.get("additionalProperties") is False]
        for key, child in node.value.items():
            if all(key in schema.get("properties", {}) for schema in closed):
                continue
            known = self._known(closed)
            elsewhere = self._elsewhere(node, held, key)
            said[key] = hints.for_unknown(path, key, known, elsewhere=elsewhere)
            owner = self._meant_for(node, held, key, path)
            if owner:
                said[key] = f"indent it, so that it belongs to '{owner}'"
            self._findings.add(child.key_place, (*path, key), "unknown key", said[key])
        return said

    def _elsewhere(self, node: Node, held: Sequence[Rule], key: str) -> str:
        """The plug-ins that an option belongs to, if not to this one."""
        for rule in held:
            if rule.schema.get("x-plugin") == "adapters":
                names = self._schemas.adapters_with(key)
                return f"it belongs to adapter {either(names)}" if names else ""
            if rule.schema.get("x-plugin") == "sources" and key in rule.schema["properties"]:
                return f"it does not go with {source_kind(node)}"
        return ""

    def _known(self, closed: Sequence[Mapping[str, Json]]) -> set[str]:
        sets = [set(schema.get("properties", {})) for schema in closed]
        return set.intersection(*sets) if sets else set()

    def _meant_for(self, node: Node, held: Sequence[Rule], key: str, path: Path) -> str | None:
        """The sibling without a value whose key this one is, had it been indented."""
        for name, child in node.value.items():
            if not child.empty:
                continue
            stand_in = child.with_value({"adapter": node.value.get("adapter", child)})
            inner = self._schemas.holding(self._schemas.inside(held, name), stand_in)
            if any(key in rule.schema.get("properties", {}) for rule in inner):
                return str(name)
        return None

    def _missing(self, node: Node, held: Sequence[Rule], path: Path, key: str) -> None:
        rules = self._schemas.inside(held, key)
        stand_in = node.with_value(None)
        schemas = [rule.schema for rule in self._schemas.holding(rules, stand_in)]
        hint = next((str(s["x-missing"]) for s in schemas if "x-missing" in s), "")
        if not hint and (
            examples := next((s["examples"] for s in schemas if "examples" in s), None)
        ):
            hint = f"there are {', '.join(examples)}"
        if not hint and (
            said := next((s["description"] for s in schemas if "description" in s), "")
        ):
            hint = f"{key}: {said[:1].lower()}{said[1:].rstrip('.')}"
        self._say(node, path, f"'{key}' is missing", hint)

    def _keys(self, node: Node, rule: Rule, path: Path) -> None:
        schema, count = rule.schema, len(node.value)
        if "not" in schema and holds(schema["not"], node, rule.root):
            keys = schema["not"].get("required", ())
            last = max(
                (node.value[key] for key in keys),
                key=lambda child: (child.key_place.line, child.key_place.column),
                default=node,
            )
            message = schema.get("x-message", "is not allowed here")
            self._findings.add(last.key_place, path, message, schema.get("x-hint", ""))
        if count < schema.get("minProperties", 0):
            names = schema.get("properties")
            self._say(node, path, "is empty", f"it takes {either(names)}" if names else "")
        if count > schema.get("maxProperties", count):
            known = either(key for key in node.value)
            self._say(node, path, f"wants one key, found {count}", f"keep {known}")
        pattern = schema.get("propertyNames", {}).get("pattern")
        for key, child in node.value.items():
            if pattern and not re.search(pattern, key):
                words = schema.get("x-names", f"text that matches {pattern}")
                self._findings.add(child.key_place, (*path, key), f"a name is made of {words}")

    def _list(self, node: Node, held: Sequence[Rule], path: Path) -> None:
        count = len(node.value)
        for rule in held:
            least, most = rule.schema.get("minItems", 0), rule.schema.get("maxItems", count)
            if count < least:
                self._say(node, path, "is an empty list" if not count else f"wants {least} items")
            elif count > most:
                self._say(node, path, f"wants at most {most} items, found {count}")

    def _foreign(self, node: Node, rule: Rule, path: Path) -> None:
        schema: dict[str, Any] = rule.foreign
        if isinstance(node.value, list) and rule.schema.get("uniqueItems"):
            schema["uniqueItems"] = True
        if not schema:
            return
        for inner, message in foreign_errors(
            {**schema, "$defs": rule.root.get("$defs", {})}, plain(node)
        ):
            self._say(_at(node, inner), (*path, *inner), message)


def _names(hint: str, key: str) -> bool:
    """Whether *hint*, of an unknown key, says that *key* was meant."""
    return f"'{key}'" in hint or f"{key}: " in hint or hint == f"write {key}"


def _at(node: Node, path: Sequence[str | int]) -> Node:
    for part in path:
        node = node.value[part]
    return node


def _advice(node: Node, schema: Mapping[str, Json]) -> str:
    value, types = node.value, set(types_of(schema))
    numeric = types & {"integer", "number"}
    if node.raw is not None:
        return ""
    if isinstance(value, str) and "${" in value:
        return "'${…}' is not replaced here; write the value itself"
    if "string" in types and not numeric and isinstance(value, (bool, int, float)):
        return "put it in quotes"
    if "boolean" in types and isinstance(value, str):
        meant = {"true": _TRUE, "false": _FALSE}.items()
        return next((f"write {word}" for word, said in meant if value.lower() in said), "")
    if numeric and isinstance(value, str) and re.fullmatch(r"[-+]?[0-9][0-9_.,]*", value):
        return "write it without quotes, '_' and ','"
    if numeric and isinstance(value, str) and re.fullmatch(r"[0-9.]+ *[a-zA-Z%]+", value):
        return "write a number alone, without a unit"
    if "object" in types and not numeric:
        return _mapping_of(value, schema)
    if "array" in types and isinstance(value, dict) and node.loose:
        return "put '- ' before each item"
    if types == {"array"} and isinstance(value, (str, int, float)):
        return "write it in brackets, or put '- ' before each item"
    return ""


def _mapping_of(value: Json, schema: Mapping[str, Json]) -> str:
    """The mapping that may have been meant by a *value* alone."""
    properties = schema.get("properties", {})
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        bounds = [f"{{{name}: {value}}}" for name in ("min", "max") if name in properties]
        return f"write {either(bounds)}" if bounds else ""
    if isinstance(value, str):
        fits = (name for name, one in properties.items() if value in one.get("enum", ()))
        if (fit := next(fits, None)) is not None:
            return f"write {{{fit}: {value}}}"
    if isinstance(value, list):
        lists = [name for name, one in properties.items() if one.get("type") == "array"]
        if len(lists) == 1:
            return f"write {{{lists[0]}: […]}}"
    few = properties and len(properties) <= _FEW and "x-wants" not in schema
    return f"it takes {', '.join(sorted(properties))}" if few else ""


def _path_for(scheme: str, rest: str) -> str:
    """The path that leads to where an address does, if there is one."""
    there = "/" + rest.lstrip("/")
    if scheme.lower() == "dbfs":
        return f"write {there if there.startswith('/Volumes/') else '/dbfs' + there}"
    return f"write {there}" if scheme.lower() == "file" else ""


_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(/.*)", re.DOTALL)
_FEW = 8  # keys that a hint lists
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
_PATTERNS: Mapping[str, str] = {"^https?://": "an address that begins with http:// or https://"}
_BOUNDS: tuple[tuple[str, Callable[[Any, Any], bool], str], ...] = (
    ("minimum", lambda value, bound: value >= bound, "of at least"),
    ("exclusiveMinimum", lambda value, bound: value > bound, "above"),
    ("maximum", lambda value, bound: value <= bound, "of at most"),
    ("exclusiveMaximum", lambda value, bound: value < bound, "below"),
)
