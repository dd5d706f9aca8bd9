"""What there is to look at: the installation always, the rest as a spec or the environment say."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from ..adapters.base import checkup
from ..client.checkup import WorkspaceCheckup
from ..client.login.workspace import Login, Workspace
from ..client.transport import Transport
from ..context import NoMemory
from ..errors import DbrunError
from ..findings import WARN, Check, Finding
from ..run.opening import Surroundings, make_context
from ..run.pipeline import Pipeline
from ..run.plugins import create_adapter
from ..spec.model import Spec, StepSpec
from ..storage import mirrored
from .answers import answer_checks
from .asking import ask_check
from .folders import folder_check
from .installation import installation_checks
from .looking import carry_out
from .rows import rows_check

SECONDS = 8.0
"""What one check may take unless told otherwise; one request takes five at the most."""

_LONGEST_REQUEST = 5.0


def examine_machine(seconds: float = SECONDS) -> Iterator[Finding]:
    """What holds for every spec: versions and extras."""
    yield from carry_out(installation_checks(), seconds)


def examine_login(around: Surroundings, seconds: float = SECONDS) -> Iterator[Finding]:
    """The workspace that the environment leads to, where no spec names one."""
    with Transport(environ=around.environ, clock=around.clock) as transport:
        workspace = Workspace(Login(), transport, around.environ, around.clock)
        if not _is_configured(workspace, around):
            yield Finding(
                state=WARN,
                subject="login",
                said="no Databricks workspace is set",
                mend="set DATABRICKS_HOST and DATABRICKS_TOKEN, if there is to be one",
            )
            return
        timeout = min(_LONGEST_REQUEST, seconds)
        environ, clock = around.environ, around.clock
        about = WorkspaceCheckup(workspace, transport, environ, clock, timeout)
        yield from carry_out(about.checks(), seconds)


def examine_spec(
    pipeline: Pipeline, around: Surroundings, seconds: float = SECONDS, *, ask: bool = False
) -> Iterator[Finding]:
    """Rows, endpoints, folders, journal of one spec. No model is asked, unless *ask*."""
    spec = pipeline.spec
    with ExitStack() as stack:
        context, _ = make_context(spec, around, NoMemory())
        yield from carry_out([rows_check(spec, context, around)], seconds)
        for step in _asking(spec):
            adapter = create_adapter(step.endpoint, around.registry, context)
            stack.callback(adapter.close)
            checks = list(checkup(adapter, min(_LONGEST_REQUEST, seconds)))
            if ask:
                checks.append(ask_check(adapter, step.params, around.clock))
            yield from carry_out(checks, seconds)
    yield from carry_out(_storage(spec, around), seconds)


def _storage(spec: Spec, around: Surroundings) -> Sequence[Check]:
    sink, journal = os.path.dirname(spec.sink.path), spec.journal.path
    folders = {"sink": sink}
    if os.path.dirname(journal) != sink:
        folders["journal"] = journal
    table = spec.sink.table
    if table is not None and table.kind == "delta":
        folders["table"] = os.path.dirname(table.name)
    if table is not None and table.errors is not None:
        folders["errors"] = os.path.dirname(table.errors)
    checks = [_place_check(subject, folder, around) for subject, folder in folders.items()]
    return [*checks, *answer_checks(spec, around)]


def _place_check(subject: str, folder: str, around: Surroundings) -> Check:
    there = mirrored(folder)
    if there is None:
        return folder_check(subject, folder)
    from .volumes import volume_check

    return volume_check(subject, there, around.environ, around.clock)


def _asking(spec: Spec) -> list[StepSpec]:
    """The first step that asks each endpoint."""
    found: dict[str, StepSpec] = {}
    for step in spec.asked:
        endpoint = step.endpoint
        found.setdefault(repr((endpoint.adapter, endpoint.options, endpoint.headers)), step)
    return list(found.values())


def _is_configured(workspace: Workspace, around: Surroundings) -> bool:
    """Whether anything speaks of Databricks, so that databricks-sdk may find the rest."""
    if any(name.startswith(("DATABRICKS_", "ARM_")) for name in around.environ):
        return True
    try:
        return workspace.known_url is not None
    except DbrunError:  # what is wrong with it is for the checks to tell
        return True
