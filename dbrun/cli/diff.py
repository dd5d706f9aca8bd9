"""`dbrun diff OLD NEW`, `dbrun diff [SPEC…] --base REV`: what changed, and whether it got worse."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import click

from ..errors import EXIT_OK, EXIT_UNMET, UserError
from .options import Overlay, overlaid
from .session import Session, session_of, talkative

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..diff.model import Comparison, Options

_ROWS = {"text": 5, "markdown": 20, "html": 200, "json": 1000}
"""How many records of each kind are shown, by format, unless told otherwise."""

_NARROWEST, _WIDEST = 80, 110


@click.command("diff", short_help="Say what changed between two results.")
@click.argument("files", nargs=-1, metavar="OLD NEW | [SPEC…]", type=click.Path())
@click.option(
    "--base",
    metavar="REV",
    help="Compare specs with their state where this branch left REV (a branch or commit of git).",
)
@overlaid
@click.option(
    "--variant",
    "variants",
    nargs=2,
    multiple=True,
    metavar="OLD NEW",
    help="Compare this variant of OLD with that of NEW; '-' for records without one. Repeatable. "
    "With one results file, compare two of its variants.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "html", "json"]),
    default="text",
    help="Markdown fits in one comment on a pull request.",
)
@click.option("--rows", type=click.IntRange(min=0), metavar="N", help="Show N records of a kind.")
@click.option(
    "--confidence",
    type=click.FloatRange(min=0.5, max=1, max_open=True),
    default=0.95,
    show_default=True,
    help="That of the intervals.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["regression"]),
    help="Exit 1 if a record was ok and is not, or a score's mean is surely worse.",
)
@talkative
@click.pass_context
def command(
    context: click.Context,
    /,
    files: tuple[str, ...],
    base: str | None,
    overlay: Overlay,
    variants: tuple[tuple[str, str], ...],
    form: str,
    rows: int | None,
    confidence: float,
    fail_on: str | None,
) -> int:
    """Say what changed between two results files, and whether the answers got worse.

    Rows are paired by id. Nothing is sent or asked.

    \b
    dbrun diff old/summaries.jsonl out/summaries.jsonl
    dbrun diff old.jsonl new.jsonl --format markdown --fail-on regression
    dbrun diff out/summaries.jsonl --variant prompt=short prompt=long

    With --base, both sides are those of specs: as they were where this branch left REV (the
    results that are committed there, else a replay), and as they are now, replayed from the
    journal. Without SPEC, every spec that differs.

    \b
    dbrun diff --base main
    """
    from ..diff.model import Options

    options = Options(
        variants=tuple((_named(old), _named(new)) for old, new in variants),
        rows=_ROWS[form] if rows is None else rows,
        confidence=confidence,
    )
    if base is not None:
        found = _since(base, files, overlay, options, session_of(context))
        return finish(found, form=form, fail_on=fail_on)
    if overlay.target or overlay.variables or overlay.overrides:
        raise click.UsageError("--target, --var and --set go with --base", context)
    return finish([_two_files(files, options, context)], form=form, fail_on=fail_on)


def _two_files(files: Sequence[str], options: Options, context: click.Context) -> Comparison:
    from ..diff.comparing import compare
    from ..diff.reading import read_side
    from ..registry import Registry
    from ..run.opening import Surroundings
    from ..run.travel.away import brought

    around = Surroundings(environ=os.environ)
    old, new = (
        read_side(brought(path, around)) for path in _two(files, bool(options.variants), context)
    )
    found = compare(old, new, options, Registry())
    _refuse_empty(found)
    return found


def _since(
    revision: str, words: Sequence[str], overlay: Overlay, options: Options, session: Session
) -> list[Comparison]:
    from ..diff.sides import base
    from ..diff.sides.comparisons import comparisons
    from ..registry import Registry
    from .output import prints_aside
    from .specs import is_pattern, spec_paths

    patterns = [word for word in words if is_pattern(word)]
    named = spec_paths([word for word in words if word not in patterns])
    laid = base.Overlay(
        target=overlay.target, variables=overlay.variables, overrides=overlay.overrides
    )
    with (
        prints_aside(),
        base.sides_since(
            revision, named, laid, os.environ, patterns=patterns, debug=session.debug
        ) as found,
    ):
        if not found.sides:
            session.say(f"no spec differs from {revision} ({found.commit[:9]})")
        return comparisons(found, options, Registry())


def finish(
    found: Sequence[Comparison],
    *,
    form: str,
    fail_on: str | None,
) -> int:
    """Write what was *found* to standard output; gives the exit code.

    Raises:
        UserError: regressions are asked for, and whether there are any cannot be told.
    """
    from ..diff.verdict import require_judged

    if fail_on is not None:
        require_judged(found)
    _write(found, form)
    failed = fail_on is not None and any(one.regressions for one in found)
    return EXIT_UNMET if failed else EXIT_OK


def _write(found: Sequence[Comparison], form: str) -> None:
    from .output import write_text

    if not found and form in ("text", "markdown"):
        write_text("No differences.\n")
    elif form == "html":
        from ..diff import html

        for piece in html.pieces(found):
            write_text(piece)
    elif form == "markdown":
        from ..diff import markdown

        write_text(markdown.shown(found))
    elif form == "json":
        from ..diff import json

        write_text(json.shown(found))
    else:
        from ..diff import text

        width = shutil.get_terminal_size((text.WIDTH, 24)).columns
        width = max(_NARROWEST, min(width, _WIDEST))
        write_text(text.shown(found, width=width, colour=_is_coloured()))


def _is_coloured() -> bool:
    """Whether standard output takes colours, and they are not unwanted (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _two(results: Sequence[str], has_variants: bool, context: click.Context) -> tuple[str, str]:
    if len(results) == 2:
        return results[0], results[1]
    if not results:
        raise click.UsageError("name two results files, or --base REV", context)
    if len(results) == 1 and has_variants:
        return results[0], results[0]
    if len(results) == 1:
        said = "name two results files; or --variant OLD NEW with one, --base REV with a spec"
        raise click.UsageError(said, context)
    raise click.UsageError(f"two results files are compared, not {len(results)}", context)


def _named(variant: str) -> str | None:
    return None if variant == "-" else variant


def _refuse_empty(found: Comparison) -> None:
    """Raises `UserError` if one side has records and the other has none."""
    sides = (found.old, found.new)
    for side, other in (sides, sides[::-1]):
        if other.records and not side.records:
            raise UserError(f"{side.label}: there are no records in these results", "run its spec")
