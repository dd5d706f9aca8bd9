"""The SPEC arguments: patterns expanded, fragments passed over, files read and checked together."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..errors import SpecError, UserError
from .options import Overlay

if TYPE_CHECKING:
    from ..run.pipeline import Pipeline
    from ..tracking.prompts import Mode
    from ..types import Problem


def spec_paths(words: Sequence[str], *, keep_lone_fragment: bool = True) -> list[str]:
    """The files that *words* name. Patterns are expanded here too, for they may come in quotes.

    Fragments (`_*.yaml`) are passed over, unless one is all that was named.

    Raises:
        UserError: a pattern matches nothing, or a folder was named.
    """
    found: list[str] = []
    for word in words:
        if not is_pattern(word):
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


def is_pattern(word: str) -> bool:
    """Whether *word* stands for the files that fit it, rather than for the one of that name."""
    return glob.has_magic(word) and not os.path.exists(word)


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
