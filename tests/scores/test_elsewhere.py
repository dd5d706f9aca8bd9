"""Scores held to what others say of the same values: a database, another library, a standard."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
import rfc8785
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scores.conftest import judged

from dbrun.context import Context
from dbrun.scores.base import Subject
from dbrun.scores.python import Python
from dbrun.spec.model import Reference, ScoreSpec

FEW = settings(max_examples=50)
TEXTS = st.text("aA é打", max_size=12)
SHORT = st.text("aA é", max_size=2)


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def answer(database: duckdb.DuckDBPyConnection, expression: str, *values: Any) -> Any:
    """What the database makes of *expression*, of which `?` are *values*."""
    found = database.execute(f"SELECT {expression}", list(values)).fetchone()
    assert found is not None
    return found[0]


SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([1.0, -0.0, 0.5, "1"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=4,
)


@FEW
@given(VALUES, VALUES)
@example(True, 1)
@example([1], [1.0])
@example({"a": 1, "b": 0}, {"b": False, "a": 1})
@example({"a": 1}, {"a": 1, "b": 1})
@example({"a": [], "b": 1}, {"b": 1, "a": []})
def test_equals_is_having_one_canonical_form(value: Any, expected: Any) -> None:
    # Texts equal the JSON of what is none, which is dbrun's own rule.
    assume(not isinstance(value, str) and not isinstance(expected, str))
    found = judged("equals", value, {"label": expected}, expected="{{ label }}").value
    assert found is (rfc8785.dumps(value) == rfc8785.dumps(expected))


@FEW
@given(value=SHORT, expected=SHORT)
def test_equals_of_texts(database: Any, value: str, expected: str) -> None:
    found = judged("equals", value, {"label": expected}, expected="{{ label }}").value
    assert found is answer(database, "trim(?) = trim(?)", value, expected)


@pytest.mark.parametrize(
    ("one", "other"),
    # Lines of CaseFolding.txt of the Unicode Character Database, of status C and F.
    [("ß", "ss"), ("ſ", "s"), ("ς", "σ"), ("K", "k"), ("ﬃ", "ffi"), ("İ", "i̇"), ("Ꭰ", "ꭰ")],
)
@pytest.mark.parametrize("kind", ["equals", "contains"])
def test_ignoring_case_is_folding_it(kind: str, one: str, other: str) -> None:
    for value, expected in ((one, other), (other, one)):
        scope = {"label": f"a {expected} b"}
        score = judged(kind, f"A {value} B", scope, expected="{{ label }}", ignore_case=True)
        assert score.value is True


@FEW
@given(value=TEXTS, expected=SHORT)
def test_contains(database: Any, value: str, expected: str) -> None:
    found = judged("contains", value, {"label": expected}, expected="{{ label }}").value
    assert found is answer(database, "contains(?, ?)", value, expected)


@FEW
@given(value=SHORT, values=st.lists(SHORT, min_size=1, max_size=4))
def test_one_of(database: Any, value: str, values: list[str]) -> None:
    known = answer(
        database, "list_contains([trim(x) FOR x IN ?::VARCHAR[]], trim(?))", values, value
    )
    assert judged("one_of", value, values=values).value is known


PATTERNS = st.recursive(
    st.sampled_from(["a", "b", "7", ".", "[ab]", "[^a]", r"\d", r"\w", "^", "$", r"\b", r"\."]),
    lambda inner: (
        st.builds("{}{}".format, inner, inner)
        | st.builds("({}|{})".format, inner, inner)
        | st.builds("({}){}".format, inner, st.sampled_from(["*", "+", "?", "{2}"]))
    ),
    max_leaves=5,
)


@FEW
@given(value=st.text("ab7 .", max_size=8), pattern=PATTERNS)
def test_regex_is_what_a_finite_automaton_says(database: Any, value: str, pattern: str) -> None:
    # RE2 keeps sets of states where Python goes back and tries again.
    known = answer(database, "regexp_matches(?, ?)", value, pattern)
    assert judged("regex", value, pattern=pattern).value is known


@FEW
@given(value=st.text("ab7 .\té打\N{EM SPACE}\N{COMBINING ACUTE ACCENT}", max_size=12))
def test_length(database: Any, value: str) -> None:
    words = answer(database, r"len(regexp_extract_all(?, '[^\s\p{Z}]+'))", value)
    assert judged("length", value).value == words
    characters = answer(database, "length(?)", value)
    assert judged("length", value, unit="chars").value == characters
    assert judged("length", value, min=2, max=3).value is (2 <= words <= 3)


TYPES = {
    "null": lambda it: it is None,
    "boolean": lambda it: it is True or it is False,
    "string": lambda it: isinstance(it, str),
    "array": lambda it: isinstance(it, list),
    "object": lambda it: isinstance(it, dict),
    "number": lambda it: type(it) in (int, float),
    "integer": lambda it: type(it) in (int, float) and it == int(it),
}
SCHEMAS = st.recursive(
    st.booleans()
    | st.fixed_dictionaries({"type": st.sampled_from(list(TYPES))})
    | st.fixed_dictionaries({"const": SCALARS})
    | st.fixed_dictionaries({"enum": st.lists(SCALARS, min_size=1, max_size=3)})
    | st.fixed_dictionaries({"minimum": st.integers(-1, 1), "exclusiveMaximum": st.integers(0, 2)})
    | st.fixed_dictionaries({"required": st.lists(st.sampled_from("ab"), unique=True)}),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"properties": st.dictionaries(st.sampled_from("ab"), inner)}),
        st.fixed_dictionaries({"items": inner, "minItems": st.integers(0, 2)}),
        st.fixed_dictionaries({"additionalProperties": inner, "properties": st.just({"a": {}})}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=4,
)


def satisfies(value: Any, schema: Any) -> bool:
    """Whether *value* is valid, keyword by keyword (JSON Schema Validation 2020-12, section 6;
    Core, section 10)."""
    if isinstance(schema, bool):
        return schema
    return all(KEYWORDS[word](value, told, schema) for word, told in schema.items())


def _equal(one: Any, other: Any) -> bool:
    return rfc8785.dumps(one) == rfc8785.dumps(other)


def _number(value: Any) -> bool:
    return TYPES["number"](value)


KEYWORDS: dict[str, Any] = {
    "type": lambda it, told, _: TYPES[told](it),
    "const": lambda it, told, _: _equal(it, told),
    "enum": lambda it, told, _: any(_equal(it, one) for one in told),
    "minimum": lambda it, told, _: not _number(it) or it >= told,
    "exclusiveMaximum": lambda it, told, _: not _number(it) or it < told,
    "required": lambda it, told, _: not isinstance(it, dict) or all(name in it for name in told),
    "properties": lambda it, told, _: (
        not isinstance(it, dict)
        or all(satisfies(it[name], inner) for name, inner in told.items() if name in it)
    ),
    "additionalProperties": lambda it, told, all_of: (
        not isinstance(it, dict)
        or all(satisfies(it[name], told) for name in it if name not in all_of["properties"])
    ),
    "items": lambda it, told, _: (
        not isinstance(it, list) or all(satisfies(one, told) for one in it)
    ),
    "minItems": lambda it, told, _: not isinstance(it, list) or len(it) >= told,
    "anyOf": lambda it, told, _: any(satisfies(it, one) for one in told),
    "allOf": lambda it, told, _: all(satisfies(it, one) for one in told),
    "oneOf": lambda it, told, _: sum(satisfies(it, one) for one in told) == 1,
    "not": lambda it, told, _: not satisfies(it, told),
}


@FEW
@given(VALUES, SCHEMAS)
def test_json_schema_is_the_standard_word_by_word(value: Any, schema: Any) -> None:
    assert judged("json_schema", json.dumps(value), schema=schema).value is satisfies(value, schema)


STEPS = st.lists(st.sampled_from(["a", "b", 0, 1]), min_size=1, max_size=4)


@FEW
@given(steps=STEPS, number=st.integers(-9, 9) | st.booleans(), beside=VALUES)
def test_the_value_of_a_judge_is_where_the_database_finds_it(
    database: Any, steps: list[Any], number: Any, beside: Any
) -> None:
    found: Any = number
    for step in reversed(steps):
        found = {step: found, "c": beside} if isinstance(step, str) else [beside] * step + [found]
    text = json.dumps(found)
    places = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps]
    known = json.loads(answer(database, "json_extract(?, ?)", text, "$" + "".join(places)))
    value = judged("judge", text, value="".join(places).removeprefix(".")).value
    assert (value, type(value)) == (known, type(known))


@pytest.mark.parametrize(
    ("path", "answered", "wanted"),
    # The examples of the JMESPath specification, sections on functions and filters.
    [
        ("abs(foo)", {"foo": -24}, 24),
        ("avg(@)", [10, 15, 20], 15),
        ("ceil(`1.001`)", {}, 2),
        ("contains(@, 'foo')", "foobar", True),
        ("contains(@, 'foo')", ["foo", "bar"], True),
        ("ends_with(@, 'qux')", "foobarbaz", False),
        ("length(@)", ["a", "b", "c"], 3),
        ("max(@)", [10, 15], 15),
        ("sum(@)", [10, 15], 25),
        ("sum([*].a)", [{"a": 10}, {"a": 15}], 25),
    ],
)
def test_the_value_of_a_judge_is_that_of_the_specification(
    path: str, answered: Any, wanted: Any
) -> None:
    value = judged("judge", json.dumps(answered), value=path).value
    assert (value, isinstance(value, bool)) == (wanted, isinstance(wanted, bool))


@FEW
@given(st.lists(st.floats(-1e6, 1e6) | st.integers(-9, 9), min_size=1, max_size=6))
def test_the_value_of_a_function_is_what_it_returns(numbers: list[float]) -> None:
    for function in (statistics.fmean, max, any):

        def grade(record: Any, told: Any = function) -> Any:
            return told(record["row"]["numbers"])

        reference = Reference(path="functions:grade", folder=".", project=".")
        spec = ScoreSpec(kind="python", name="grade", options={"function": reference})
        scorer = Python.create(spec, Context(resolve=lambda _, made=grade: made))
        value = scorer.score(Subject(value=None, record={"row": {"numbers": numbers}})).value
        assert (value, type(value)) == (function(numbers), type(function(numbers)))
