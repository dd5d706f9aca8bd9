"""One comment on a pull request, against a server that answers as GitHub does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fakes.github import BOT, FakeGitHub
from fakes.scripted import Ticking

from dbrun.ci.github import Comments, NoComment
from dbrun.ci.page import MOST_CHARACTERS, marker, page
from dbrun.client.transport import Transport

OURS = marker("")


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with FakeGitHub() as fake:
        yield fake


def upsert(github: FakeGitHub, body: str, mark: str = OURS) -> str:
    with Transport(connections=1, environ={}) as transport:
        comments = Comments(
            transport,
            api=github.url,
            token="a-token",
            repository="me/project",
            number=7,
            clock=Ticking(),
        )
        return comments.upsert(mark, f"{mark}\n{body}")


def test_the_first_comment_is_made_and_then_kept_up_to_date(github: FakeGitHub) -> None:
    first = upsert(github, "one")
    second = upsert(github, "two")

    assert first == second
    assert first.startswith("https://github.example/me/project/pull/7#")
    assert github.bodies == [f"{OURS}\ntwo"]


def test_the_longest_page_is_a_comment(github: FakeGitHub) -> None:
    upsert(github, page([], title="t", diff="<b>é</b>\n" * 20_000))
    assert len(github.bodies[0]) > MOST_CHARACTERS - 2000
    with pytest.raises(NoComment, match="422 Validation Failed"):
        upsert(github, "x" * 65_536)


@pytest.mark.parametrize("before", [0, 99, 100, 101, 250])
def test_ours_is_found_among_pages(github: FakeGitHub, before: int) -> None:
    for number in range(before):
        github.add(f"comment {number}", {"login": f"user{number}", "type": "User"})
    github.add(f"{OURS}\nold")
    for number in range(30):
        github.add(f"later {number}", {"login": "somebody", "type": "User"})
    upsert(github, "new")

    assert github.bodies[before] == f"{OURS}\nnew"
    assert len(github.bodies) == before + 31


def test_comments_of_other_keys_stay(github: FakeGitHub) -> None:
    upsert(github, "plain")
    upsert(github, "other", marker("other"))
    upsert(github, "plain again")

    assert github.bodies == [f"{OURS}\nplain again", f"{marker('other')}\nother"]


@pytest.mark.parametrize(
    ("body", "user"),
    [
        (f"{OURS}\npretended", {"login": "mallory", "type": "User"}),
        (f"> {OURS}\nquoted", BOT),
        (f"see {OURS}", BOT),
    ],
)
def test_nobody_elses_comment_is_written_over(
    github: FakeGitHub, body: str, user: dict[str, str]
) -> None:
    github.add(body, user)
    upsert(github, "mine")

    assert github.bodies == [body, f"{OURS}\nmine"]


def test_the_comment_of_a_persons_token_is_theirs(github: FakeGitHub) -> None:
    github.login = "me"
    github.add(f"{OURS}\nof a bot", BOT)
    upsert(github, "one")
    upsert(github, "two")

    assert github.bodies == [f"{OURS}\nof a bot", f"{OURS}\ntwo"]


def test_a_token_that_may_only_read_is_told_of(github: FakeGitHub) -> None:
    github.may_write = False
    with pytest.raises(NoComment, match="403 Resource not accessible by integration; give the job"):
        upsert(github, "one")


def test_a_comment_that_was_deleted_meanwhile_is_made_again(github: FakeGitHub) -> None:
    github.add(f"{OURS}\nold")
    github.failures = [0, 0, 404]
    upsert(github, "new")

    assert github.bodies[1:] == [f"{OURS}\nnew"]
    assert [method for method, _ in github.calls] == ["GET", "GET", "PATCH", "POST"]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_passes_is_waited_for(github: FakeGitHub, status: int) -> None:
    github.failures = [status, status]
    upsert(github, "one")

    assert github.bodies == [f"{OURS}\none"]


def test_what_may_have_been_done_is_not_done_again(github: FakeGitHub) -> None:
    github.failures = [0, 502]
    with pytest.raises(NoComment, match="502"):
        upsert(github, "one")

    assert [method for method, _ in github.calls] == ["GET", "POST"]


def test_it_gives_up(github: FakeGitHub) -> None:
    github.failures = [503] * 20
    with pytest.raises(NoComment, match="503 try later"):
        upsert(github, "one")

    assert len(github.calls) == 4


def test_a_server_that_is_not_there() -> None:
    github = FakeGitHub()
    with github:
        address = github.url
    with Transport(connections=1, environ={}) as transport:
        comments = Comments(
            transport, api=address, token="x", repository="me/p", number=1, clock=Ticking()
        )
        with pytest.raises(NoComment):
            comments.upsert(OURS, OURS)
