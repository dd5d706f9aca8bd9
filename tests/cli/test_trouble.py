"""Every exception becomes a message and an exit code."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from dbrun.cli.main import main
from dbrun.cli.session import Session
from dbrun.cli.trouble import ending
from dbrun.errors import AuthError, Interrupted, SinkInUse, SpecError, UserError
from dbrun.types import Mark, Problem

SPEC = """\
name: s
source: {rows: [{text: a}]}
endpoint: {adapter: python, function: "json:dumps"}
prompt: "{{ text }}"
"""
PROBLEM = Problem(where=Mark(file="a.yaml", line=3, column=5), path="endpoint", message="is odd")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("a thing", "mend it"), 2, "dbrun: a thing; mend it\n"),
        (UserError("a\nb.yaml: a thing"), 2, "dbrun: a\\nb.yaml: a thing\n"),
        (SinkInUse("in use"), 2, "dbrun: in use\n"),
        (AuthError("no credentials"), 3, "dbrun: no credentials\n"),
        (Interrupted("stopped", 143), 143, "dbrun: stopped\n"),
        (SpecError([PROBLEM]), 2, "a.yaml:3:5: endpoint: is odd\n1 problem\n"),
        (click.UsageError("No such thing."), 2, "dbrun: no such thing; see 'dbrun --help'\n"),
        (
            click.BadParameter("'five' is not a valid integer range."),
            2,
            "dbrun: invalid value: 'five' is no whole number; see 'dbrun --help'\n",
        ),
        (
            click.BadParameter("'x' is not a valid float."),
            2,
            "dbrun: invalid value: 'x' is no number; see 'dbrun --help'\n",
        ),
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


class Unread:
    """Standard output whose reader has gone."""

    def __getattr__(self, name: str) -> Unread:
        return self

    def __call__(self, *given: object) -> None:
        raise BrokenPipeError


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("render s.yaml", 0),
        ("show s.yaml", 0),
        ("export r.jsonl --to openai-batch --out -", 0),
        ("plan s.yaml", 3),
    ],
)
def test_who_only_shows_has_done_well_when_enough_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SPEC)
    (tmp_path / "r.jsonl").write_text('{"id": "a", "status": "ok", "output": "b", "row": {}}\n')
    monkeypatch.setattr("sys.stdout", Unread())
    assert main(words.split()) == code


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
