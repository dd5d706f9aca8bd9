"""The schema of a pipeline file, and which of its rules hold for which value; the only door to
jsonschema.

The schema's own vocabulary is read here and in `check`, for two reasons: a problem can then say
what a person needs, and a small spec is checked in a tenth of the time it takes to import a
general validator. That one is used where schemas come from elsewhere: for keywords of plug-ins
that are not read here, and to see that a `response_schema` is a schema.

Annotations that the schema carries beside the standard ones:

    x-kind          what a value stands for: path, reference, template or credential
    x-environment   whether `${NAME}` is replaced here and below
    x-scalars       texts that come from `${NAME}` are read as YAML scalars here and below
    x-plugin        the kind of plug-in whose own options are checked here
    x-wants, x-names, x-message, x-hint, x-missing     words for problems
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from ..errors import PluginError
from ..frozen import frozen
from ..registry import BUILT_IN, Registry
from ..types import Json
from .conditions import TYPES, holds
from .formats import source_kind
from .nodes import Node, Path, children
from .wording import either

SCHEMA_FILES = ("pipeline", "record", "manifest", "diff")

_ASSERTIONS = frozenset(
    {
        "type",
        "enum",
        "const",
        "properties",
        "required",
        "additionalProperties",
        "propertyNames",
        "minProperties",
        "maxProperties",
        "items",
        "minItems",
        "maxItems",
        "uniqueItems",
        "pattern",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "not",
        "$ref",
        "allOf",
        "if",
        "then",
        "else",
    }
)
_ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "deprecated", "$schema", "$defs", "$comment"}
)
_COMMON_OF_SOURCES = ("format", "id", "where", "limit")


@frozen
class Rule:
    """A schema, with the document that its `$ref`s point into."""

    schema: Mapping[str, Json]
    root: Mapping[str, Json]

    def sub(self, schema: Json) -> tuple[Rule, ...]:
        """The rules of a schema within this one; `true` has none."""
        if schema is False:
            return (Rule(schema={"not": {}}, root=self.root),)
        return (Rule(schema=schema, root=self.root),) if isinstance(schema, Mapping) else ()

    @property
    def foreign(self) -> dict[str, Json]:
        """The part of the schema that is not read here."""
        return {
            key: value
            for key, value in self.schema.items()
            if key not in _ASSERTIONS and key not in _ANNOTATIONS and not key.startswith("x-")
        }


def read_schema(name: str = "pipeline") -> dict[str, Json]:
    """The schema of a pipeline file, a record or a manifest, as data."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for folder in (os.path.join(here, "schemas"), os.path.join(os.path.dirname(here), "schemas")):
        path = os.path.join(folder, f"{name}.schema.json")
        if os.path.isfile(path):
            with open(path, encoding="utf-8") as stream:
                return cast("dict[str, Json]", json.load(stream))
    raise PluginError(f"the schema of the {name} is not installed", "reinstall dbrun")


class Schemas:
    """The rules for every value of a pipeline file, those of the plug-ins it names included."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        schema = read_schema()
        self.top = Rule(schema=schema, root=schema)
        self._plugins: dict[tuple[str, str], Rule | None] = {}

    def holding(self, rules: Iterable[Rule], node: Node) -> list[Rule]:
        """*rules* and all that they refer to, as far as they hold for *node*."""
        found: list[Rule] = []
        for rule in rules:
            self._unfold(rule, node, found)
        return found

    def inside(self, rules: Iterable[Rule], name: str) -> list[Rule]:
        """The rules for a key of a mapping for which *rules* hold."""
        found: list[Rule] = []
        for rule in rules:
            known = rule.schema.get("properties", {})
            schema = known[name] if name in known else rule.schema.get("additionalProperties")
            if schema is not False or name in known:
                found += rule.sub(schema)
        return found

    def items(self, rules: Iterable[Rule]) -> list[Rule]:
        """The rules for the items of a list for which *rules* hold."""
        return [inner for rule in rules for inner in rule.sub(rule.schema.get("items"))]

    def below(self, rules: Iterable[Rule], part: str | int, node: Node) -> list[Rule]:
        """The rules for one part of *node*, a mapping's or a list's."""
        if isinstance(node.value, list):
            return self.items(rules)
        return self.inside(rules, str(part))

    def adapters_with(self, option: str) -> list[str]:
        """The built-in adapters that have an option of this name."""
        definitions = self.top.root["$defs"].items()
        return [
            name.removeprefix("adapter_")
            for name, schema in definitions
            if name.startswith("adapter_") and option in schema["properties"]
        ]

    def walk(
        self, root: Node, enter: Callable[[Path, Sequence[Rule]], bool]
    ) -> Iterator[tuple[Path, Node, Sequence[Rule]]]:
        """Every value in *root* with its path and the rules that hold for it.

        Values for which *enter* is false are passed over, with all that they hold.
        """
        yield from self._walk(root, [self.top], (), enter)

    def _walk(
        self,
        node: Node,
        rules: Sequence[Rule],
        path: Path,
        enter: Callable[[Path, Sequence[Rule]], bool],
    ) -> Iterator[tuple[Path, Node, Sequence[Rule]]]:
        held = self.holding(rules, node)
        if not enter(path, held):
            return
        yield path, node, held
        for part, child in children(node, path):
            yield from self._walk(child, self.below(held, part, node), (*path, part), enter)

    def _unfold(self, rule: Rule, node: Node, found: list[Rule]) -> None:
        schema = rule.schema
        found.append(rule)
        if "$ref" in schema:
            self._unfold(_target(rule), node, found)
        if "x-kind" in schema and rule.root is not self.top.root:
            for sub in self._usual(schema):
                self._unfold(sub, node, found)
        plugin = self._plugin(rule, node) if "x-plugin" in schema else None
        if plugin is not None:
            self._unfold(plugin, node, found)
        else:
            for inner in schema.get("allOf", ()):
                for sub in rule.sub(inner):
                    self._unfold(sub, node, found)
        if "if" in schema:
            branch = "then" if holds(schema["if"], node, rule.root) else "else"
            for sub in rule.sub(schema.get(branch)):
                self._unfold(sub, node, found)

    def _usual(self, schema: Mapping[str, Json]) -> tuple[Rule, ...]:
        """What a plug-in need not say of a value of a kind: its form in the file."""
        kind = schema["x-kind"]
        if kind in ("credential", "reference", "endpoint", "prompt"):
            return (Rule(schema=self.top.root["$defs"][kind], root=self.top.root),)
        return () if "type" in schema else (Rule(schema={"type": "string"}, root=self.top.root),)

    def _plugin(self, rule: Rule, node: Node) -> Rule | None:
        kind = rule.schema["x-plugin"]
        name = _plugin_name(kind, node)
        if name is None:
            return None
        if (kind, name) not in self._plugins:
            self._plugins[kind, name] = self._options(kind, name, rule)
        return self._plugins[kind, name]

    def _options(self, kind: str, name: str, rule: Rule) -> Rule | None:
        try:
            options = self._registry.get(kind, name).options
        except PluginError:
            return None  # reported where the name is looked up
        if name not in BUILT_IN.get(kind, {}):
            _refuse_broken(kind, name, options)
        common = _COMMON_OF_SOURCES if kind == "sources" else rule.schema["properties"]
        own = {
            key: {**_area_of(rule, name, key), **option} if isinstance(option, dict) else option
            for key, option in options.get("properties", {}).items()
        }
        properties = {**dict.fromkeys(common, True), **own}
        schema = {**options, "properties": properties, "additionalProperties": False}
        return Rule(schema=schema, root=schema)


def _area_of(rule: Rule, name: str, key: str) -> dict[str, Json]:
    """Whether `${…}` is replaced in an option, which the schema says of built-in plug-ins."""
    definitions = rule.root["$defs"]
    kind = rule.schema["x-plugin"].removesuffix("s")
    known = definitions.get(f"{kind}_{name}", rule.schema)["properties"].get(key)
    area = known.get("x-environment") if isinstance(known, dict) else None
    return {} if area is None else {"x-environment": area}


def _plugin_name(kind: str, node: Node) -> str | None:
    if not isinstance(node.value, dict):
        return None
    if kind == "sources":
        return source_kind(node)
    named = node.get("type" if kind == "scores" else "adapter")
    return named.value if named is not None and isinstance(named.value, str) else None


def _target(rule: Rule) -> Rule:
    found: Json = rule.root
    for part in rule.schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return Rule(schema=found, root=rule.root)


def _refuse_broken(kind: str, name: str, options: Json) -> None:
    """Say of a third party's plug-in that its options are no schema, before they are used."""
    errors = schema_errors(options) if isinstance(options, Mapping) else [([], "is no mapping")]
    for _, message in errors:
        said = f"{kind[:-1]} '{name}' describes its options by no JSON Schema: {message}"
        raise PluginError(said, "ask its author")


def foreign_errors(schema: Mapping[str, Json], data: Json) -> list[tuple[list[Any], str]]:
    """What is wrong with *data* by a schema of any vocabulary: paths within it, and messages."""
    from jsonschema import Draft202012Validator

    errors = Draft202012Validator(schema).iter_errors(data)
    return [(list(error.absolute_path), error.message) for error in errors]


def schema_errors(schema: Json) -> list[tuple[list[Any], str]]:
    """What is wrong with *schema* as a JSON Schema: paths within it, and messages."""
    from jsonschema import exceptions, validators

    kind = validators.validator_for(schema, default=validators.Draft202012Validator)
    meta = kind(kind.META_SCHEMA, format_checker=kind.FORMAT_CHECKER)
    try:
        found = [(list(error.absolute_path), error) for error in meta.iter_errors(schema)]
    except RecursionError:
        return [([], "is nested too deeply")]
    best = exceptions.best_match(error for _, error in found)
    if best is None:
        return [] if isinstance(schema, bool) else _dangling(schema)
    if best.validator == "anyOf" and list(best.absolute_path)[-1:] == ["type"]:
        return [(list(best.absolute_path), f"wants {either(TYPES)}, or a list of these")]
    return [(list(best.absolute_path), best.message)]


def _dangling(schema: Mapping[str, Json]) -> list[tuple[list[Any], str]]:
    """The first `$ref` that leads nowhere. Nothing is ever fetched for one."""
    from referencing import Registry as References
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    resource = DRAFT202012.create_resource(schema)
    resolver = References().with_resource("", resource).resolver()
    for path, reference in _references(schema, []):
        try:
            resolver.lookup(reference)
        except (Unresolvable, ValueError):
            return [(path, f"'{reference}' leads to nothing in the schema")]
    return []


def _references(schema: Json, path: list[Any]) -> Iterator[tuple[list[Any], str]]:
    if isinstance(schema, Mapping):
        if path and "$id" in schema:
            return  # what is in it is found from its own address
        if isinstance(schema.get("$ref"), str):
            yield [*path, "$ref"], schema["$ref"]
        for key, inner in schema.items():
            if key not in ("const", "enum", "default", "examples"):
                yield from _references(inner, [*path, key])
    elif isinstance(schema, list):
        for index, inner in enumerate(schema):
            yield from _references(inner, [*path, index])
