"""What each type of score says of a value."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scores.conftest import judged

from dbrun.errors import RenderError, SpecError
from dbrun.scores.base import alike
from dbrun.scores.similarity import token_f1, words


@pytest.mark.parametrize(
    ("value", "expected", "scope", "wanted"),
    [
        ("yes", "yes", {}, True),
        (" yes\n", "yes", {}, True),
        ("Yes", "yes", {}, False),
        ("b", "{{ label }}", {"label": "b"}, True),
        (7, "{{ label }}", {"label": 7}, True),
        (7, "{{ label }}", {"label": 7.0}, True),
        (7, "{{ label }}", {"label": "7"}, True),  # a column of a CSV file
        ("7", "{{ label }}", {"label": 7}, True),
        (36.0, "{{ label }}", {"label": " 36"}, True),  # what some models make of a whole number
        (100.0, "1E2", {}, True),
        (36, "36.0", {}, True),
        (36, "036", {}, False),
        (36, "36 years", {}, False),
        (1, "true", {}, False),
        (0, "", {}, False),
        (12345678901234567890123, "12345678901234567890124", {}, False),
        (True, "{{ label }}", {"label": 1}, False),
        (True, "true", {}, True),
        (None, "{{ label }}", {"label": None}, True),
        (None, "", {}, True),
        ({"a": [1]}, "{{ label }}", {"label": {"a": [1.0]}}, True),
        ({"a": [1]}, "{{ label }}", {"label": {"a": [True]}}, False),
        ("b and c", "{{ x }} and {{ y }}", {"x": "b", "y": "c"}, True),
    ],
)
def test_equals(value: Any, expected: str, scope: dict[str, Any], wanted: bool) -> None:
    assert judged("equals", value, scope, expected=expected).value is wanted


def test_what_is_not_met_is_explained() -> None:
    assert judged("equals", "a", expected="b").explanation == 'expected "b", found "a"'
    assert judged("equals", "a", expected="a").explanation is None
    said = judged("equals", "a" * 500, expected="b").explanation
    assert said is not None
    assert len(said) < 200


def test_capitals_may_be_ignored() -> None:
    assert judged("equals", "STRASSE", expected="straße", ignore_case=True).value is True
    assert judged("contains", "in der STRASSE", expected="straße", ignore_case=True).value is True
    assert judged("contains", "in der STRASSE", expected="straße").value is False


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("a cat", True), ("a dog", False), (["dog", "cat"], True), (["cats"], False), (None, False)],
)
def test_contains(value: Any, wanted: bool) -> None:
    assert judged("contains", value, expected="cat").value is wanted


def test_a_template_that_fails_is_no_judgement() -> None:
    with pytest.raises(RenderError):
        judged("equals", "a", {}, expected="{{ label }}")


@pytest.mark.parametrize(
    ("pattern", "value", "wanted"),
    [("^[a-z]+$", "abc", True), ("^b", "abc", False), ("(?i)ABC", "abc", True), ("7", 7, True)],
)
def test_regex(pattern: str, value: Any, wanted: bool) -> None:
    assert judged("regex", value, pattern=pattern).value is wanted


def test_a_pattern_that_is_none_is_a_problem() -> None:
    with pytest.raises(SpecError, match=r"scores\[0\].pattern: is no regular expression"):
        judged("regex", "a", pattern="(")


@pytest.mark.parametrize(
    ("value", "wanted"), [("red", True), (1, True), ("1", True), (True, False), ("blue", False)]
)
def test_one_of(value: Any, wanted: bool) -> None:
    assert judged("one_of", value, values=["red", 1]).value is wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [({"a": 1}, True), ({"a": "x"}, False), ('{"a": 1}', True), ("no JSON", False), ([], False)],
)
def test_json_schema(value: Any, wanted: bool) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    score = judged("json_schema", value, schema=schema)
    assert score.value is wanted
    assert (score.explanation is None) is wanted


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, 3),
        ({"unit": "chars"}, 13),
        ({"max": 3}, True),
        ({"max": 2}, False),
        ({"min": 3}, True),
        ({"min": 4}, False),
        ({"min": 1, "max": 3}, True),
    ],
)
def test_length(options: dict[str, Any], wanted: Any) -> None:
    score = judged("length", "one two three", **options)
    assert score.value == wanted
    assert type(score.value) is type(wanted)


def test_bounds_the_wrong_way_round_are_a_problem() -> None:
    with pytest.raises(SpecError, match="wants min ≤ max"):
        judged("length", "a", min=3, max=2)


# Figures of the reference implementation (rouge-score 0.1.2, rougeL, no stemmer).
ROUGE = [
    ("the cat sat on the mat", "the cat is on the mat", 0.833333),
    ("a b c d e", "e d c b a", 0.2),
    ("The printer jams; after the update!", "printer jams after an update", 0.727273),
    ("one", "two", 0.0),
    ("police killed the gunman", "police kill the gunman", 0.75),
    ("gunman the killed police", "police killed the gunman", 0.25),
    ("x x y x", "x y y", 0.571429),
]


@pytest.mark.parametrize(("value", "expected", "wanted"), ROUGE)
def test_rouge_l_is_that_of_the_reference(value: str, expected: str, wanted: float) -> None:
    score = judged("similarity", value, {"label": expected}, expected="{{ label }}")
    assert score.value == pytest.approx(wanted, abs=1e-6)


TEXTS = st.lists(st.sampled_from("abcd"), max_size=8)


def longest_common(one: list[str], other: list[str]) -> int:
    """The length of the longest common subsequence, by the textbook's table."""
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, left in enumerate(one):
        for j, right in enumerate(other):
            table[i + 1][j + 1] = (
                table[i][j] + 1 if left == right else max(table[i][j + 1], table[i + 1][j])
            )
    return table[-1][-1]


@given(TEXTS, TEXTS)
def test_rouge_l_is_the_f_measure_of_the_longest_common_subsequence(
    found: list[str], expected: list[str]
) -> None:
    score = judged(
        "similarity", " ".join(found), {"label": " ".join(expected)}, expected="{{ label }}"
    )
    common = longest_common(found, expected)
    if not found and not expected:
        wanted = 1.0
    elif not common:
        wanted = 0.0
    else:
        precision, recall = common / len(found), common / len(expected)
        wanted = 2 * precision * recall / (precision + recall)
    assert score.value == pytest.approx(wanted, abs=1e-6)


@given(TEXTS, TEXTS)
def test_token_f1_is_that_of_the_question_answering_benchmarks(
    found: list[str], expected: list[str]
) -> None:
    same = sum((Counter(found) & Counter(expected)).values())
    if not found or not expected:
        wanted = float(found == expected)
    elif not same:
        wanted = 0.0
    else:
        precision, recall = same / len(found), same / len(expected)
        wanted = 2 * precision * recall / (precision + recall)
    assert token_f1(found, expected) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("It's a TEST, isn't it?", ["it", "s", "a", "test", "isn", "t", "it"]),
        ("naïve café_au-lait", ["naïve", "café", "au", "lait"]),
        ("打印机 jams", ["打", "印", "机", "jams"]),
        ("", []),
    ],
)
def test_words(text: str, wanted: list[str]) -> None:
    assert words(text) == wanted


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(JSON, JSON)
def test_being_alike_goes_both_ways(one: Any, other: Any) -> None:
    assert alike(one, one)
    assert alike(one, other) == alike(other, one)


@given(JSON, st.sampled_from(["equals", "contains", "similarity", "length", "regex", "one_of"]))
def test_every_value_can_be_judged(value: Any, kind: str) -> None:
    options: dict[str, Any] = {
        "regex": {"pattern": "a"},
        "one_of": {"values": ["a"]},
        "length": {},
    }.get(kind, {"expected": "a"})
    score = judged(kind, value, **options)
    assert score.value is not None
    assert math.isfinite(score.value)
