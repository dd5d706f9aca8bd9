"""What one call of the command line carries along, and the options that every command has."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import click

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


class Session:
    """One call of the command line: its *words*, and whether tracebacks are wanted (*debug*).

    *ended* describes each run that came to its end, and *last* is what was said last. A command
    that *only_shows* something has done well if whoever reads it has seen enough.
    """

    def __init__(self, words: Sequence[str] = (), *, debug: bool = False) -> None:
        self.words = list(words)
        self.debug = debug
        self.ended: list[dict[str, Any]] = []
        self.last = ""
        self.only_shows = False

    def say(self, text: str) -> None:
        """Write a line to standard error, if anybody reads it."""
        if "/away/" in text:
            from ..storage import spoken

            text = spoken(text)
        self.last = text
        with suppress(OSError, ValueError):
            print(text, file=sys.stderr, flush=True)


def talkative(function: AnyFunction) -> AnyFunction:
    """Give a command the options `-v` and `--debug`."""
    function = click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_debug,
        help="Show tracebacks and everything that is logged.",
    )(function)
    return click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_verbose,
        help="Log every request (never credentials).",
    )(function)


def session_of(context: click.Context) -> Session:
    """The session that *context* belongs to."""
    return context.ensure_object(Session)


def _debug(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        session_of(context).debug = True
        _log(context, "DEBUG")


def _verbose(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        _log(context, "INFO")


def _log(context: click.Context, level: str) -> None:
    from .logs import start

    context.find_root().call_on_close(start(level))
