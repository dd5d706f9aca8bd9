"""Checks are carried out in order, each in its time; what fails spares those that hang on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from dbrun.doctor.looking import carry_out
from dbrun.errors import AuthError, DbrunError, Rejected, TimedOut, UserError
from dbrun.findings import FAIL, OK, WARN, Check, Finding


def finding(subject: str, state: str = OK) -> Finding:
    return Finding(state=state, subject=subject, said="seen")


def check(subject: str, state: str = OK, after: tuple[str, ...] = ()) -> Check:
    return Check(subject=subject, look=lambda: [finding(subject, state)], after=after)


def subjects(*checks: Check) -> list[str]:
    return [found.subject for found in carry_out(checks, 5)]


def test_each_is_carried_out_in_its_turn() -> None:
    assert subjects(check("a"), check("b", WARN), check("c")) == ["a", "b", "c"]


def test_what_comes_after_a_failure_is_left_out_and_what_comes_after_that() -> None:
    assert subjects(
        check("host", FAIL),
        check("login", after=("host",)),
        check("endpoint", after=("login",)),
        check("folder"),
    ) == ["host", "folder"]
    assert subjects(check("host", WARN), check("login", after=("host",))) == ["host", "login"]


@pytest.mark.parametrize(
    ("error", "mend"),
    [
        (AuthError("no token", "set one"), "set one"),
        (UserError("no such thing", "name another"), "name another"),
        (TimedOut("too late"), "try again; --timeout gives it longer"),
        (Rejected("not this"), "look at the endpoint"),
    ],
)
def test_what_goes_wrong_is_a_finding(error: DbrunError, mend: str) -> None:
    def look() -> Iterator[Finding]:
        yield finding("first")
        raise error

    first, failed = carry_out([Check(subject="thing", look=look)], 5)
    assert first.subject == "first"
    assert failed == Finding(state=FAIL, subject="thing", said=error.message, mend=mend)


def test_what_hangs_is_given_up_and_the_next_is_looked_at() -> None:
    release = threading.Event()

    def look() -> Iterator[Finding]:
        yield finding("part")
        release.wait(20)

    checks = [Check(subject="mount", look=look, seconds=0.05), check("next")]
    found = list(carry_out(checks, 5))
    release.set()
    assert [(one.state, one.subject) for one in found] == [
        (OK, "part"),
        (FAIL, "mount"),
        (OK, "next"),
    ]
    assert found[1].said == "nothing is known after 0.05 s"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ZeroDivisionError])
def test_a_bug_is_no_finding(kind: type[BaseException]) -> None:
    def look() -> Iterator[Finding]:
        raise kind

    looks: Callable[[], Iterator[Finding]] = look
    with pytest.raises(kind):
        list(carry_out([Check(subject="thing", look=looks)], 5))
