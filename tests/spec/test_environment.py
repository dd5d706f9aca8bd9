"""`${…}`: where it is replaced, with what, and what is said where it cannot be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.registry import Registry
from dbrun.spec.document import parse
from dbrun.spec.environment import Environment
from dbrun.spec.nodes import UNKNOWN, Findings, Node, plain
from dbrun.spec.schema import Schemas

SCHEMAS = Schemas(Registry(entry_points=False))
ENVIRON = {"A": "x", "N": "5", "F": "0.5", "T": "true", "EMPTY": "", "NULL": "null", "BIG": ".inf"}


def replaced(
    spec: Any, environ: Mapping[str, str] = ENVIRON, *, strict: bool = True
) -> tuple[Node, list[str]]:
    """A spec with `${…}` replaced, and what was wrong with it."""
    findings = Findings()
    root = parse(spec if isinstance(spec, str) else json.dumps(spec), file="x.yaml", folder="/f")
    found = Environment(SCHEMAS, environ, findings, strict=strict).resolve(root)
    return found, [f"{one.path}: {one.message}" for one in findings.problems]


def value(spec: Any, *path: str | int) -> Any:
    """A value of a spec in which everything could be replaced."""
    root, problems = replaced(spec)
    assert problems == []
    found: Any = plain(root)
    for part in path:
        found = found[part]
    return found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("${A}", "x"),
        ("a-${A}-${N}", "a-x-5"),
        ("${EMPTY}", ""),
        ("${EMPTY:-y}", "y"),
        ("${NOWHERE:-y}", "y"),
        ("${NOWHERE:-}", ""),
        ("${NOWHERE:-a:-b $c}", "a:-b $c"),
        ("${A:-y}", "x"),
        ("$$", "$"),
        ("$${A}", "${A}"),
        ("$$$A", "$$A"),
        ("$A $1 5$", "$A $1 5$"),
        ("${N}", "5"),
        ("${vars.text}", "x"),
        ("${vars.number}", "7"),
        ("n${vars.number}, ${vars.flag}", "n7, true"),
        ("${vars.other}", "-x"),
    ],
)
def test_texts(text: str, found: str) -> None:
    variables = {"text": "${A}", "number": 7, "flag": True, "other": "-${vars.text}"}
    assert value({"vars": variables, "sink": text}, "sink") == found


@pytest.mark.parametrize(
    ("spec", "path", "found"),
    [
        ({"repeats": 1, "limits": {"timeout": "${F}"}}, ("limits", "timeout"), 0.5),
        ({"limits": {"attempts": "${N}"}}, ("limits", "attempts"), 5),
        ({"limits": {"attempts": "${F}"}}, ("limits", "attempts"), "0.5"),
        ({"limits": {"concurrency": "${N}"}}, ("limits", "concurrency"), 5),
        ({"limits": {"concurrency": "${NOWHERE:-auto}"}}, ("limits", "concurrency"), "auto"),
        ({"journal": {"share": "${T}"}}, ("journal", "share"), True),
        ({"journal": {"share": "${N}"}}, ("journal", "share"), "5"),
        ({"journal": {"path": "${N}"}}, ("journal", "path"), "5"),
        ({"stop": "${N}"}, ("stop",), "5"),
        ({"stop": ["${N}"]}, ("stop", 0), "5"),
        ({"params": {"a": "${N}"}}, ("params", "a"), 5),
        ({"params": {"a": {"b": ["${F}", "n${N}"]}}}, ("params", "a", "b"), [0.5, "n5"]),
        ({"params": {"a": "${BIG}"}}, ("params", "a"), ".inf"),
        ({"params": {"a": "${NULL}", "b": 1}}, ("params",), {"b": 1}),
        ({"vars": {"a": "${N}"}}, ("vars", "a"), "5"),
        ({"vars": {"a": [1]}, "params": {"b": "${vars.a}"}}, ("params", "b"), [1]),
        ({"vars": {"a": [1]}, "stop": "${vars.a}"}, ("stop",), [1]),
        ({"vars": {"a": 5}, "source": {"id": "${vars.a}"}}, ("source", "id"), "5"),
        ({"vars": {"a": 5}, "limits": {"window": "${vars.a}"}}, ("limits", "window"), 5),
        ({"vars": {"a": "5"}, "limits": {"window": "${vars.a}"}}, ("limits", "window"), 5),
        ({"vars": {"a": "5"}, "source": {"id": "${vars.a}"}}, ("source", "id"), "5"),
        ({"vars": {"a": "5"}, "params": {"b": "${vars.a}"}}, ("params", "b"), "5"),
        ({"vars": {"a": "${N}"}, "params": {"b": "${vars.a}"}}, ("params", "b"), 5),
        ({"vars": {"a": "${N}"}, "params": {"b": "x${vars.a}"}}, ("params", "b"), "x5"),
        (
            {"endpoint": {"adapter": "${NOWHERE:-local}", "threads": "${N}"}},
            ("endpoint", "threads"),
            5,
        ),
        ({"endpoint": {"adapter": "local", "task": "${A}"}}, ("endpoint", "task"), "x"),
        ({"endpoint": {"adapter": "nobody", "a": "${N}"}}, ("endpoint", "a"), "5"),
        ({"steps": [{"name": "a", "params": {"b": "${N}"}}]}, ("steps", 0, "params", "b"), 5),
        ({"gates": {"success": {"min": "${F}"}}}, ("gates", "success", "min"), 0.5),
        ({"source": {"where": "a == '${A}'"}}, ("source", "where"), "a == 'x'"),
        (
            {"endpoint": {"adapter": "mlflow", "columns": {"a": "${A}"}}},
            ("endpoint", "columns"),
            {"a": "x"},
        ),
    ],
)
def test_types(spec: Any, path: tuple[str | int, ...], found: Any) -> None:
    got = value(spec, *path)
    assert got == found
    assert type(got) is type(found)


@pytest.mark.parametrize(
    "spec",
    [
        {"prompt": "${A} ${vars.x} $$"},
        {"messages": [{"role": "user", "content": "${A} ${vars.x}"}]},
        {"steps": [{"name": "a", "prompt": "${vars.x}", "when": "${vars.x}"}]},
        {"endpoint": {"adapter": "http", "body": {"a": ["${vars.x}", "$$"]}}},
        {"endpoint": {"adapter": "http", "body": "${vars.x}"}},
        {"job": {"name": "${vars.x}-${bundle.target}"}},
        {"source": {"rows": [{"a": "${A} $$"}]}},
        {"description": "${A} $$"},
        {"name": "${A}"},
        {
            "endpoint": {
                "adapter": "openai",
                "api_key": "${A}",
                "headers": {"Authorization": "${A}"},
            }
        },
    ],
)
def test_places_where_nothing_is_replaced(spec: Any) -> None:
    assert value(spec) == spec


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "${vars.x}"},
        {"description": "a ${vars.x}"},
        {"source": {"rows": [{"a": "${vars.x}"}]}},
        {"prompt": {"file": "${vars.x}"}},
        {"transforms": {"row": "${vars.x}"}},
        {"response_schema": {"const": "${vars.x}"}},
        {"tests": [{"name": "${vars.x}"}]},
    ],
)
def test_places_where_a_variable_is_a_mistake(spec: Any) -> None:
    _, problems = replaced({"vars": {"x": "y"}, **spec})
    assert [problem.partition(": ")[2] for problem in problems] == [
        "'${vars.…}' is not replaced here"
    ]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"sink": "${NOWHERE}"}, "sink: the environment variable NOWHERE is not set"),
        ({"sink": "${vars.x}"}, "sink: there is no variable 'x'"),
        ({"sink": "a${}"}, "sink: '${}' cannot be replaced"),
        ({"sink": "${A"}, "sink: '${A' cannot be replaced"),
        ({"sink": "${a b}"}, "sink: '${a b}' cannot be replaced"),
        ({"sink": "${vars.x.y}", "vars": {"x": 1}}, "sink: '${vars.x.y}' cannot be replaced"),
        ({"sink": "a${vars.x}", "vars": {"x": [1]}}, "sink: ${vars.x} is no text"),
        ({"vars": {"a": "${vars.b}", "b": "${vars.a}"}}, "vars.a: refers to itself: a → b → a"),
        ({"vars": {"a": {"b": ["${vars.a}"]}}}, "vars.a: refers to itself: a → a"),
    ],
)
def test_problems(spec: Any, said: str) -> None:
    _, problems = replaced(spec)
    assert len(problems) == 1
    assert problems[0].startswith(said)


def test_what_could_not_be_replaced_is_unknown() -> None:
    spec = {"vars": {"a": "${NOWHERE}"}, "sink": "${vars.a}", "stop": ["x${vars.a}"]}
    root, problems = replaced(spec)
    assert problems == ["vars.a: the environment variable NOWHERE is not set"]
    assert root.value["sink"].value is UNKNOWN
    assert root.value["stop"].value[0].value is UNKNOWN


def test_where_not_strict_what_is_unset_is_passed_over() -> None:
    root, problems = replaced({"sink": "${NOWHERE}", "repeats": 1}, strict=False)
    assert problems == []
    assert root.value["sink"].value is UNKNOWN


def test_a_path_starts_where_its_variable_was_given() -> None:
    findings = Findings()
    root = parse(
        "vars: {x: rows.jsonl}\nsource: ${vars.x}\nsink: a/${vars.x}\n", file="x", folder="/f"
    )
    given_there = parse("rows.jsonl", file="--var", folder="/elsewhere")
    root.value["vars"].value["x"] = given_there
    found = Environment(SCHEMAS, {}, findings).resolve(root)
    assert found.value["source"].at.folder == "/elsewhere"
    assert found.value["source"].at.line == 2
    assert found.value["sink"].at.folder == "/f"


@given(st.text(alphabet="${}A:-.vars \n"), st.text(alphabet="ab$\n"))
def test_what_is_inserted_is_not_read_again(text: str, content: str) -> None:
    root, problems = replaced({"sink": text}, {"A": content})
    found = root.value["sink"].value
    assert (found is UNKNOWN) == bool(problems)
    if "${" not in text.replace("$$", ""):
        assert found == text.replace("$$", "$")
    if text.replace("$$", "").count("${A}") == 1 == text.replace("$$", "").count("${"):
        before, after = text.replace("$$", "\0").split("${A}")
        assert found == (before + content + after).replace("\0", "$")
