"""`dbrun verify RESULTS|SPEC`: are results on disk what they should be?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from ..errors import EXIT_OK, EXIT_UNMET
from ..report.words import counted
from .options import Overlay, overlaid
from .session import Session, session_of, talkative
from .specs import load_all

if TYPE_CHECKING:
    from ..run.offline.verifying import Verification

_SAID = {
    "missing": "not in the results",
    "extra": "in the results, but not in the rows",
    "different": "not what spec, rows and journal give",
    "unanswered": "without an answer in the journal",
}


@click.command("verify", short_help="Check results against their manifest or spec.")
@click.argument("path", metavar="RESULTS | SPEC", type=click.Path())
@overlaid
@talkative
@click.pass_context
def command(
    context: click.Context,
    /,
    path: str,
    overlay: Overlay,
) -> int:
    """Check that results are what they should be; nothing is sent or written.

    Given RESULTS, compare them with the manifest beside them. Given a SPEC, replay it from its
    journal and compare with the results on disk; exits 1 and names the ids that differ.
    """
    session = session_of(context)
    if path.lower().endswith((".yaml", ".yml")):
        return _verify_spec(path, overlay, session)
    if overlay.target or overlay.variables or overlay.overrides:
        raise click.UsageError("--target, --var and --set go with a spec", context)
    return _verify_results(path, session)


def _verify_results(path: str, session: Session) -> int:
    from ..registry import Registry
    from ..run.offline.agreement import disagreements
    from ..run.opening import Surroundings
    from ..run.travel.away import brought

    around = Surroundings(environ=os.environ)
    problems = disagreements(brought(path, around), Registry())
    for problem in problems:
        session.say(problem)
    if not problems:
        session.say(f"{path}: ok")
    return EXIT_UNMET if problems else EXIT_OK


def _verify_spec(path: str, overlay: Overlay, session: Session) -> int:
    from ..run.offline.verifying import verify_spec
    from ..run.opening import Surroundings

    pipeline = load_all([path], overlay, prompts="kept")[0]
    around = Surroundings(environ=os.environ, registry=pipeline.registry, debug=session.debug)
    found = verify_spec(pipeline.spec, around)
    _tell(path, found, session)
    return EXIT_OK if found.agrees else EXIT_UNMET


def _tell(path: str, found: Verification, session: Session) -> None:
    for what, record_id in found.named:
        session.say(f"{path}: {record_id}: {_SAID[what]}")
    more = found.counts.total() - len(found.named)
    if more:
        session.say(f"{path}: and {counted(more, 'more record')}")
    if found.moved:
        session.say(f"{path}: the records are right, but not in the order of the rows")
    unchecked = ""
    if found.unchecked:
        unchecked = f"; {counted(found.unchecked, 'failed call')} cannot be replayed"
    verdict = "ok" if found.agrees else "the results are not up to date"
    session.say(f"{path}: {verdict}, {counted(found.records, 'record')} compared{unchecked}")
