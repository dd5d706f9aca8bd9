"""`dbrun job SPEC…`: the Databricks job that runs specs, as a resource of a bundle."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..errors import EXIT_OK, EXIT_UNMET, SpecError, UserError
from .options import Overlay, many_specs, overlaid
from .session import Session, session_of, talkative
from .specs import spec_paths
from .trouble import show_problems

if TYPE_CHECKING:
    from ..spec.load import Loaded
    from ..types import Json, Problem


@click.command("job", short_help="Print the Databricks job that runs specs.")
@many_specs
@overlaid
@click.option(
    "--check",
    "file",
    metavar="FILE",
    type=click.Path(),
    help="Compare with a resource file instead; exit 1 if it says something else.",
)
@talkative
@click.pass_context
def command(
    context: click.Context,
    /,
    specs: tuple[str, ...],
    overlay: Overlay,
    file: str | None,
) -> int:
    """Print the job that runs each spec, as a resource file of a Databricks bundle.

    What the spec's 'job' says is laid over what is generated. --target, --var and --set become
    part of what the job runs. Nothing is called and nothing is written:

    \b
    dbrun job pipelines/tickets.yaml --target prod > resources/tickets.yml
    dbrun job pipelines/tickets.yaml --target prod --check resources/tickets.yml
    """
    session = session_of(context)
    paths = spec_paths(specs)
    if not paths:
        raise UserError("no job to print: there are only fragments (_*.yaml)")
    jobs = _jobs(paths, overlay, session)
    command = shlex.join(["dbrun", "job", *specs, *_options(overlay)])
    if file is not None:
        return _check(file, jobs, command, session)
    from ..deploy.resource import heading, to_yaml
    from .output import write_text

    write_text(to_yaml(jobs, heading(command)))
    return EXIT_OK


def _jobs(paths: Sequence[str], overlay: Overlay, session: Session) -> dict[str, Json]:
    """The job of each spec, by its name among the bundle's resources.

    Raises:
        SpecError: with every problem of every one of them.
        UserError: two of them have one name.
    """
    from ..deploy.job import Call, make_job, resource_key

    call = Call(target=overlay.target, variables=overlay.variables, overrides=overlay.overrides)
    owners: dict[str, str] = {}
    jobs: dict[str, Json] = {}
    problems: list[Problem] = []
    for path in paths:
        try:
            loaded = _load(path, overlay)
            job = make_job(loaded.spec, call)
        except SpecError as error:
            problems.extend(one for one in error.problems if one not in problems)
            continue
        if loaded.warnings:
            show_problems(loaded.warnings, session, "warning")
        key, file = resource_key(loaded.spec), loaded.spec.file
        if key in jobs:
            said = f"{owners[key]} and {file} are both named '{loaded.spec.name}'"
            raise UserError(said, "give one of them another name")
        owners[key] = file
        jobs[key] = job
    if problems:
        raise SpecError(problems)
    return jobs


def _load(path: str, overlay: Overlay) -> Loaded:
    from ..deploy.loading import load_for_job
    from ..registry import Registry

    return load_for_job(
        path,
        environ=os.environ,
        registry=Registry(),
        target=overlay.target,
        variables=overlay.variables,
        overrides=overlay.overrides,
    )


def _check(file: str, jobs: dict[str, Json], command: str, session: Session) -> int:
    from ..deploy.resource import differences, read_jobs
    from .output import write_line

    there = read_jobs(file)
    changed = []
    for key, job in jobs.items():
        if key not in there:
            changed.append(f"+ {key}: is not in the file")
        else:
            changed.extend(differences(there[key], job, key))
    for line in changed:
        write_line(line)
    if not changed:
        session.say(f"{file}: ok")
        return EXIT_OK
    session.say(f"{file} is not what the spec says; make it again: {command} > {file}")
    return EXIT_UNMET


def _options(overlay: Overlay) -> list[str]:
    words = ["--target", overlay.target] if overlay.target is not None else []
    for name, value in overlay.variables.items():
        words += ["--var", f"{name}={value}"]
    for override in overlay.overrides:
        words += ["--set", override]
    return words
