"""`dbrun plan SPEC…`: what would a run send, reuse, cost?"""

from __future__ import annotations

import os

import click

from ..errors import EXIT_OK
from .output import prints_aside, write_json, write_line
from .session import session_of, talkative
from .specs import load_all, make_overlay, overlaid, spec_paths


@click.command("plan", short_help="Say what a run would send, reuse, cost.")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC…", type=click.Path())
@overlaid
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Only the first N rows.")
@click.option("--sample", metavar="N", type=click.IntRange(min=1), help="N rows drawn at random.")
@click.option("--seed", metavar="N", type=int, default=0, help="Which rows --sample draws.")
@click.option("--ids", multiple=True, metavar="A,B", help="Only the rows of these ids.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON to standard output.")
@talkative
@click.pass_context
def command(
    context: click.Context,
    /,
    specs: tuple[str, ...],
    target: str | None,
    variables: tuple[str, ...],
    overrides: tuple[str, ...],
    limit: int | None,
    sample: int | None,
    seed: int,
    ids: tuple[str, ...],
    as_json: bool,
) -> int:
    """Say what a run would do: rows, requests, tokens, cost and time. Nothing is sent.

    Rows and prompts are rendered as in a run, and the journal tells which requests are answered
    already and how long answers are. Each figure is told low, expected and high; answers
    that an earlier step still has to give make it wide.
    """
    from ..client.journal import Journal
    from ..report.plan import described, shown
    from ..report.summary import shown_path
    from ..run.opening import Surroundings
    from ..run.planning import make_plan
    from .run import make_selection

    session = session_of(context)
    selection = make_selection(limit=limit, sample=sample, seed=seed, ids=ids)
    for pipeline in load_all(spec_paths(specs), make_overlay(target, variables, overrides)):
        spec = pipeline.spec
        around = Surroundings(environ=os.environ, registry=pipeline.registry, debug=session.debug)
        with (
            prints_aside(),
            Journal.open(spec.journal.path, mode="replay", writable=False) as journal,
        ):
            plan = make_plan(spec, around, journal, selection)
        if as_json:
            write_json(described(shown_path(spec.file), plan))
        else:
            write_line(shown(shown_path(spec.file), plan, spec.limits.max_cost))
    return EXIT_OK
