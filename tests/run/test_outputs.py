"""Cutting at stop strings and reading JSON out of an answer."""

from __future__ import annotations

import json

import pytest

from dbrun.errors import InvalidOutput
from dbrun.run.outputs import cut, parse_json
from dbrun.sources.parsing import parse
from dbrun.spec.response import output_check


@pytest.mark.parametrize(
    ("text", "stop", "kept", "was_cut"),
    [
        ("one. two", ["."], "one", True),
        ("one. two", [], "one. two", False),
        ("one. two", ["!"], "one. two", False),
        ("a;b.c", [".", ";"], "a", True),
        (".a", ["."], "", True),
        ("", ["."], "", False),
        ("a", [""], "a", False),  # an empty stop string stops nothing
        ("über\n\nx", ["\n\n"], "über", True),
        ("aXXb", ["XX", "X"], "a", True),
    ],
)
def test_cut_at_the_earliest(text: str, stop: list[str], kept: str, was_cut: bool) -> None:
    assert cut(text, stop) == (kept, was_cut)


ANYTHING = output_check(True)
LABEL = output_check(
    {"type": "object", "properties": {"label": {"enum": ["a", "b"]}}, "required": ["label"]}
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I think\nso", r'found "I think\\nso"'),
        (" ", "it is empty"),
        ('{"a": ' + "1" * 20 + " b" + "c" * 99, r'found "1111111111?[ ]?b?c*"…'),
        ("NaN", 'found "NaN"'),
    ],
)
def test_what_is_there_in_place_of_json_is_shown(text: str, found: str) -> None:
    with pytest.raises(InvalidOutput, match=f"the output is not JSON: .*; {found}$"):
        parse_json(text, ANYTHING)


@pytest.mark.parametrize("levels", [191, 900, 100_000])
def test_an_output_that_no_record_can_hold(levels: int) -> None:
    text = "[" * levels + "]" * levels
    said = r"can hold: it has more than 190 levels; found \"\[{60}\"…"
    with pytest.raises(InvalidOutput, match=said):
        parse_json(text, ANYTHING)
    assert parse(encode_record("[" * 190 + "]" * 190))  # as results are read


def encode_record(output: str) -> str:
    """A line of results with this output among the outputs of its steps."""
    value = parse_json(output, ANYTHING)
    return json.dumps({"id": "a", "output": value, "steps": {"one": {"output": value}}})


def test_a_value_that_is_no_text_is_checked_as_it_is() -> None:
    assert parse_json({"label": "b"}, LABEL) == {"label": "b"}


def test_the_schema_problem_names_the_place() -> None:
    with pytest.raises(
        InvalidOutput, match=r'response_schema: label: "c" is not one of \["a", "b"\]'
    ):
        parse_json('{"label":"c"}', LABEL)
    with pytest.raises(InvalidOutput, match="'label' is a required property"):
        parse_json("{}", LABEL)


@pytest.mark.parametrize("text", ["1e999", '{"a": [-1e999]}'])
def test_numbers_beyond_all_bounds_are_no_json(text: str) -> None:
    with pytest.raises(InvalidOutput, match="1e999 is larger than a number can be"):
        parse_json(text, output_check({}))
