"""The merging rules, each as two texts and what becomes of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.spec.document import parse
from dbrun.spec.merge import laid_at, overlay
from dbrun.spec.nodes import Node, from_plain, plain


def read(text: str, file: str = "x.yaml") -> Node:
    """A layer."""
    return parse(text, file=file, folder="/")


def merged(*layers: str) -> Any:
    """The data of layers laid over each other."""
    base: Node | None = None
    for text in layers:
        base = overlay(base, read(text))
    assert base is not None
    return plain(base)


@pytest.mark.parametrize(
    ("base", "over", "result"),
    [
        # Mappings merge deeply; lists and scalars replace.
        (
            "{params: {a: 1, b: {c: 1}}}",
            "{params: {b: {d: 2}}}",
            {"params": {"a": 1, "b": {"c": 1, "d": 2}}},
        ),
        ("{stop: [a, b]}", "{stop: [c]}", {"stop": ["c"]}),
        ("{repeats: 1}", "{repeats: 2}", {"repeats": 2}),
        ("{params: {a: 1}}", "{params: 5}", {"params": 5}),
        # null removes, except in vars; nothing at all is kept where nothing is inherited.
        ("{params: {a: 1, b: 2}}", "{params: {a: null}}", {"params": {"b": 2}}),
        ("{stop: [a]}", "stop:", {}),
        ("{name: x}", "{stop: null}", {"name": "x"}),
        ("{name: x}", "stop:", {"name": "x", "stop": None}),
        (
            "{vars: {a: 1, b: {c: 1}}}",
            "{vars: {a: null, b: {c: null}}}",
            {"vars": {"a": None, "b": {"c": None}}},
        ),
        (
            "{endpoint: {body: {a: 1}}}",
            "{endpoint: {body: {a: null}}}",
            {"endpoint": {"body": {"a": None}}},
        ),
        (
            "{source: {rows: [{a: 1}]}}",
            "{source: {rows: [{a: null}]}}",
            {"source": {"rows": [{"a": None}]}},
        ),
        # A mapping whose kind changes replaces the whole.
        (
            "{endpoint: {adapter: a, name: x}}",
            "{endpoint: {adapter: b}}",
            {"endpoint": {"adapter": "b"}},
        ),
        (
            "{endpoint: {adapter: a, name: x}}",
            "{endpoint: {adapter: a, host: y}}",
            {"endpoint": {"adapter": "a", "name": "x", "host": "y"}},
        ),
        (
            "{endpoint: {name: x}}",
            "{endpoint: {adapter: a}}",
            {"endpoint": {"name": "x", "adapter": "a"}},
        ),
        (
            "{source: {path: a, format: csv, id: i}}",
            "{source: {format: json}}",
            {"source": {"format": "json"}},
        ),
        ("{source: {path: a, id: i}}", "{source: {rows: []}}", {"source": {"rows": []}}),
        (
            "{source: {path: a, id: i}}",
            "{source: {limit: 5}}",
            {"source": {"path": "a", "id": "i", "limit": 5}},
        ),
        (
            "{endpoint: {token: {env: A}}}",
            "{endpoint: {token: {secret: b/c}}}",
            {"endpoint": {"token": {"secret": "b/c"}}},
        ),
        (
            "{endpoint: {headers: {X: {env: A, prefix: p}}}}",
            "{endpoint: {headers: {X: {env: B}}}}",
            {"endpoint": {"headers": {"X": {"env": "B", "prefix": "p"}}}},
        ),
        ("{prompt: {file: a}}", "{prompt: {column: b}}", {"prompt": {"column": "b"}}),
        (
            "{engine: {type: spark, partitions: 5}}",
            "{engine: {type: local}}",
            {"engine": {"type": "local"}},
        ),
        # A string form is its mapping form.
        ("{source: a.csv}", "{source: {id: i}}", {"source": {"path": "a.csv", "id": "i"}}),
        ("{source: {path: a, id: i}}", "{source: b.csv}", {"source": {"path": "b.csv", "id": "i"}}),
        ("{source: {rows: [], id: i}}", "{source: b.csv}", {"source": {"path": "b.csv"}}),
        ("{source: a.csv}", "{source: b.csv}", {"source": "b.csv"}),
        ("{sink: {path: a, add: [raw]}}", "{sink: b}", {"sink": {"path": "b", "add": ["raw"]}}),
        ("{engine: local}", "{engine: {type: spark}}", {"engine": {"type": "spark"}}),
        (
            "{transforms: {row: 'a:b'}}",
            "{transforms: {row: {kwargs: {n: 1}}}}",
            {"transforms": {"row": {"function": "a:b", "kwargs": {"n": 1}}}},
        ),
        (
            "{transforms: {output: {function: 'a:b', from: raw}}}",
            "{transforms: {output: 'c:d'}}",
            {"transforms": {"output": {"function": "c:d", "from": "raw"}}},
        ),
        ("{prompt: {file: a}}", "{prompt: b}", {"prompt": "b"}),
        # Prompts of different form replace each other.
        ("{prompt: a}", "{messages: []}", {"messages": []}),
        (
            "{messages: [], stop: [a]}",
            "{steps: [{name: a}]}",
            {"stop": ["a"], "steps": [{"name": "a"}]},
        ),
        ("{steps: [{name: a}]}", "{prompt: b}", {"prompt": "b"}),
        (
            "{steps: [{name: a, prompt: p}]}",
            "{steps: [{name: a, messages: []}]}",
            {"steps": [{"name": "a", "messages": []}]},
        ),
        ("{prompt: a}", "{prompt: null, messages: []}", {"messages": []}),
        ("{prompt: a}", "{messages: null}", {"prompt": "a"}),
        # Steps merge by name and keep their order.
        (
            "{steps: [{name: a, stop: [x], params: {n: 1}}, {name: b}]}",
            "{steps: [{name: b, when: y}, {name: c}, {name: a, stop: null, params: {m: 2}}]}",
            {
                "steps": [
                    {"name": "a", "params": {"n": 1, "m": 2}},
                    {"name": "b", "when": "y"},
                    {"name": "c"},
                ]
            },
        ),
        (
            "{steps: [{name: a}]}",
            "{steps: [{prompt: x}, 5]}",
            {"steps": [{"name": "a"}, {"prompt": "x"}, 5]},
        ),
        (
            "{vars: {steps: [{name: a}]}}",
            "{vars: {steps: [{name: b}]}}",
            {"vars": {"steps": [{"name": "b"}]}},
        ),
        # An inline response schema replaces the whole, nulls and all.
        (
            "{response_schema: {type: object, title: t}}",
            "{response_schema: {type: object}}",
            {"response_schema": {"type": "object"}},
        ),
        (
            "{response_schema: {mode: native, schema: {}}}",
            "{response_schema: {const: null}}",
            {"response_schema": {"const": None}},
        ),
        (
            "{response_schema: {type: object}}",
            "{response_schema: {mode: native}}",
            {"response_schema": {"schema": {"type": "object"}, "mode": "native"}},
        ),
        (
            "{response_schema: {schema: {a: 1}, reask: 1}}",
            "{response_schema: {schema: {b: 1}}}",
            {"response_schema": {"schema": {"b": 1}, "reask": 1}},
        ),
        (
            "{response_schema: {file: a}}",
            "{response_schema: {schema: {b: 1}}}",
            {"response_schema": {"schema": {"b": 1}}},
        ),
        (
            "{response_schema: {schema: {b: 1}, reask: 1}}",
            "{response_schema: {file: a}}",
            {"response_schema": {"schema": {"file": "a"}, "reask": 1}},
        ),
        ("{response_schema: {a: 1}}", "{response_schema: null}", {}),
        # What stands in a target is laid over the spec later, so its nulls are kept.
        (
            "{targets: {p: {stop: [a], params: {n: 1}}}}",
            "{targets: {p: {stop: null, params: {n: null, m: 1}}}}",
            {"targets": {"p": {"stop": None, "params": {"n": None, "m": 1}}}},
        ),
        (
            "{targets: {p: {prompt: a}}}",
            "{targets: {p: {messages: []}}}",
            {"targets": {"p": {"messages": []}}},
        ),
    ],
)
def test_rules(base: str, over: str, result: Any) -> None:
    assert merged(base, over) == result


def test_a_first_layer_is_tidied_too() -> None:
    assert merged("{params: {a: null, b: 1}, stop: null, vars: {x: null}}") == {
        "params": {"b": 1},
        "vars": {"x": None},
    }


def test_values_keep_their_places() -> None:
    base = read("limits:\n  timeout: 1\n  attempts: 2\nname: x\n", "base.yaml")
    over = read("\n\nlimits: {attempts: 3}\n", "over.yaml")
    found = overlay(base, over)
    assert found is not None
    limits = found.value["limits"]
    assert str(limits.value["timeout"].at.mark) == "base.yaml:2:12"
    assert str(limits.value["attempts"].at.mark) == "over.yaml:3:20"
    assert str(limits.key.mark) == "over.yaml:3:1"
    assert str(found.value["name"].at.mark) == "base.yaml:4:7"


@pytest.mark.parametrize(
    ("path", "value", "steps"),
    [
        ("steps.a.when", "y", [{"name": "a", "when": "y"}, {"name": "b"}]),
        ("steps.a", "{when: y}", [{"name": "a", "when": "y"}, {"name": "b"}]),
        ("steps.a", "null", [{"name": "b"}]),
        ("steps.a", "5", [{"name": "a"}, {"name": "b"}, 5]),  # for the schema to refuse
    ],
)
def test_laid_at_a_step(path: str, value: str, steps: Any) -> None:
    root, node = read("{name: t, steps: [{name: a}, {name: b}]}"), read(value)
    assert plain(laid_at(root, path.split("."), node, node.at)) == {"name": "t", "steps": steps}


DATA = st.recursive(
    st.integers(0, 3) | st.sampled_from("abc"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("pqr"), inner),
    max_leaves=6,
)
LAYERS = st.dictionaries(st.sampled_from(["params", "limits", "vars", "name"]), DATA)


def lay(*layers: Any) -> Any:
    """Layers of plain data laid over each other."""
    base: Node | None = None
    for data in layers:
        base = overlay(base, from_plain(data, read("a").at))
    assert base is not None
    return plain(base)


@given(LAYERS, LAYERS)
def test_laying_over_twice_changes_nothing(base: Any, over: Any) -> None:
    once = lay(base, over)
    assert lay(base, over, over) == once
    assert lay(base, base) == lay(base)
    assert lay({}, over) == lay(over)
