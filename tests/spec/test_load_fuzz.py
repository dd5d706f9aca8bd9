"""Whatever a file holds, reading it gives a spec or problems with places, and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbrun.errors import UserError
from dbrun.registry import Registry
from dbrun.spec.document import parse
from dbrun.spec.lines import split_lines
from dbrun.spec.load import load_spec
from dbrun.spec.problems import render_problems

SPEC: dict[str, Any] = {
    "version": 1,
    "name": "summarize",
    "description": "a spec of every kind of value",
    "vars": {"day": "monday", "size": 3, "nothing": None},
    "source": {"path": "rows.jsonl", "id": "id", "where": "row.ok", "limit": 5},
    "endpoint": "small",
    "endpoints": {
        "small": {
            "adapter": "openai",
            "base_url": "http://127.0.0.1:1/v1",
            "model": "${MODEL:-small}",
            "api_key": {"env": "KEY"},
            "headers": {"X-Team": "blue", "Authorization": {"env": "KEY", "prefix": "Bearer "}},
            "limits": {"concurrency": {"start": 2, "min": 1, "max": 4}},
            "price": {"input_per_million": 1.5},
        },
        "model": {"adapter": "mlflow", "url": "http://127.0.0.1:1", "columns": {"x": "{{ text }}"}},
        "web": {"adapter": "http", "url": "http://127.0.0.1:1", "body": {"q": ["{{ text }}", 1]}},
        "code": {"adapter": "python", "function": "functions:echo", "kwargs": {"a": None}},
    },
    "steps": [
        {
            "name": "first",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"text": "{{ text }}"}, {"image": "{{ image }}"}]},
            ],
            "stop": ["no", "on"],
            "params": {"temperature": 0, "max_tokens": "${TOKENS:-5}"},
            "response_schema": {"schema": {"type": "object"}, "mode": "native", "reask": 1},
            "transforms": {"input": "functions:request", "output": [{"function": "functions:f"}]},
        },
        {"name": "second", "endpoint": "web", "when": "steps.first.output", "prompt": "x"},
    ],
    "transforms": {"row": "functions:row"},
    "repeats": 2,
    "limits": {"requests_per_minute": 60, "timeout": 5, "concurrency": 4},
    "journal": {"path": "journal", "share": True},
    "sink": {"path": "out.jsonl", "add": ["raw"], "omit": ["row"]},
    "gates": {"success": {"min": 0.9, "warn": 1}},
    "targets": {"prod": {"limits": {"timeout": 9}, "vars": {"nothing": 1}}},
    "default_target": "prod",
    "engine": "local",
    "templates": {"filters": {"short": "functions:short"}},
}

KEYS = sorted(
    {
        *SPEC,
        *SPEC["endpoints"]["small"],
        *SPEC["steps"][0],
        *("file", "column", "env", "secret", "rows", "function", "kwargs", "path", "format"),
        *("matrix", "scores", "prompt", "extends", "role", "content", "schema", "type", "\0", ""),
    }
)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            *("${X}", "${vars.day}", "${vars.self}", "$$", "${", "{{ a }}", "-", "rows.jsonl"),
            *("https://a:b@c", "x?api_key=y", "{{secrets/a/b}}", "mod:fn", "small", "local"),
            *("*", "\0"),
        ]
    ),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project to read specs in; the current folder meanwhile."""
    place, before = tmp_path_factory.mktemp("fuzz"), os.getcwd()
    (place / "pyproject.toml").write_text("")
    (place / "rows.jsonl").write_text('{"text": "a"}\n')
    os.chdir(place)
    yield place
    os.chdir(before)


def load(text: str | bytes, **options: Any) -> bool:
    """Whether the text loads; its problems must lie inside the file."""
    content = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    Path("pipeline.yaml").write_bytes(content)
    try:
        load_spec("pipeline.yaml", registry=Registry(entry_points=False), environ={}, **options)
    except UserError as error:
        lines = split_lines(content.decode("utf-8", "replace").removeprefix("\ufeff"))
        problems = getattr(error, "problems", ())
        assert problems
        for problem in problems:
            if problem.where.line:
                assert problem.where.line <= len(lines)
                assert 1 <= problem.where.column <= len(lines[problem.where.line - 1]) + 1
            assert "\n" not in problem.message
        assert render_problems(problems, lambda file: "\n".join(lines))
        return False
    return True


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of every value of *data* but the whole."""
    items: Any = ()
    if isinstance(data, dict):
        items = data.items()
    elif isinstance(data, list):
        items = enumerate(data)
    return [found for key, value in items for found in [(*path, key), *places(value, (*path, key))]]


PLACES = places(SPEC)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """The spec with some values dropped, copied to another place, replaced or renamed."""
    data = json.loads(json.dumps(SPEC))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(PLACES))
        owner = data
        try:
            for part in place[:-1]:
                owner = owner[part]
            change = draw(st.sampled_from(["drop", "replace", "rename", "copy"]))
            if change == "drop":
                del owner[place[-1]]
            elif change == "replace":
                owner[place[-1]] = draw(VALUES)
            elif change == "rename":
                owner[draw(st.sampled_from(KEYS))] = owner.pop(place[-1])
            else:
                owner[draw(st.sampled_from(KEYS))] = json.loads(json.dumps(owner[place[-1]]))
        except (KeyError, IndexError, TypeError, AttributeError):
            continue
    return data


few = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_the_spec_that_is_mutated_loads() -> None:
    assert load(json.dumps(SPEC))


@few
@given(mutated())
def test_a_mutated_spec_loads_or_has_problems(data: Any) -> None:
    load(yaml.safe_dump(data, allow_unicode=True, sort_keys=False))


@few
@given(mutated(), st.lists(st.tuples(st.integers(0, 10**6), st.text(max_size=3)), max_size=4))
def test_a_garbled_spec_loads_or_has_problems(data: Any, cuts: list[tuple[int, str]]) -> None:
    text = yaml.safe_dump(data, sort_keys=False)
    for at, what in cuts:
        at %= len(text) + 1
        text = text[:at] + what + text[at + 1 :]
    load(text)


@few
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_load_or_have_problems(content: bytes) -> None:
    load(content)


PIECES = [
    *"[]{},:-?&*!|>'\"%@`#\n\t ~",
    *("a", "a: ", "- ", "\n  ", "<<: ", "&a ", "*a", "!!str ", "---\n", "...\n"),
    *("{{ x }}", "name: ", "prompt: |\n  ", "\r\n", "é"),
]
SYNTAX = st.lists(st.sampled_from([*PIECES, "\x85", "\u2028"]), max_size=40).map("".join)


@few
@given(SYNTAX)
def test_any_syntax_loads_or_has_problems(text: str) -> None:
    load(text)


@few
@given(
    st.lists(st.text(max_size=20) | st.sampled_from(["a.b=c", "steps.first.stop=[", "vars.day="]))
)
def test_any_override_loads_or_has_problems(overrides: list[str]) -> None:
    load(json.dumps(SPEC), overrides=overrides)


@few
@given(st.dictionaries(st.sampled_from(["day", "size", "nothing", "other"]), TEXTS))
def test_any_variable_loads_or_has_problems(variables: dict[str, str]) -> None:
    load(json.dumps(SPEC), variables=variables)


@few
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_both_parsers_read_alike(text: str) -> None:
    from dbrun.spec import document

    def outcome() -> Any:
        try:
            root = parse(text, file="x.yaml", folder="/")
        except UserError:
            return UserError
        return document.Document(file="x.yaml", folder="/", root=root).data

    with pytest.MonkeyPatch.context() as patch:
        first = outcome()
        patch.setattr(document, "_EVENTS", yaml.SafeLoader)
        second = outcome()
    assert first == second
