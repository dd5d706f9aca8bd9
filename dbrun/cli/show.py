"""`dbrun show SPEC`: the merged spec, with where each value came from."""

from __future__ import annotations

import os

import click

from .options import Overlay, one_spec, overlaid
from .session import session_of, talkative


@click.command("show", short_help="Print the merged spec with origins.")
@one_spec
@overlaid
@talkative
@click.pass_context
def command(context: click.Context, /, spec: str, overlay: Overlay) -> int:
    """Print the spec as it is after extends, target and settings.

    Each value is followed by the file and line that it came from; ${NAME} is shown as written.
    """
    from ..registry import Registry
    from ..spec.load import load_spec
    from ..spec.show import show
    from .output import write_text

    session_of(context).only_shows = True
    loaded = load_spec(
        spec,
        environ=os.environ,
        registry=Registry(),
        target=overlay.target,
        variables=overlay.variables,
        overrides=overlay.overrides,
    )
    write_text(show(loaded.merged))
    for variant in loaded.spec.variants:
        write_text(f"# variant {variant.name}\n")
    return 0
