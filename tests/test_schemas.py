"""The schemas are schemas, strict ones, and say exactly what is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from dbrun import errors
from dbrun.spec.schema import SCHEMA_FILES, read_schema
from dbrun.types import (
    FINISH_REASONS,
    USAGE_FIELDS,
    Failure,
    Record,
    Score,
    StepResult,
    Timing,
    Usage,
)

FOLDER = Path(__file__).parent.parent / "schemas"
RECORD = read_schema("record")
MANIFEST = read_schema("manifest")

KEYS = st.text("0123456789abcdef", min_size=64, max_size=64)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
USAGES = st.builds(Usage, **{name: st.none() | st.integers(0, 10**9) for name in USAGE_FIELDS})
RESULTS = st.builds(
    StepResult,
    output=JSON,
    finish_reason=st.none() | st.sampled_from(FINISH_REASONS),
    usage=st.none() | USAGES,
    key=st.none() | KEYS,
    text=st.none() | st.text(),
    raw=JSON,
    request=JSON,
)
SCORES = st.dictionaries(
    st.text(min_size=1),
    st.builds(
        Score,
        value=st.none() | st.booleans() | st.integers(0, 9) | st.floats(0, 1),
        explanation=st.none() | st.text(),
    ),
    max_size=2,
)
FAILURES = st.builds(
    Failure,
    kind=st.sampled_from(sorted(RECORD["$defs"]["error"]["properties"]["class"]["enum"])),
    message=st.text(),
    status=st.none() | st.integers(100, 599),
    retryable=st.booleans(),
    where=st.none() | st.text(min_size=1),
)
ADDABLE = ("index", "text", "raw", "request", "timing")


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Any record that a run may make."""
    status = draw(st.sampled_from(["ok", "error", "filtered"]))
    steps = draw(st.dictionaries(st.text(min_size=1), RESULTS, max_size=3))
    return Record(
        id=draw(st.text()),
        index=draw(st.integers(0, 10**6)),
        status=status,
        row=draw(st.dictionaries(st.text(), JSON, max_size=3)),
        output=draw(JSON) if status == "ok" else None,
        repeat=draw(st.none() | st.integers(1, 9)),
        failure=draw(FAILURES) if status == "error" else None,
        steps=steps,
        stepwise=draw(st.booleans()),
        last=draw(st.none() | RESULTS),
        timing=draw(st.none() | st.builds(Timing, latency=st.floats(0, 1e4))),
        variant=draw(st.none() | st.text(min_size=1)),
        scores=draw(SCORES) if status == "ok" and draw(st.booleans()) else None,
    )


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every part of a schema that describes an object by its properties."""
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("type") not in (None, "array"):
            yield schema
        for value in schema.values():
            yield from objects(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from objects(value)


@pytest.mark.parametrize("name", SCHEMA_FILES)
def test_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(read_schema(name))


def test_there_is_a_file_for_each() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(
        f"{name}.schema.json" for name in SCHEMA_FILES
    )


@pytest.mark.parametrize("schema", [RECORD, MANIFEST, read_schema("diff")])
def test_nothing_may_be_there_that_is_not_described(schema: dict[str, Any]) -> None:
    assert schema["additionalProperties"] is False
    for name, field in schema["properties"].items():
        assert "description" in field or name in ("tokens", "versions", "digests", "requests")
    for part in objects(schema):
        # What adapters say of an endpoint is theirs.
        assert part.get("additionalProperties") is False or "adapter" in part["properties"]


@given(records(), st.frozensets(st.sampled_from(ADDABLE)), st.data())
def test_every_record_is_what_its_schema_says(
    record: Record, add: frozenset[str], data: st.DataObject
) -> None:
    rest = sorted(set(record.to_json(add)) - {"id", "status", "output"})
    omit = data.draw(st.frozensets(st.sampled_from(rest))) if rest else frozenset()
    Draft202012Validator(RECORD).validate(record.to_json(add, omit))


@given(records())
def test_fields_come_in_the_order_of_the_schema(record: Record) -> None:
    described = list(RECORD["properties"])
    told = list(record.to_json(frozenset(ADDABLE)))
    assert told == sorted(told, key=described.index)


@pytest.mark.parametrize(
    "change",
    [
        {"id": 7},
        {"status": "fine"},
        {"status": "error"},
        {"error": {"class": "render", "message": "no", "retryable": False}},
        {"finish_reason": "max_tokens"},
        {"key": "abc"},
        {"usage": {"prompt_tokens": 3}},
        {"extra": 1},
    ],
)
def test_what_is_no_record_is_refused(change: dict[str, Any]) -> None:
    good = {"id": "T", "status": "ok", "output": "x"}
    Draft202012Validator(RECORD).validate(good)
    with pytest.raises(ValidationError):
        Draft202012Validator(RECORD).validate({**good, **change})


def test_error_classes_are_those_of_the_errors() -> None:
    def below(kind: type[errors.RowError]) -> Iterator[type[errors.RowError]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    kinds = {kind.kind for kind in below(errors.RowError) if kind.__module__ == "dbrun.errors"}
    assert kinds == set(RECORD["$defs"]["error"]["properties"]["class"]["enum"])


def test_words_are_those_of_the_types() -> None:
    assert RECORD["properties"]["finish_reason"]["enum"] == list(FINISH_REASONS)
    assert list(RECORD["$defs"]["usage"]["properties"]) == list(USAGE_FIELDS)
    assert list(MANIFEST["$defs"]["usage"]["properties"]) == list(USAGE_FIELDS)
    told = Failure(kind="render", message="", status=400, where="x").to_json()
    assert list(told) == list(RECORD["$defs"]["error"]["properties"])
    timing = [field.name for field in dataclasses.fields(Timing)]
    assert timing == list(RECORD["properties"]["timing"]["properties"])
