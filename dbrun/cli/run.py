"""`dbrun run SPEC…`: ask for every row that has no answer yet, and write the results."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from ..errors import UserError
from .options import Overlay, json_option, many_specs, overlaid, selected
from .session import session_of, talkative
from .specs import load_all, spec_paths

if TYPE_CHECKING:
    from ..run.options import RunOptions
    from ..run.pipeline import Pipeline
    from ..run.rows.items import Selection


@click.command("run", short_help="Ask for every row that has no answer yet.")
@many_specs
@overlaid
@selected
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
@json_option("Print a JSON summary to standard output.")
@talkative
@click.pass_context
def command(
    context: click.Context,
    /,
    specs: tuple[str, ...],
    overlay: Overlay,
    selection: Selection,
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
    overlay = _overlaid_by(given, overlay)
    paths = spec_paths(specs)
    if not paths:
        raise UserError("nothing to run: there are only fragments (_*.yaml)")
    if given["out"] is not None and len(paths) > 1:
        raise click.UsageError("--out takes the results of one spec, not of several")
    pipelines = load_all(paths, overlay, prompts="kept" if given["replay"] else "current")
    options = _run_options(selection, given)
    _check_sinks(pipelines, options)
    from .running import Runner

    runner = Runner(session_of(context), options, quiet=quiet, as_json=as_json)
    return runner.run(pipelines)


def _overlaid_by(given: Mapping[str, Any], overlay: Overlay) -> Overlay:
    """*overlay* with what the options that stand for values of the spec set."""
    overrides = overlay.overrides
    if given["max_cost"] is not None:
        overrides += (f"limits.max_cost={given['max_cost']!r}",)
    if given["engine"] is not None:
        overrides += (f"engine.type={given['engine']}",)
    return replace(overlay, overrides=overrides)


ENGINES = ("local", "spark")


def _check_options(given: Mapping[str, Any], context: click.Context) -> None:
    """Refuse options that contradict each other."""
    if (most := given["max_cost"]) is not None and not math.isfinite(most):
        raise click.UsageError("--max-cost wants a finite amount", context)
    if math.isnan(given["grace"]):
        raise click.UsageError("--grace wants a number of seconds", context)
    from ..run.options import EXCLUDE

    for one, other, why in EXCLUDE:
        if given[one] and given[other]:
            names = f"--{one} and --{other}".replace("_", "-")
            raise click.UsageError(f"{names} exclude each other: {why}", context)
    if given["json"] and given["out"] == "-":
        raise click.UsageError("--json and '--out -' both write to standard output", context)
    if given["engine"] not in (None, *ENGINES):
        raise click.UsageError(
            f"--engine {given['engine']}: there are {' and '.join(ENGINES)}", context
        )


def _run_options(selection: Selection, given: Mapping[str, Any]) -> RunOptions:
    from ..run.options import RunOptions

    return RunOptions(
        selection=selection,
        only_errors=given["only_errors"],
        out=given["out"],
        stream=sys.stdout.buffer if given["out"] == "-" else None,
        fresh=given["fresh"],
        replay=given["replay"],
        grace=min(given["grace"], threading.TIMEOUT_MAX),
        handle_signals=True,
    )


def _check_sinks(pipelines: Sequence[Pipeline], options: RunOptions) -> None:
    """Refuse specs that would write over each other's results or manifests.

    Raises:
        UserError: naming two of them.
    """
    from ..run.keeping.places import results_path
    from ..run.manifest import manifest_path

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
