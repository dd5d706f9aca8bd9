"""`dbrun local install|list`: the small model that runs in this process."""

from __future__ import annotations

import click

from .session import session_of, talkative


@click.group(
    "local", no_args_is_help=False, short_help="The small model that runs in this process."
)
def command() -> None:
    """Install or list the small model that runs in this process, without network or token.

    It shows the whole path from rows to results; its answers are those of a toy.
    """


@command.command("install", short_help="Install llama.cpp and the default model (130 MB).")
@talkative
@click.pass_context
def install(context: click.Context, /) -> int:
    """Install llama.cpp and the weights of the default model (some 130 MB, hashes checked)."""
    from ..adapters import local_model

    local_model.install(session_of(context).say)
    return 0


@command.command("list")
@talkative
def list_models() -> int:
    """List the models that the adapter 'local' knows by name."""
    from ..adapters import local_model
    from .output import write_line

    for model in local_model.available():
        where = str(model.path) if model.installed else "not installed: dbrun local install"
        size = f"{model.size / 1e6:.0f} MB"
        write_line(f"{model.name}  {size}  {model.licence}  {where}")
    if not local_model.engine_installed():
        write_line("llama.cpp is not installed: dbrun local install")
    return 0
