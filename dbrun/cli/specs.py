"""The SPEC arguments: patterns expanded, fragments passed over, files read and checked together."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import SpecError, UserError
from ..frozen import frozen

if TYPE_CHECKING:
    from ..run.pipeline import Pipeline
    from ..tracking.prompts import Mode
    from ..types import Problem

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


@frozen
class Overlay:
    """What the command line lays over a spec: `--target`, `--var` and `--set`."""

    target: str | None
    variables: dict[str, str]
    overrides: tuple[str, ...]


def overlaid(function: AnyFunction) -> AnyFunction:
    """Give a command the options `--target`, `--var` and `--set`."""
    for option in (
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="PATH=VALUE",
            help="Set one value of the spec, e.g. params.max_tokens=50. Repeatable.",
        ),
        click.option(
            "--var",
            "variables",
            multiple=True,
            metavar="NAME=VALUE",
            help="Set a variable that the spec declares. Repeatable.",
        ),
        click.option(
            "-t",
            "--target",
            metavar="NAME",
            shell_complete=_complete_target,
            help="Lay one of the spec's targets over it.",
        ),
    ):
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


def spec_paths(words: Sequence[str], *, keep_lone_fragment: bool = True) -> list[str]:
    """The files that *words* name. Patterns are expanded here too, for they may come in quotes.

    Fragments (`_*.yaml`) are passed over, unless one is all that was named.

    Raises:
        UserError: a pattern matches nothing, or a folder was named.
    """
    found: list[str] = []
    for word in words:
        if os.path.exists(word) or not glob.has_magic(word):
            found.append(word)
            continue
        matches = sorted(glob.glob(word, recursive=True))
        if not matches:
            raise UserError(f"no file matches '{word}'")
        found.extend(matches)
    for path in found:
        if os.path.isdir(path):
            pattern = os.path.join(path, "*.yaml")
            raise UserError(f"{path} is a folder", f"name its specs: '{pattern}'")
    if keep_lone_fragment and list(words) == found and len(found) == 1:
        return found
    return [path for path in found if not is_fragment(path)]


def is_fragment(path: str) -> bool:
    """Whether the file at *path* is there for others to extend, by its name."""
    return os.path.basename(path).startswith("_")


def load_all(
    paths: Sequence[str], overlay: Overlay, *, prompts: Mode = "latest_known"
) -> list[Pipeline]:
    """The pipelines of the files at *paths*; *prompts* is as for `dbrun.load`.

    Raises:
        SpecError: with every problem of every one of them.
    """
    from ..api import load
    from .output import prints_aside

    pipelines = []
    problems: list[Problem] = []
    for path in paths:
        try:
            with prints_aside():
                pipeline = load(
                    path,
                    target=overlay.target,
                    variables=overlay.variables,
                    overrides=overlay.overrides,
                    prompts=prompts,
                )
            pipelines.append(pipeline)
            if prompts == "latest_known":
                _warn_of_prompts(pipeline)
        except SpecError as error:
            # A parent's problem is every child's; once is enough.
            problems.extend(found for found in error.problems if found not in problems)
    if problems:
        raise SpecError(problems)
    return pipelines


def _warn_of_prompts(pipeline: Pipeline) -> None:
    """Say it where another prompt may be shown than a run would take."""
    from .session import session_of
    from .trouble import show_problems

    warnings = [one for one in pipeline.warnings if one.path.endswith("prompt.mlflow")]
    if warnings:
        show_problems(warnings, session_of(click.get_current_context()), "warning")


def _complete_target(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[str]:
    from .group import WORDS
    from .targets import target_names

    # What stands on the line so far: an option without its value cannot be parsed.
    paths = [word for word in context.meta.get(WORDS, ()) if os.path.isfile(word)]
    return [name for name in target_names(paths) if name.startswith(incomplete)]
