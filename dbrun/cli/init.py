"""`dbrun init [DIR]`: a project to start from."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

import click

from ..errors import EXIT_OK
from .session import Session, session_of, talkative

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command("init", short_help="Make a project to start from.")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path())
@click.option("--bundle", is_flag=True, help="Make it a Databricks bundle as well, with a job.")
@talkative
@click.pass_context
def command(context: click.Context, /, folder: str, bundle: bool) -> int:
    """Make a project that works: a pipeline with its prompt and function, rows, tests, checks for
    CI and for commits, settings for editors.

    It runs at once, without a model or a login. Files that are there already are kept as they
    are, so an existing project gains what it lacks.
    """
    from ..deploy.project import RESOURCE, SPEC, project_files, requirement, write_new

    session = session_of(context)
    source = requirement()
    name = os.path.basename(os.path.abspath(folder))
    files = project_files(name, source, bundle=bundle)
    written, kept = write_new(folder, files)
    if bundle and SPEC in written:
        made, there = write_new(folder, {RESOURCE: _resource(folder)})
        written, kept = written + made, kept + there
    for path in kept:
        session.say(f"kept {_shown(folder, path)}, which was there already")
    for path in written:
        session.say(f"made {_shown(folder, path)}")
    _say_next(session, folder, written, source, bundle=bundle)
    return EXIT_OK


def _resource(folder: str) -> str:
    """The resource file of the new project's job."""
    from ..deploy.job import Call, make_job, resource_key
    from ..deploy.loading import load_for_job
    from ..deploy.project import JOB_TARGET, SPEC
    from ..deploy.resource import heading, to_yaml
    from ..registry import Registry

    path = os.path.join(folder, SPEC)
    spec = load_for_job(path, environ=os.environ, registry=Registry(), target=JOB_TARGET).spec
    jobs = {resource_key(spec): make_job(spec, Call(target=JOB_TARGET))}
    return to_yaml(jobs, heading(f"dbrun job {SPEC} --target {JOB_TARGET}"))


def _say_next(
    session: Session, folder: str, written: Sequence[str], source: str, *, bundle: bool
) -> None:
    from ..deploy.project import JOB_TARGET, RESOURCE, SPEC

    if not written:
        session.say("nothing to make: everything is there")
        return
    if "requirements.txt" in written and " @ file:" in source:
        place = _shown(folder, "requirements.txt")
        session.say(f"{place} names dbrun where only this machine finds it; change it for CI")
    if bundle and RESOURCE not in written and not os.path.exists(os.path.join(folder, RESOURCE)):
        session.say(
            f"no job was made of {_shown(folder, SPEC)}; give it a target '{JOB_TARGET}', then: "
            f"dbrun job {SPEC} --target {JOB_TARGET} > {RESOURCE}"
        )
    if SPEC in written:
        step = "" if os.path.samefile(folder, ".") else f"cd {shlex.quote(folder)} && "
        session.say(f"\nnow run it: {step}dbrun {SPEC}")


def _shown(folder: str, path: str) -> str:
    return os.path.normpath(os.path.join(folder, path))
