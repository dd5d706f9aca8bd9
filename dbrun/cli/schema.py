"""`dbrun schema [spec|record|manifest|diff]`: the JSON Schemas, for people and for editors."""

from __future__ import annotations

import json
import os

import click

from ..errors import RunError
from .session import session_of, talkative

_FILES = {"spec": "pipeline", "record": "record", "manifest": "manifest", "diff": "diff"}


@click.command("schema", short_help="Print a JSON Schema.")
@click.argument("which", type=click.Choice(list(_FILES)), default="spec")
@click.option("--write", is_flag=True, help="Put it into the project's folder 'schemas'.")
@talkative
@click.pass_context
def command(context: click.Context, /, which: str, write: bool) -> int:
    """Print the JSON Schema of specs, of records (lines of results), of manifests, or of what
    `dbrun diff --format json` prints.

    With --write it is put where the first line of a spec lets editors find it:

    \b
    # yaml-language-server: $schema=../schemas/pipeline.schema.json
    """
    from ..spec.schema import read_schema
    from .output import write_line

    name = _FILES[which]
    text = json.dumps(read_schema(name), indent=2, ensure_ascii=False)
    if not write:
        write_line(text)
        return 0
    path = os.path.join(_project(os.getcwd()), "schemas", f"{name}.schema.json")
    _write(path, text + "\n")
    session_of(context).say(f"wrote {os.path.relpath(path)}")
    return 0


def _project(folder: str) -> str:
    from ..spec.site import find_project

    return find_project(folder)


def _write(path: str, text: str) -> None:
    from ..files import write_whole

    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_whole(path, text.encode("utf-8"))
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}") from error
