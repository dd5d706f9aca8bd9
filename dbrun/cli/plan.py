"""`dbrun plan SPEC…`: what would a run send, reuse, cost?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from ..errors import EXIT_OK, UserError
from .options import Overlay, json_option, many_specs, overlaid, selected
from .output import prints_aside, write_json, write_line
from .session import session_of, talkative
from .specs import load_all, spec_paths

if TYPE_CHECKING:
    from ..run.rows.items import Selection


@click.command("plan", short_help="Say what a run would send, reuse, cost.")
@many_specs
@overlaid
@selected
@click.option("--fresh", is_flag=True, help="If everything were asked for anew.")
@json_option("Print a line of JSON for each spec.")
@talkative
@click.pass_context
def command(
    context: click.Context,
    /,
    specs: tuple[str, ...],
    overlay: Overlay,
    selection: Selection,
    fresh: bool,
    as_json: bool,
) -> int:
    """Say what a run would do: rows, requests, tokens, cost and time. Nothing is sent.

    Rows and prompts are rendered as in a run, and the journal tells which requests are answered
    already and how long answers are. Each figure is told low, expected and high; answers
    that an earlier step still has to give make it wide.

    \b
    Exit codes: 0 the plan is told, 2 something to fix first, 3 the rows cannot be read.
    """
    from ..report.plan import described, shown
    from ..report.summary import shown_path
    from ..run.keeping.manifest_files import spent_so_far
    from ..run.offline.planning import make_plan, planning_journal
    from ..run.opening import Surroundings
    from ..run.options import RunOptions

    paths = spec_paths(specs)
    if not paths:
        raise UserError("nothing to plan: there are only fragments (_*.yaml)")
    session = session_of(context)
    for pipeline in load_all(paths, overlay):
        spec = pipeline.spec
        around = Surroundings(environ=os.environ, registry=pipeline.registry, debug=session.debug)
        with prints_aside(), planning_journal(spec, around, selection, fresh=fresh) as journal:
            plan = make_plan(spec, around, journal, selection)
        spent = spent_so_far(spec, RunOptions(selection=selection))
        name, cap = shown_path(spec.file), spec.limits.max_cost
        if as_json:
            write_json(described(name, plan, cap, spent))
        else:
            write_line(shown(name, plan, cap, spent))
    return EXIT_OK
