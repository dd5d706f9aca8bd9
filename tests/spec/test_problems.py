"""The report: places, excerpts, carets, and nothing that must not be shown."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.spec.problems import render_problems
from dbrun.types import Mark, Problem


def problem(line: int, column: int, length: int = 1, **more: object) -> Problem:
    """A problem in x.yaml."""
    where = Mark(file="x.yaml", line=line, column=column)
    return Problem(where=where, path="a.b", message="is wrong", length=length, **more)  # type: ignore[arg-type]


def excerpt(text: str, *problems: Problem) -> list[str]:
    """The lines of a report but for its heads and its count."""
    report = render_problems(problems, lambda file: text)
    return [line for line in report.splitlines() if line[5:7] == " |"]


def test_the_form() -> None:
    text = "name: x\nendpoint: {adapter: databricks, nmae: my-endpoint}\n"
    where = Mark(file="p/x.yaml", line=2, column=33)
    one = Problem(
        where=where,
        path="endpoint.nmae",
        message="unknown key",
        hint="did you mean 'name'?",
        length=4,
    )
    assert render_problems([one], lambda file: text) == (
        "p/x.yaml:2:33: endpoint.nmae: unknown key; did you mean 'name'?\n"
        "    2 | endpoint: {adapter: databricks, nmae: my-endpoint}\n"
        "      |                                 ^^^^\n"
        "1 problem\n"
    )


def test_order_and_count() -> None:
    other = Problem(where=Mark(file="--set"), path="a", message="no")
    report = render_problems(
        [problem(2, 1), problem(1, 2), other, problem(1, 1)], lambda file: None
    )
    assert report == (
        "--set: a: no\nx.yaml:1:1: a.b: is wrong\nx.yaml:1:2: a.b: is wrong\n"
        "x.yaml:2:1: a.b: is wrong\n4 problems\n"
    )
    assert render_problems([], lambda file: None) == ""
    assert render_problems([other], lambda file: None, noun="warning").endswith("1 warning\n")


@pytest.mark.parametrize("place", [(0, 0), (3, 1), (9, 1)])
def test_places_with_nothing_to_show(place: tuple[int, int]) -> None:
    assert excerpt("a\nb\n   \n", problem(*place)) == []


@pytest.mark.parametrize(
    ("line", "column", "length", "shown", "carets"),
    [
        ("abc", 2, 1, "abc", " ^"),
        ("abc", 3, 9, "abc", "  ^"),
        ("abc", 4, 1, "abc", "   ^"),
        ("\ta: b", 2, 1, " a: b", " ^"),
        ("要約: b", 5, 1, "要約: b", "      ^"),
        ("a: 要約", 4, 2, "a: 要約", "   ^^^^"),
        ("e\u0301: b", 5, 1, "e\u0301: b", "   ^"),
        ("a\u202eb: c", 2, 1, "a b: c", " ^"),
        ("a\x1b[31mb", 1, 9, "a [31mb", "^^^^^^^"),
    ],
)
def test_carets(line: str, column: int, length: int, shown: str, carets: str) -> None:
    assert excerpt(line + "\n", problem(1, column, length)) == [
        f"    1 | {shown}",
        f"      | {carets}",
    ]


@given(st.text(max_size=300), st.integers(1, 320), st.integers(1, 320))
def test_carets_stand_under_what_is_shown(line: str, column: int, length: int) -> None:
    shown = excerpt(line, problem(1, column, length))
    for text in shown:
        assert text.isprintable()
        assert sum(not unicodedata.combining(letter) for letter in text) <= 130
    if shown:
        assert "^" in shown[1]


def test_long_lines_are_cut_around_the_place() -> None:
    line = "x" * 500 + "HERE" + "y" * 500
    shown, carets = excerpt(line, problem(1, 501, 4))
    at = carets.index("^")
    assert shown[at : at + 4] == "HERE"
    assert shown.count("…") == 2
    assert carets.count("^") == 4


SECRET = "sk-0123456789"


@pytest.mark.parametrize(
    "line",
    [
        f"token: {SECRET}",
        f"token:   '{SECRET}'  # mine",
        f'api_key: "{SECRET}"',
        f"{{adapter: x, api_key: {SECRET}, b: c}}",
        f"my_token: {SECRET}",
        f'"api-key": "{SECRET}"',
        f"password={SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"Authorization: {SECRET}",
        f"X-Custom: Basic {SECRET}",
        f"Cookie: session={SECRET}",
        f"secret: {SECRET}",
        f"url: https://user:{SECRET}@example.com/",
        f"url: https://{SECRET}@example.com/",
        f"url: https://example.com/?api_key={SECRET}&x=1",
        f"url: https://example.com/?a=b&sig={SECRET}",
        f"url: https://example.com/?X-Amz-Signature={SECRET}",
        f"client_secret: {SECRET}",
    ],
)
def test_what_looks_like_a_credential_is_masked(line: str) -> None:
    # The problem is about something else, or about nothing that was understood at all.
    assert SECRET not in "".join(excerpt(line, problem(1, 1, 2)))
    assert SECRET not in "".join(excerpt(line, problem(1, line.index(SECRET) + 3, 4)))


@pytest.mark.parametrize(
    "line",
    [
        "max_tokens: 512",
        "params: {max_tokens: 1.5e3, token: null}",
        "tokens_per_minute: 100",
        "token: {env: NAME}",
        "token: {secret: scope/key}",
        'token: "${NAME}"',
        "api_key:",
        "token: &a {env: X}",
        "prompt: a token is a piece of a word",
        "url: https://example.com/?page=2",
    ],
)
def test_what_is_no_credential_is_shown(line: str) -> None:
    assert excerpt(line, problem(1, 1))[0] == f"    1 | {line}"


def test_secret_problems_hide_their_text_in_every_excerpt_of_the_line() -> None:
    line = "{a: opensesame, b: nmae}"
    found = excerpt(line, problem(1, 5, 10, secret=True), problem(1, 20, 4))
    assert found == [
        "    1 | {a: ***, b: nmae}",
        "      |     ^^^",
        "    1 | {a: ***, b: nmae}",
        "      |             ^^^^",
    ]


def test_overlapping_secrets_are_masked_once() -> None:
    line = "url: https://a:hunter2@example.com/?key=hunter2"
    found = excerpt(line, problem(1, 6, 42, secret=True))
    assert found == ["    1 | url: ***", "      |      ^^^"]
