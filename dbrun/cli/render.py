"""`dbrun render SPEC`: the exact requests as JSON Lines, offline."""

from __future__ import annotations

import os

import click

from ..errors import EXIT_OK, EXIT_UNMET
from .session import session_of, talkative
from .specs import load_all, make_overlay, overlaid


@click.command("render", short_help="Print the exact requests, offline.")
@click.argument("spec", metavar="SPEC", type=click.Path())
@overlaid
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N rows.")
@click.option("--ids", multiple=True, metavar="A,B", help="Only the rows of these ids.")
@talkative
@click.pass_context
def command(
    context: click.Context,
    /,
    spec: str,
    target: str | None,
    variables: tuple[str, ...],
    overrides: tuple[str, ...],
    limit: int | None,
    ids: tuple[str, ...],
) -> int:
    """Print the exact requests, one {id, key, request} a line. Nothing is sent or written.

    With several steps each line also names its step; those after the first are printed where
    the journal holds the answers that they build on. Exits 1 if a row has no request because a
    template or a transform failed on it.
    """
    from ..run.opening import Surroundings
    from ..run.rendering import render
    from .output import prints_aside, write_json
    from .run import make_selection

    session = session_of(context)
    pipeline = load_all([spec], make_overlay(target, variables, overrides))[0]
    around = Surroundings(environ=os.environ, registry=pipeline.registry, debug=session.debug)
    code = EXIT_OK
    found = render(pipeline.spec, around, make_selection(limit=limit, ids=ids))
    while True:
        with prints_aside():
            rendered = next(found, None)
        if rendered is None:
            return code
        failure = rendered.failure
        if failure is None:
            write_json(rendered.to_json())
            continue
        code = EXIT_UNMET
        where = f" ({failure.where})" if failure.where else ""
        session.say(f"row {rendered.id}: {failure.kind}: {failure.message}{where}")
