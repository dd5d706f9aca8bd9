"""What is said of an output that does not satisfy its schema."""

from __future__ import annotations

from typing import Any

import pytest

from dbrun.spec.response import output_check

MAIL = {"properties": {"kind": {"const": "mail"}, "to": {"type": "string"}}, "required": ["to"]}
PHONE = {"properties": {"kind": {"const": "phone"}}, "required": ["number"]}


TREE = {"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}}


def deep(levels: int) -> list[Any]:
    """A list of a list of a list…"""
    made: list[Any] = []
    for _ in range(levels):
        made = [made]
    return made


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        ({"type": "integer"}, 36, None),
        ({"type": "integer"}, 36.0, None),
        ({"type": "integer"}, "36", "\"36\" is not of type 'integer'"),
        ({"type": "object"}, None, "null is not of type 'object'"),
        ({"type": "string"}, True, "true is not of type 'string'"),
        ({"type": "integer"}, [0] * 999, f"{str([0] * 999)[:99]}… is not of type 'integer'"),
        ({"enum": ["a", None, True]}, "b", '"b" is not one of ["a", null, true]'),
        ({"const": {"a": None}}, False, 'false is not {"a": null}'),
        ({"minLength": 3}, 'a"', '"a\\"" is too short'),
        ({"required": ["a"]}, {}, "'a' is a required property"),
        (
            {"properties": {"tags": {"items": {"type": "string"}}}},
            {"tags": ["a", None]},
            "tags[1]: null is not of type 'string'",
        ),
        (
            {"properties": {"contact": {"oneOf": [MAIL, PHONE]}}},
            {"contact": {"kind": "fax", "to": "x", "number": "1"}},
            'contact: {"kind": "fax", "to": "x", "number": "1"} fits none of oneOf: '
            'kind: "fax" is not "mail"; or kind: "fax" is not "phone"',
        ),
        (
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
            7,
            "7 fits none of anyOf: 7 is not of type 'string'; or 7 is not of type 'null'",
        ),
        (TREE, [[[]]], None),
        (TREE, deep(400), "it is nested too deeply to be checked"),
        (False, None, "null is not allowed here"),
        ({"anyOf": [False, False]}, 1, "1 fits none of anyOf: 1 is not allowed here"),
        ({"oneOf": [{"type": "number"}, {"minimum": 1}]}, 7, "7 fits more than one of oneOf"),
        (
            {"anyOf": [{"const": number} for number in range(9)]},
            "x",
            '"x" fits none of anyOf: "x" is not 0; or "x" is not 1; or "x" is not 2; '
            'or "x" is not 3; …',
        ),
        (
            {"items": {"type": "string"}},
            [1, 2, 3, 4],
            "[0]: 1 is not of type 'string'; [1]: 2 is not of type 'string'; "
            "[2]: 3 is not of type 'string'",
        ),
    ],
)
def test_what_is_wrong_is_said_in_words_of_json(schema: Any, value: Any, said: str | None) -> None:
    assert output_check(schema)(value) == said
