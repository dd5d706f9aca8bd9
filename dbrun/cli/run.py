"""`dbrun run SPEC…`: ask for every row that has no answer yet, and write the results."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..errors import UserError
from .session import session_of, talkative
from .specs import load_all, make_overlay, overlaid, spec_paths

if TYPE_CHECKING:
    from ..run.items import Selection
    from ..run.options import RunOptions
    from ..run.pipeline import Pipeline


@click.command("run", short_help="Ask for every row that has no answer yet.")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC…", type=click.Path())
@overlaid
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N rows.")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Only N rows, drawn.")
@click.option("--seed", type=int, metavar="S", help="Draw with this seed (0 unless given).")
@click.option("--ids", multiple=True, metavar="A,B", help="Only the rows of these ids.")
@click.option("--only-errors", is_flag=True, help="Ask again for rows whose record is an error.")
@click.option("--out", metavar="PATH", help="Write results there; '-' is standard output.")
@click.option("--fresh", is_flag=True, help="Ask for everything anew.")
@click.option("--replay", is_flag=True, help="Never send; take answers from the journal only.")
@click.option(
    "--max-cost",
    type=click.FloatRange(min=0, min_open=True),
    metavar="AMOUNT",
    help="Spend at most this, as limits.max_cost does.",
)
@click.option("--engine", metavar="NAME", help="Where to run: local or spark.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="After an interrupt, wait this long for what is in flight.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON summary to standard output.")
@talkative
@click.pass_context
def command(
    context: click.Context,
    /,
    specs: tuple[str, ...],
    target: str | None,
    variables: tuple[str, ...],
    overrides: tuple[str, ...],
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """Ask for every row that has no answer yet, and write the results in the rows' order.

    The same command again continues an unfinished run, and sends nothing when there is nothing
    new. Several specs run one after the other.

    \b
    Exit codes: 0 every gate met, 1 finished with failed rows or an unmet gate, 2 something to
    fix first, 3 could not finish (run again to continue), 130 or 143 interrupted.
    """
    _check_options({**given, "json": as_json, "quiet": quiet}, context)
    if given["max_cost"] is not None:
        overrides = (*overrides, f"limits.max_cost={given['max_cost']!r}")
    if given["engine"] is not None:
        overrides = (*overrides, f"engine.type={given['engine']}")
    overlay = make_overlay(target, variables, overrides)
    paths = spec_paths(specs)
    if not paths:
        raise UserError("nothing to run: there are only fragments (_*.yaml)")
    if given["out"] is not None and len(paths) > 1:
        raise click.UsageError("--out takes the results of one spec, not of several")
    pipelines = load_all(paths, overlay, prompts="kept" if given["replay"] else "current")
    options = _run_options(given)
    _check_sinks(pipelines, options)
    from .running import Runner

    runner = Runner(session_of(context), options, quiet=quiet, as_json=as_json)
    return runner.run(pipelines)


ENGINES = ("local", "spark")

_EXCLUDE = (
    ("fresh", "replay", "one asks for everything, the other sends nothing"),
    ("only_errors", "replay", "one asks again, the other sends nothing"),
    ("only_errors", "fresh", "--fresh asks again for every row"),
)


def _check_options(given: Mapping[str, Any], context: click.Context) -> None:
    """Refuse options that contradict each other."""
    if (most := given["max_cost"]) is not None and not math.isfinite(most):
        raise click.UsageError("--max-cost wants a finite amount", context)
    if math.isnan(given["grace"]):
        raise click.UsageError("--grace wants a number of seconds", context)
    for one, other, why in _EXCLUDE:
        if given[one] and given[other]:
            names = f"--{one} and --{other}".replace("_", "-")
            raise click.UsageError(f"{names} exclude each other: {why}", context)
    if given["json"] and given["out"] == "-":
        raise click.UsageError("--json and '--out -' both write to standard output", context)
    if given["seed"] is not None and given["sample"] is None:
        raise click.UsageError("--seed goes with --sample", context)
    if given["engine"] not in (None, *ENGINES):
        raise click.UsageError(
            f"--engine {given['engine']}: there are {' and '.join(ENGINES)}", context
        )


def _run_options(given: Mapping[str, Any]) -> RunOptions:
    from ..run.options import RunOptions

    return RunOptions(
        selection=make_selection(
            limit=given["limit"],
            sample=given["sample"],
            seed=given["seed"] or 0,
            ids=given["ids"],
        ),
        only_errors=given["only_errors"],
        out=given["out"],
        stream=sys.stdout.buffer if given["out"] == "-" else None,
        fresh=given["fresh"],
        replay=given["replay"],
        grace=min(given["grace"], threading.TIMEOUT_MAX),
        handle_signals=True,
    )


def make_selection(
    *,
    limit: int | None = None,
    sample: int | None = None,
    seed: int = 0,
    ids: Sequence[str] = (),
) -> Selection:
    """The rows that the options take; *ids* are lists with commas."""
    from ..run.items import Selection

    wanted = frozenset(word.strip() for words in ids for word in words.split(",")) - {""}
    if ids and not wanted:
        raise click.UsageError("--ids names no row; write --ids A,B")
    return Selection(
        limit=limit,
        sample=sample,
        seed=seed,
        ids=wanted if ids else None,
    )


def _check_sinks(pipelines: Sequence[Pipeline], options: RunOptions) -> None:
    """Refuse specs that would write over each other's results or manifests.

    Raises:
        UserError: naming two of them.
    """
    from ..run.manifest import manifest_path
    from ..run.places import results_path

    owners: dict[str, Pipeline] = {}
    for pipeline in pipelines:
        results = results_path(pipeline.spec, options)
        if results is None:
            continue
        # Results of one stem share a manifest, whatever their formats.
        for path in (results, manifest_path(results)):
            owner = owners.setdefault(os.path.realpath(path), pipeline)
            if owner is not pipeline:
                raise UserError(
                    f"{owner.spec.file} and {pipeline.spec.file} "
                    f"both write {os.path.relpath(path)}",
                    "give one of them another sink",
                )
