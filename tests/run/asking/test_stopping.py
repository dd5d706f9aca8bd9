"""Stop strings in a text that comes in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.run.asking.stopping import StopCut
from dbrun.run.outputs import cut


def through(pieces: list[str], stop: list[str]) -> list[str]:
    cutter = StopCut(stop)
    return [*(cutter.feed(piece) for piece in pieces), cutter.end()]


@pytest.mark.parametrize(
    ("pieces", "stop", "given_out"),
    [
        (["one. ", "two"], ["."], ["one", "", ""]),
        (["one.", " two"], [], ["one.", " two", ""]),
        (["one EN", "D two"], ["END"], ["one ", "", ""]),
        (["one EN", "G two"], ["END"], ["one ", "ENG two", ""]),
        (["one EN"], ["END"], ["one ", "EN"]),
        (["a", "\n", "\n", "b"], ["\n\n"], ["a", "", "", "", ""]),
        (["aab", "c"], ["aabc", "b"], ["", "", ""]),  # the longer one begins earlier
        (["aab", "x"], ["aabc", "b"], ["", "aa", ""]),
        (["aab"], ["aabc", "b"], ["", "aa"]),
        (["aaa", "ab"], ["aab"], ["a", "a", ""]),
        (["", "a"], [""], ["", "a", ""]),
        (["ü", "ß"], ["ß"], ["ü", "", ""]),
    ],
)
def test_a_stop_string_may_be_torn(
    pieces: list[str], stop: list[str], given_out: list[str]
) -> None:
    assert through(pieces, stop) == given_out


def test_what_comes_after_a_stop_string_is_not_wanted() -> None:
    cutter = StopCut(["."])
    assert cutter.feed("a.b") == "a"
    assert cutter.is_over
    assert (cutter.feed("c"), cutter.end()) == ("", "")


LETTERS = st.text("ab.", max_size=12)


@given(pieces=st.lists(LETTERS, max_size=8), stop=st.lists(LETTERS, max_size=3))
def test_all_pieces_together_are_the_whole_text_cut(pieces: list[str], stop: list[str]) -> None:
    assert "".join(through(pieces, stop)) == cut("".join(pieces), stop)[0]


@given(pieces=st.lists(LETTERS, max_size=8))
def test_without_stop_strings_nothing_is_held_back(pieces: list[str]) -> None:
    assert through(pieces, []) == [*pieces, ""]
