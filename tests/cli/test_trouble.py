"""Every exception becomes a message and an exit code."""

from __future__ import annotations

import click
import pytest

from dbrun.cli.session import Session
from dbrun.cli.trouble import ending
from dbrun.errors import AuthError, Interrupted, SinkInUse, SpecError, UserError
from dbrun.types import Mark, Problem

PROBLEM = Problem(where=Mark(file="a.yaml", line=3, column=5), path="endpoint", message="is odd")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("a thing", "mend it"), 2, "dbrun: a thing; mend it\n"),
        (SinkInUse("in use"), 2, "dbrun: in use\n"),
        (AuthError("no credentials"), 3, "dbrun: no credentials\n"),
        (Interrupted("stopped", 143), 143, "dbrun: stopped\n"),
        (SpecError([PROBLEM]), 2, "a.yaml:3:5: endpoint: is odd\n1 problem\n"),
        (click.UsageError("No such thing."), 2, "dbrun: no such thing; see 'dbrun --help'\n"),
        (KeyboardInterrupt(), 130, "dbrun: interrupted by Ctrl-C\n"),
        (click.Abort(), 130, "dbrun: interrupted by Ctrl-C\n"),
        (BrokenPipeError(), 3, ""),
    ],
)
def test_messages_and_codes(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with ending(Session()) as end:
        raise error
    assert end.code == code
    assert capsys.readouterr().err == said


def test_all_is_well_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    with ending(Session()) as end:
        end.code = 1
    assert end.code == 1
    assert capsys.readouterr().err == ""


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with ending(Session(debug=True)):
        raise UserError("a thing")
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert err.endswith("dbrun: a thing\n")
