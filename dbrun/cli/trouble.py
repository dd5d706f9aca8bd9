"""The one handler: what went wrong, said on standard error, and the exit code that follows."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from .group import EXIT_USAGE
from .session import Session

if TYPE_CHECKING:
    from ..errors import DbrunError
    from ..types import Problem

INTERRUPTED = 130


class Ending:
    """How a call of the command line ended: its exit *code*."""

    def __init__(self) -> None:
        self.code = 0


@contextmanager
def ending(session: Session) -> Iterator[Ending]:
    """Turn every exception of the block into a message and an exit code."""
    end = Ending()
    try:
        yield end
    except click.ClickException as error:
        end.code = EXIT_USAGE
        session.say(_usage(error))
    except (KeyboardInterrupt, click.Abort):
        end.code = INTERRUPTED
        session.say("dbrun: interrupted by Ctrl-C")
    except Exception as error:
        end.code = _explain(error, session)


def _explain(error: Exception, session: Session) -> int:
    # Not imported before something went wrong: that is a third of the time that --help takes.
    from ..errors import EXIT_BUG, EXIT_INCOMPLETE, EXIT_OK, DbrunError

    if isinstance(error, DbrunError):
        return report(error, session)
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has seen enough.
        return EXIT_OK if session.only_shows else EXIT_INCOMPLETE
    _report_bug(error, session)
    return EXIT_BUG


def report(error: DbrunError, session: Session) -> int:
    """Say what went wrong; the exit code of *error*."""
    from ..errors import SpecError

    if session.debug:
        session.say(_traceback(error))
    if isinstance(error, SpecError):
        show_problems(error.problems, session)
    else:
        session.say(f"dbrun: {on_one_line(str(error))}")
    return error.exit_code


def on_one_line(text: str) -> str:
    """*text* with its line feeds, as names of files may have them, shown as `\\n`."""
    return text.replace("\r", "\\r").replace("\n", "\\n")


def show_problems(problems: Sequence[Problem], session: Session, noun: str = "problem") -> None:
    """Say what is wrong, each with its place and the line it stands on."""
    from ..spec.problems import render_problems

    session.say(render_problems(problems, _text_of, noun=noun).rstrip("\n"))


def _text_of(file: str) -> str | None:
    try:
        with open(file, encoding="utf-8", newline="") as stream:
            return stream.read()
    except (OSError, ValueError):
        return None


_NO_NUMBER = re.compile(r"is not a valid (integer|float)( range)?$")
_NUMBERS = {"integer": "whole number", "float": "number"}


def _usage(error: click.ClickException) -> str:
    said = " ".join(error.format_message().split()).rstrip(".")
    said = _NO_NUMBER.sub(lambda found: "is no " + _NUMBERS[found[1]], said)
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "dbrun"
    return f"{path}: {said[:1].lower()}{said[1:]}; see '{path} --help'"


def _report_bug(error: Exception, session: Session) -> None:
    if session.debug:
        session.say(_traceback(error))
    from .buglog import write_bug_log

    said = f"dbrun: this is a bug in dbrun: {type(error).__name__}"
    path = write_bug_log(error, session.words)
    if path is None:
        session.say(f"{said}; run the command again with --debug to see where")
    else:
        session.say(f"{said}; what is needed to mend it is in {path}")


def _traceback(error: BaseException) -> str:
    import traceback

    from .buglog import without_secrets

    return without_secrets("".join(traceback.format_exception(error)).rstrip("\n"))


def silence_output() -> None:
    """Keep Python from complaining at exit that nobody reads standard output or error."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
