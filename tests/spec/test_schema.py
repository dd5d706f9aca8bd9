"""The schema of a pipeline file: valid itself, in step with classes and plug-ins, read right."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, ClassVar

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from dbrun.errors import PluginError, SpecError
from dbrun.registry import BUILT_IN, Registry
from dbrun.spec import model
from dbrun.spec.check import check
from dbrun.spec.credentials import check_literals
from dbrun.spec.document import parse
from dbrun.spec.load import load_spec
from dbrun.spec.nodes import Findings
from dbrun.spec.schema import Schemas, read_schema, schema_errors

SCHEMA = read_schema()
DEFS = SCHEMA["$defs"]
COMMON = {"adapter", "headers", "verify", "send_stop", "limits", "identity", "price"}


WORDS_FOR_PEOPLE = {"title", "description", "x-environment", "x-wants"}


def resolved(schema: Any) -> Any:
    """*schema* with `$ref`s in place of what they name, and without words for people."""
    if isinstance(schema, list):
        return [resolved(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target: Any = SCHEMA
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    kind = schema.get("x-kind")
    if kind in ("credential", "reference") or (
        kind == "template" and schema.get("type", "string") == "string"
    ):
        return {"x-kind": kind}  # the form of these is understood
    return {key: resolved(value) for key, value in schema.items() if key not in WORDS_FOR_PEOPLE}


def test_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert schema_errors(SCHEMA) == []


def described(schema: Any, path: str = "") -> list[str]:
    """Properties that an editor would show without a title or a description."""
    found: list[str] = []
    if isinstance(schema, dict):
        for name, inner in schema.get("properties", {}).items():
            if isinstance(inner, dict) and not {"title", "description"} <= inner.keys():
                found.append(f"{path}.{name}")
        for key, inner in schema.items():
            if key not in ("if", "not", "const", "enum", "default"):
                found += described(inner, f"{path}.{key}")
    elif isinstance(schema, list):
        for index, inner in enumerate(schema):
            found += described(inner, f"{path}[{index}]")
    return found


def test_every_key_is_described() -> None:
    bare = [
        path
        for path in described(SCHEMA)
        # Said where the definition is used.
        if not path.startswith((".properties.gates.", ".$defs.response_schema.then"))
    ]
    assert bare == []


@pytest.mark.parametrize("name", sorted(BUILT_IN["adapters"]))
def test_has_the_options_of_adapters(name: str) -> None:
    try:
        options = Registry().get("adapters", name).options
    except PluginError as error:
        pytest.fail(f"{name} does not import: {error}")
    branch = DEFS[f"adapter_{name}"]
    own = {key: value for key, value in branch["properties"].items() if key not in COMMON}
    assert {key for key in branch["properties"] if branch["properties"][key] is True} == COMMON
    assert resolved(own) == resolved(dict(options["properties"]))
    assert branch.get("required", []) == options.get("required", [])
    assert branch["additionalProperties"] is False


@pytest.mark.parametrize("name", sorted(BUILT_IN["scores"]))
def test_has_the_options_of_scores(name: str) -> None:
    options = Registry().get("scores", name).options
    whole = {key for key in ("endpoint", "prompt") if key in options["properties"]}
    branch = DEFS[f"score_{name}"]
    common = set(DEFS["score"]["properties"])
    own = {key: value for key, value in branch["properties"].items() if key not in common}
    assert {key for key in branch["properties"] if branch["properties"][key] is True} == common
    for key in whole:  # of a form of their own, which the class need not say
        assert own.pop(key)["$ref"] == f"#/$defs/{key}"
        assert options["properties"][key]["x-kind"] == key
    rest = {key: value for key, value in options["properties"].items() if key not in whole}
    assert resolved(own) == resolved(rest)
    assert branch.get("required", []) == options.get("required", [])
    assert branch["additionalProperties"] is False


def test_branches_on_every_built_in_score() -> None:
    conditions = [branch["if"] for branch in DEFS["score"]["allOf"]]
    names = {condition["properties"]["type"]["const"] for condition in conditions}
    assert names == set(BUILT_IN["scores"])
    assert set(DEFS["score"]["properties"]["type"]["examples"]) == names


def test_branches_on_every_built_in_adapter() -> None:
    conditions = [branch["if"] for branch in DEFS["endpoint_mapping"]["allOf"]]
    names = {condition["properties"]["adapter"]["const"] for condition in conditions}
    assert names == set(BUILT_IN["adapters"])
    assert set(DEFS["endpoint_mapping"]["properties"]["adapter"]["examples"]) == names


@pytest.mark.parametrize("name", sorted(BUILT_IN["sources"]))
def test_has_the_options_of_sources(name: str) -> None:
    options = Registry().get("sources", name).options
    known = DEFS["source"]["properties"]
    assert set(options["properties"]) <= set(known)
    assert set(known) == set(DEFS["source_closed"]["properties"])
    for key, option in options["properties"].items():
        same = {"enum", "minimum", "minLength", "maxLength", "default", "x-kind"}
        wanted = {word: value for word, value in option.items() if word in same}
        assert {
            key: value for key, value in resolved(known[key]).items() if key in wanted
        } == wanted


@pytest.mark.parametrize(
    ("properties", "made"),
    [
        (SCHEMA["properties"]["journal"]["properties"], model.JournalSpec(path="")),
        (DEFS["limits"]["properties"], model.Limits()),
        (DEFS["price"]["properties"], model.Price()),
        (DEFS["response_schema"]["then"]["properties"], model.ResponseSchema(schema={})),
        (DEFS["endpoint_mapping"]["properties"], model.EndpointSpec(adapter="")),
    ],
    ids=["journal", "limits", "price", "response_schema", "endpoint"],
)
def test_has_the_defaults_of_the_classes(properties: dict[str, Any], made: Any) -> None:
    fields = {field.name for field in dataclasses.fields(made)}
    for name, schema in properties.items():
        if "default" in schema and name in fields:
            assert getattr(made, name) == schema["default"], name
    concurrency = DEFS["limits"]["properties"]["concurrency"]["properties"]
    usual = model.Concurrency()
    assert [concurrency[key]["default"] for key in ("start", "min", "max")] == [
        usual.start,
        usual.low,
        usual.high,
    ]


def test_every_field_of_the_classes_is_in_the_schema() -> None:
    def fields(kind: type[Any]) -> set[str]:
        return {field.name for field in dataclasses.fields(kind)}

    top = set(SCHEMA["properties"])
    aside = {
        "file",
        "folder",
        "project",
        "merged",
        "target",
        "row",
        "filters",
        "gated_variants",
        "variants",
    }
    assert fields(model.Spec) - aside <= top
    assert fields(model.Limits) <= set(DEFS["limits"]["properties"])
    assert fields(model.Price) == set(DEFS["price"]["properties"])
    assert fields(model.JournalSpec) == set(SCHEMA["properties"]["journal"]["properties"])
    aside = {"options", "where", "marks", "path"}
    assert fields(model.EndpointSpec) - aside == set(DEFS["endpoint_mapping"]["properties"])
    aside = {"input", "output", "path", "where", "places"}
    assert fields(model.StepSpec) - aside <= set(DEFS["step"]["properties"])


# The schema's own reading against a general validator's.

KEYS = sorted(
    {*SCHEMA["properties"], *DEFS["limits"]["properties"], *DEFS["step"]["properties"]}
    | {*DEFS["adapter_mlflow"]["properties"], *DEFS["source"]["properties"], "env", "secret"}
)
WORDS = ["databricks", "mlflow", "http", "local", "auto", "a:b", "rows", "reuse", "raw", "x y", ""]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.sampled_from([0.5, 1.0, 1e9])
    | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=8,
)
SPEC: dict[str, Any] = {
    "name": "x",
    "source": {"path": "a.jsonl", "limit": 3},
    "endpoint": {"adapter": "mlflow", "url": "http://a", "limits": {"timeout": 1}},
    "messages": [{"role": "user", "content": [{"text": "a"}]}],
    "journal": {"mode": "reuse"},
    "transforms": {"row": ["a:b"], "output": {"function": "a:b", "from": "raw"}},
    "sink": {"path": "x", "add": ["raw"]},
}


@settings(max_examples=300)
@given(st.sampled_from([None, *SPEC, "steps", "limits", "gates", "targets", "vars"]), VALUES)
def test_reads_as_a_general_validator_does(key: str | None, value: Any) -> None:
    data = value if key is None else {**SPEC, key: value}
    if not isinstance(data, dict):
        data = {"steps": [data]}
    # Without plug-ins the branches of the schema file itself are in force.
    schemas, findings = Schemas(Registry(built_in={}, entry_points=False)), Findings()
    root = parse(json.dumps(data), file="x.yaml", folder="/")
    check(root, schemas, findings)
    check_literals(root, schemas, findings)
    ours = list(findings.problems)
    theirs = list(Draft202012Validator(SCHEMA).iter_errors(data))
    assert not theirs or ours, theirs
    plain = [one for one in ours if "credential" not in one.message and "yet" not in one.message]
    assert theirs or not plain, plain


# Plug-ins of others.


class Vllm:
    """An adapter of a third party."""

    options: ClassVar[dict[str, Any]] = {
        "type": "object",
        "required": ["url"],
        "properties": {
            "url": {"$ref": "#/$defs/address"},
            "key": {"x-kind": "credential"},
            "hook": {"x-kind": "reference"},
            "file": {"x-kind": "path"},
            "text": {"x-kind": "template"},
            "even": {"type": "integer", "multipleOf": 2},
            "tags": {"type": "array", "items": {"anyOf": [{"type": "string"}]}},
        },
        "dependentRequired": {"key": ["hook"]},
        "$defs": {"address": {"type": "string", "pattern": "^https?://"}},
    }


def load_with_vllm(tmp_path: Any, endpoint: dict[str, Any]) -> Any:
    """A spec with the third party's adapter."""
    path = tmp_path / "pipeline.yaml"
    spec = {"name": "x", "source": "rows.jsonl", "prompt": "a", "endpoint": endpoint}
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    registry = Registry(extra={"adapters": {"vllm": Vllm}}, entry_points=False)
    return load_spec(str(path), registry=registry, environ={"URL": "https://x"})


def test_options_of_third_parties_are_built(tmp_path: Any) -> None:
    endpoint = {
        "adapter": "vllm",
        "url": "${URL}",
        "key": {"env": "KEY"},
        "hook": "a:b",
        "file": "x.txt",
        "text": "{{ a }}",
        "even": 4,
        "identity": "mine",
    }
    spec = load_with_vllm(tmp_path, endpoint).spec
    options = spec.steps[0].endpoint.options
    assert options["url"] == "https://x"
    assert options["key"] == {"env": "KEY"}
    assert options["hook"].path == "a:b"
    assert options["file"] == str(tmp_path / "x.txt")
    assert options["text"].source == "{{ a }}"
    assert options["even"] == 4
    assert "identity" not in options
    assert spec.steps[0].endpoint.identity == "mine"


def test_problems_in_options_of_third_parties_have_places(tmp_path: Any) -> None:
    endpoint = {
        "adapter": "vllm",
        "url": "x",
        "key": "sk-secret",
        "hook": 5,
        "text": 1,
        "even": 3,
        "tags": [1],
        "ulr": 1,
    }
    with pytest.raises(SpecError) as raised:
        load_with_vllm(tmp_path, endpoint)
    said = [(one.where.line, one.path, one.message) for one in raised.value.problems]
    assert said == [
        (6, "endpoint.url", "wants an address that begins with http:// or https://, found 'x'"),
        (7, "endpoint.key", "wants a credential by name"),
        (
            8,
            "endpoint.hook",
            "wants a function as package.module:function, or {function, kwargs}, found a number",
        ),
        (9, "endpoint.text", "wants text, found a number"),
        (10, "endpoint.even", "3 is not a multiple of 2"),
        (12, "endpoint.tags[0]", "1 is not valid under any of the given schemas"),
        (13, "endpoint.ulr", "unknown key"),
    ]


def test_keywords_that_are_not_read_here_are_left_to_the_general_validator(tmp_path: Any) -> None:
    with pytest.raises(SpecError, match="'hook' is a dependency of 'key'"):
        load_with_vllm(tmp_path, {"adapter": "vllm", "url": "http://a", "key": {"env": "K"}})


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "object"}, None),
        (True, None),
        ({"type": "objekt"}, ["type"]),
        ({"properties": {"a": {"minimum": "1"}}}, ["properties", "a", "minimum"]),
        ({"pattern": "("}, ["pattern"]),
        ({"required": "a"}, ["required"]),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": 5}, ["definitions"]),
    ],
)
def test_a_wrong_response_schema_has_a_place(schema: Any, path: list[str] | None) -> None:
    found = schema_errors(schema)
    assert [place for place, _ in found] == ([] if path is None else [path])


def test_a_deep_response_schema_is_no_crash() -> None:
    schema: dict[str, Any] = {}
    for _ in range(400):
        schema = {"items": schema}
    assert schema_errors(schema) == [([], "is nested too deeply")]


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}, None),
        ({"properties": {"a": {"$ref": "#"}}}, None),
        ({"items": {"$ref": "#/$defs/b"}, "$defs": {"a": {}}}, ["items", "$ref"]),
        ({"allOf": [{"$ref": "https://example.com/schema.json"}]}, ["allOf", 0, "$ref"]),
        ({"$ref": "#anchor", "$defs": {"a": {"$anchor": "anchor"}}}, None),
        ({"$ref": "other.json"}, ["$ref"]),
        ({"const": {"$ref": "nowhere"}}, None),
    ],
)
def test_references_lead_somewhere_within_the_schema(schema: Any, path: list[Any] | None) -> None:
    assert [place for place, _ in schema_errors(schema)] == ([] if path is None else [path])


@pytest.mark.parametrize(
    "options", [{"type": "strnig"}, {"properties": {"a": {"pattern": "("}}}, {"$ref": "x"}, 5]
)
def test_a_plugin_whose_options_are_no_schema_is_named(options: Any, tmp_path: Any) -> None:
    broken = type("Broken", (), {"options": options})
    path = tmp_path / "pipeline.yaml"
    path.write_text("name: x\nsource: a.jsonl\nprompt: a\nendpoint: {adapter: broken}\n")
    registry = Registry(extra={"adapters": {"broken": broken}}, entry_points=False)
    with pytest.raises(PluginError, match="adapter 'broken' describes its options by no JSON"):
        load_spec(str(path), registry=registry, environ={})


class Queue:
    """A source of a third party, which reads no file."""

    options: ClassVar[dict[str, Any]] = {
        "type": "object",
        "required": ["topic"],
        "properties": {"topic": {"type": "string"}, "key": {"x-kind": "credential"}},
    }


def test_sources_of_third_parties(tmp_path: Any) -> None:
    path = tmp_path / "pipeline.yaml"
    registry = Registry(extra={"sources": {"queue": Queue}}, entry_points=False)
    rest = "endpoint: {adapter: local}\nprompt: a\n"
    path.write_text(f"name: x\nsource: {{format: queue, topic: '${{T}}', id: k, limit: 5}}\n{rest}")
    source = load_spec(str(path), registry=registry, environ={"T": "news"}).spec.source
    assert (source.kind, source.options, source.id) == ("queue", {"topic": "news"}, "k")
    path.write_text(f"name: x\nsource: {{format: queue, topc: news, key: abc}}\n{rest}")
    with pytest.raises(SpecError) as raised:
        load_spec(str(path), registry=registry, environ={})
    assert [(one.path, one.message) for one in raised.value.problems] == [
        ("source.topc", "unknown key"),
        ("source.key", "wants a credential by name"),
    ]
