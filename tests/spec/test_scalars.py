"""Plain scalars by YAML 1.2, one line each."""

from __future__ import annotations

from typing import Any

import pytest

from dbrun.spec.scalars import NotJson, read_plain, reads_as_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("false", False),
        ("0", 0),
        ("-12", -12),
        ("+12", 12),
        ("012", 12),
        ("0o14", 12),
        ("0x1f", 31),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("-1e3", -1000.0),
        ("1e-400", 0.0),
    ],
)
def test_values(text: str, value: Any) -> None:
    found = read_plain(text)
    assert found == value
    assert type(found) is type(value)
    assert not reads_as_text(text)


@pytest.mark.parametrize(
    "text",
    [
        *("no", "yes", "on", "off", "y", "True", "TRUE", "False", "Null", "NULL", "<<"),
        *("1_000", "0b1", "0o9", "0x", "1e", "1:30", "-", "+", ".", "+.", "٣"),
        *("2026-11-22", "2026-11-22T10:00:00Z"),
    ],
)
def test_words_stay_words(text: str) -> None:
    assert read_plain(text) == text
    assert reads_as_text(text)


@pytest.mark.parametrize("text", [".inf", "-.INF", "+.Inf", ".nan", ".NaN", "1e999", "9" * 400])
def test_numbers_that_json_cannot_hold(text: str) -> None:
    with pytest.raises(NotJson):
        read_plain(text)
    assert not reads_as_text(text)
