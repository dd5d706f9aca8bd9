"""The comment: whole if it fits, cut well if not, and nothing in it speaks for itself."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.ci.page import MOST_CHARACTERS, Step, marker, page

STEPS = [Step(name="validate", code=0), Step(name="test", code=1, said="2 of 5 failed")]


def test_what_it_says() -> None:
    said = page(
        STEPS,
        title="dbrun",
        diff="### a\n\nmore words",
        plan="p: 3 rows",
        commit="0123456789abcdef",
        links={"report": "https://example.com/1", "run": ""},
    )
    assert said == (
        "## dbrun\n\n| check | | |\n|---|---|---|\n| validate | ✅ |  |\n"
        "| test | ❌ | `2 of 5 failed` |\n\n### a\n\nmore words\n\n"
        "<details><summary>What a run would send, reuse and cost</summary>\n\n"
        "```\np: 3 rows\n```\n\n</details>\n\n"
        "<sub>[report](https://example.com/1) · of 012345678</sub>\n"
    )


@pytest.mark.parametrize(
    ("said", "cell"),
    [
        ("@everybody look", "`@everybody look`"),
        ("a | b", "`a \\| b`"),
        ("`x` and ``y``", "``` `x` and ``y`` ```"),
        ("two\nlines", "`two lines`"),
        ("", ""),
    ],
)
def test_what_a_command_said_is_code(said: str, cell: str) -> None:
    assert f"| x | ❌ | {cell} |" in page([Step(name="x", code=1, said=said)], title="t")


def test_a_fence_in_the_plan_does_not_end_it() -> None:
    said = page([], title="t", plan="```\n@you\n````")
    assert "\n`````\n```\n@you\n````\n`````\n" in said


@given(
    st.text(alphabet="a`~<>/details\n ", max_size=400).map(lambda text: text * 9),
    st.integers(min_value=600, max_value=2000),
)
def test_it_never_exceeds_what_a_comment_holds(diff: str, most: int) -> None:
    assert len(page(STEPS, title="t", diff=diff, plan=diff, most=most)) <= most


def test_what_is_cut_is_closed() -> None:
    diff = "<details><summary>s</summary>\n\n```diff\n" + "+ line\n" * 20_000
    said = page(STEPS, title="t", diff=diff)

    assert len(said) <= MOST_CHARACTERS
    assert "Cut here" in said
    assert len(re.findall("^```", said, re.MULTILINE)) == 2
    assert said.count("</details>") == 1


def test_a_plan_gives_way_to_the_comparison() -> None:
    said = page(STEPS, title="t", diff="d" * 900, plan="p" * 900, most=1500)
    assert "d" * 900 in said
    assert "ppp" not in said


def test_markers_cannot_be_seen() -> None:
    assert marker("a") == "<!-- dbrun:comment:a -->"
    assert marker("a") != marker("")
