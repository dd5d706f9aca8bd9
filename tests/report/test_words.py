"""Numbers as a person reads them."""

from __future__ import annotations

import pytest

from dbrun.report.words import counted, money, pace, seconds, tokens


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (12_000, "12,000 rows")]
)
def test_counted(number: int, said: str) -> None:
    assert counted(number, "row") == said


@pytest.mark.parametrize(
    ("duration", "said"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7_800, "2 h 10 min"),
        (90_000, "25 h 00 min"),
    ],
)
def test_seconds(duration: float, said: str) -> None:
    assert seconds(duration) == said


@pytest.mark.parametrize(
    ("usage", "said"),
    [
        ({}, None),
        ({"input_tokens": 1200, "output_tokens": 9}, "1,200 in, 9 out"),
        ({"output_tokens": 9}, "9 out"),
        ({"total_tokens": 9}, "9 in all"),
        (
            {"input_tokens": 1, "output_tokens": 9, "total_tokens": 10, "reasoning_tokens": 5},
            "1 in, 9 out, 5 of them reasoning",
        ),
    ],
)
def test_tokens(usage: dict[str, int], said: str | None) -> None:
    assert tokens(usage) == said


@pytest.mark.parametrize(
    ("amount", "said"),
    [(0, "0.00 EUR"), (0.01234, "0.0123 EUR"), (1.5, "1.50 EUR"), (1234.5, "1,234.50 EUR")],
)
def test_money(amount: float, said: str) -> None:
    assert money(amount, "EUR") == said


@pytest.mark.parametrize(
    ("number", "duration", "said"),
    [(5, 10, "0.5/s"), (99, 10, "9.9/s"), (24_000, 10, "2,400/s"), (3, 0, "0.0/s")],
)
def test_pace(number: float, duration: float, said: str) -> None:
    assert pace(number, duration) == said
