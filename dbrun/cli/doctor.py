"""`dbrun doctor [SPEC…]`: is everything there that a run needs?"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from ..errors import EXIT_INCOMPLETE, EXIT_OK
from .buglog import without_secrets
from .options import Overlay, json_option, overlaid
from .output import flush, prints_aside, write_json, write_line
from .session import session_of, talkative
from .specs import load_all, spec_paths

if TYPE_CHECKING:
    from ..findings import Finding
    from ..run.pipeline import Pipeline
    from ..types import Json


@click.command("doctor", short_help="Look whether everything is there that a run needs.")
@click.argument("specs", nargs=-1, metavar="[SPEC…]", type=click.Path())
@overlaid
@click.option("--ask", is_flag=True, help="Ask each endpoint one tiny question as well.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=8.0,
    show_default=True,
    metavar="SECONDS",
    help="What one check may take.",
)
@json_option("Print one JSON object.")
@talkative
@click.pass_context
def command(
    context: click.Context,
    /,
    specs: tuple[str, ...],
    overlay: Overlay,
    ask: bool,
    timeout: float,
    as_json: bool,
) -> int:
    """Look at what a run needs: versions, credentials, endpoints, folders, journal.

    Each check is one line: ok, warn or fail, what was found, and what to do. Without SPEC, what
    holds for every spec. No model is asked anything, unless --ask says so, and nothing is
    written but a small file for a moment, to see whether a folder takes it.

    \b
    Exit codes: 0 nothing fails, 2 a spec is wrong, 3 something fails.
    """
    if ask and not specs:
        raise click.UsageError("--ask needs a SPEC, whose endpoints to ask", context)
    paths = spec_paths(specs)
    pipelines = load_all(paths, overlay)
    session = session_of(context)
    if not ask and pipelines:
        session.say("no model is asked anything; --ask asks each endpoint one tiny question")
    told: list[dict[str, Json]] = []
    about: str | None = None
    for name, finding in _findings(pipelines, timeout, ask=ask, debug=session.debug):
        told.append(_described(name, finding))
        if not as_json:
            if name != about and len(pipelines) > 1:
                write_line(f"\n{name}")
            about = name
            write_line(_line(told[-1]))
            flush()
    fails = any(one["state"] == "fail" for one in told)
    if as_json:
        write_json({"healthy": not fails, "checks": told}, indent=2)
    return EXIT_INCOMPLETE if fails else EXIT_OK


def _findings(
    pipelines: Sequence[Pipeline], seconds: float, *, ask: bool, debug: bool
) -> Iterator[tuple[str | None, Finding]]:
    """Findings, each with the spec that it is about."""
    from ..doctor.examining import examine_login, examine_machine, examine_spec
    from ..report.summary import shown_path
    from ..run.opening import Surroundings

    yield from ((None, finding) for finding in examine_machine(seconds))
    if not pipelines:
        around = Surroundings(environ=os.environ, debug=debug)
        yield from ((None, finding) for finding in examine_login(around, seconds))
    for pipeline in pipelines:
        around = Surroundings(environ=os.environ, registry=pipeline.registry, debug=debug)
        name = shown_path(pipeline.spec.file)
        for finding in _quietly(examine_spec(pipeline, around, seconds, ask=ask)):
            yield name, finding


def _quietly(findings: Iterator[Finding]) -> Iterator[Finding]:
    """*findings*, while what user functions print as they are made goes to standard error."""
    while True:
        with prints_aside():
            finding = next(findings, None)
        if finding is None:
            return
        yield finding


def _described(spec: str | None, finding: Finding) -> dict[str, Json]:
    told: dict[str, Json] = {
        "state": finding.state,
        "check": finding.subject,
        "found": without_secrets(finding.said),
    }
    if finding.mend:
        told["mend"] = without_secrets(finding.mend)
    if spec is not None:
        told["spec"] = spec
    return told


def _line(told: dict[str, Json]) -> str:
    mend = f"; {told['mend']}" if "mend" in told else ""
    return f"{told['state']:<4}  {told['check']}: {told['found']}{mend}"
