"""Word diffs: nothing is lost, and nothing takes for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.report.pieces import MOST_CELLS, Piece, shortened, text_of, word_diff

TEXTS = st.text("ab ,\n", max_size=40)


@given(TEXTS, TEXTS)
def test_leaving_out_one_kind_gives_the_text_of_the_other(before: str, after: str) -> None:
    pieces = word_diff(before, after)
    assert "".join(text for kind, text in pieces if kind != "+") == before
    assert "".join(text for kind, text in pieces if kind != "-") == after
    assert all(text for _, text in pieces)


@pytest.mark.parametrize(
    ("before", "after", "pieces"),
    [
        ("a red fox", "a blue fox", [(" ", "a "), ("-", "red"), ("+", "blue"), (" ", " fox")]),
        ("one two", "uno dos", [("-", "one two"), ("+", "uno dos")]),
        ("end", "end.", [(" ", "end"), ("+", ".")]),
        ("", "new", [("+", "new")]),
        ("same", "same", [(" ", "same")]),
        ("", "", []),
        ("Zürich-West", "Zürich-Ost", [(" ", "Zürich-"), ("-", "West"), ("+", "Ost")]),
    ],
)
def test_words_are_compared(before: str, after: str, pieces: list[tuple[str, str]]) -> None:
    assert [tuple(piece) for piece in word_diff(before, after)] == pieces


def test_what_would_take_too_long_is_told_as_replaced() -> None:
    many = int(MOST_CELLS**0.5)
    before, after = "start " + "a b " * many + "end", "start " + "b c " * many + "end"
    kinds = [piece.kind for piece in word_diff(before, after)]
    assert kinds == [" ", "-", "+", " "]


def test_long_stretches_are_shortened() -> None:
    pieces = [
        Piece(" ", "a" * 100),
        Piece("-", "b" * 500),
        Piece(" ", "c" * 200),
        Piece("+", "d"),
        Piece(" ", "e" * 100),
    ]
    texts = [text for _, text in shortened(pieces, around=10, longest=50)]
    assert texts == ["…" + "a" * 10, "b" * 49 + "…", f"{'c' * 10}…{'c' * 10}", "d", "e" * 10 + "…"]
    assert shortened([Piece(" ", "f" * 60)], longest=50)[0].text == "f" * 49 + "…"


def test_outputs_that_are_no_texts_are_shown_as_json() -> None:
    assert text_of("text") == "text"
    assert text_of({"é": [1, None]}) == '{\n "é": [\n  1,\n  null\n ]\n}'
