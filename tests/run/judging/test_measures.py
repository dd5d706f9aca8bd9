"""Means of scores, and how sure they are."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.run.judging.measures import Measures, Spread
from dbrun.types import Score

NUMBERS = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30)


@given(NUMBERS)
def test_spread_is_that_of_the_standard_library(numbers: list[float]) -> None:
    spread = Spread()
    for number in numbers:
        spread.add(number)
    assert spread.mean == pytest.approx(statistics.fmean(numbers), abs=1e-6)
    assert spread.deviation == pytest.approx(statistics.stdev(numbers), abs=1e-6)


def measured(values: list[list[float | None]]) -> dict[str, object]:
    """The measure of a score, by rows and their repeats."""
    measures = Measures()
    for row, repeats in enumerate(values):
        for number, value in enumerate(repeats, start=1):
            repeat = number if len(repeats) > 1 else None
            measures.add(str(row), repeat, {"good": Score(value=value, explanation="why")})
    said: dict[str, object] = measures.to_json({"good": "higher"})["good"]
    return said


def test_without_repeats_the_noise_is_that_of_the_rows() -> None:
    said = measured([[1], [0], [1], [0]])
    error = statistics.stdev([1, 0, 1, 0]) / 2
    assert said == {
        "mean": 0.5, "count": 4, "failed": 0, "better": "higher", "error": round(error, 6),
    }  # fmt: skip


def test_repeats_of_a_row_are_no_further_rows() -> None:
    said = measured([[1, 1, 1], [0, 0, 0]])
    assert said["mean"] == 0.5
    assert said["spread"] == 0
    assert said["error"] == 0.5  # two rows, however often each was asked


def test_repeats_that_differ_are_told() -> None:
    said = measured([[0.2, 0.4], [0.6, 0.8]])
    assert said["spread"] == round(statistics.stdev([0.2, 0.4]), 6)


def test_failures_are_counted_and_are_no_values() -> None:
    assert measured([[1], [None], [1]]) == {
        "mean": 1.0, "count": 2, "failed": 1, "better": "higher", "error": 0.0,
    }  # fmt: skip
    assert measured([[None]]) == {"mean": None, "count": 0, "failed": 1, "better": "higher"}
    assert Measures().to_json({"good": "lower"}) == {
        "good": {"mean": None, "count": 0, "failed": 0, "better": "lower"}
    }
