"""`dbrun render SPEC`: the exact requests as JSON Lines, offline."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from ..errors import EXIT_OK, EXIT_UNMET
from .options import Overlay, one_spec, overlaid, selected
from .session import session_of, talkative
from .specs import load_all

if TYPE_CHECKING:
    from ..run.rows.items import Selection


@click.command("render", short_help="Print the exact requests, offline.")
@one_spec
@overlaid
@selected
@talkative
@click.pass_context
def command(
    context: click.Context,
    /,
    spec: str,
    overlay: Overlay,
    selection: Selection,
) -> int:
    """Print the exact requests, one {id, key, request} a line. Nothing is sent or written.

    With several steps each line also names its step; those after the first are printed where
    the journal holds the answers that they build on. Exits 1 if a row has no request because a
    template or a transform failed on it.
    """
    from ..run.offline.rendering import render
    from ..run.opening import Surroundings
    from .output import prints_aside, write_json

    session = session_of(context)
    session.only_shows = True
    pipeline = load_all([spec], overlay)[0]
    around = Surroundings(environ=os.environ, registry=pipeline.registry, debug=session.debug)
    code = EXIT_OK
    found = render(pipeline.spec, around, selection)
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
