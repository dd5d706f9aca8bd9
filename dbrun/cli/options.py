"""Arguments and options that several commands have, and the values that a command gets of them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..frozen import frozen

if TYPE_CHECKING:
    from ..run.rows.items import Selection

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


@frozen
class Overlay:
    """What the command line lays over a spec: `--target`, `--var` and `--set`."""

    target: str | None
    variables: dict[str, str]
    overrides: tuple[str, ...]


def many_specs(function: AnyFunction) -> AnyFunction:
    """Give a command the argument `SPEC…`: at least one path or pattern, as *specs*."""
    return click.argument("specs", nargs=-1, required=True, metavar="SPEC…", type=click.Path())(
        function
    )


def one_spec(function: AnyFunction) -> AnyFunction:
    """Give a command the argument `SPEC`, as *spec*."""
    return click.argument("spec", metavar="SPEC", type=click.Path())(function)


def json_option(help: str) -> Callable[[AnyFunction], AnyFunction]:
    """Give a command the option `--json`, as *as_json*; *help* says what is printed."""
    return click.option("--json", "as_json", is_flag=True, help=help)


def overlaid(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options `--target`, `--var` and `--set`, as one *overlay*."""

    @functools.wraps(function)
    def command(
        *args: Any,
        target: str | None,
        variables: tuple[str, ...],
        overrides: tuple[str, ...],
        **given: Any,
    ) -> int:
        return function(*args, overlay=make_overlay(target, variables, overrides), **given)

    return _with(
        command,
        click.option(
            "-t",
            "--target",
            metavar="NAME",
            shell_complete=_complete_target,
            help="Lay one of the spec's targets over it.",
        ),
        click.option(
            "--var",
            "variables",
            multiple=True,
            metavar="NAME=VALUE",
            help="Set a variable that the spec declares. Repeatable.",
        ),
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="PATH=VALUE",
            help="Set one value of the spec, e.g. params.max_tokens=50. Repeatable.",
        ),
    )


def selected(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command `--limit`, `--sample`, `--seed` and `--ids`, as one *selection* of rows."""

    @functools.wraps(function)
    def command(
        *args: Any,
        limit: int | None,
        sample: int | None,
        seed: int | None,
        ids: tuple[str, ...],
        **given: Any,
    ) -> int:
        if seed is not None and sample is None:
            raise click.UsageError("--seed goes with --sample")
        selection = make_selection(limit=limit, sample=sample, seed=seed or 0, ids=ids)
        return function(*args, selection=selection, **given)

    count = click.IntRange(min=1)
    return _with(
        command,
        click.option("--limit", type=count, metavar="N", help="Only the first N rows."),
        click.option("--sample", type=count, metavar="N", help="Only N rows, drawn at random."),
        click.option("--seed", type=int, metavar="S", help="Draw with this seed (0 unless given)."),
        click.option(
            "--ids", multiple=True, metavar="A,B", help="Only the rows of these ids. Repeatable."
        ),
    )


def _with(
    function: Callable[..., int], *options: Callable[[AnyFunction], AnyFunction]
) -> Callable[..., int]:
    """*function* with *options*, which help shows in this order."""
    for option in reversed(options):
        function = option(function)
    return function


def make_overlay(target: str | None, variables: Sequence[str], overrides: Sequence[str]) -> Overlay:
    """The values of the three options, taken apart.

    Raises:
        click.UsageError: one of them holds no `=`.
    """
    given: dict[str, str] = {}
    for pair in variables:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise click.UsageError(f"--var {pair}: write it as NAME=VALUE")
        given[name] = value
    for pair in overrides:
        if not pair.partition("=")[1] or pair.startswith("="):
            raise click.UsageError(f"--set {pair}: write it as PATH=VALUE")
    return Overlay(target=target, variables=given, overrides=tuple(overrides))


def make_selection(
    *,
    limit: int | None = None,
    sample: int | None = None,
    seed: int = 0,
    ids: Sequence[str] = (),
) -> Selection:
    """The rows that the options take; *ids* are lists with commas.

    Raises:
        click.UsageError: *ids* hold nothing but commas.
    """
    from ..run.rows.items import Selection

    wanted = frozenset(word.strip() for words in ids for word in words.split(",")) - {""}
    if ids and not wanted:
        raise click.UsageError("--ids names no row; write --ids A,B")
    return Selection(limit=limit, sample=sample, seed=seed, ids=wanted if ids else None)


def _complete_target(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[str]:
    from .group import WORDS
    from .targets import target_names

    # What stands on the line so far: an option without its value cannot be parsed.
    paths = [word for word in context.meta.get(WORDS, ()) if os.path.isfile(word)]
    return [name for name in target_names(paths) if name.startswith(incomplete)]
