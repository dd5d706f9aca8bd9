"""The program `dbrun-job`: the command line as a task of a Databricks job.

A job takes every `SystemExit` for a failure, 0 included, and passes over what an entry point
returns (Databricks, "Python wheel task for jobs"). So this one returns nothing when the exit code
would be 0, and raises otherwise.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..deploy.task_values import set_task_values, task_values
from ..errors import EXIT_OK, EXIT_UNMET
from ..run.checks import IN_JOB
from .main import main
from .session import Session

_RUNTIME = "DATABRICKS_RUNTIME_VERSION"
_MEANINGS = {
    1: "finished, but not every gate is met",
    2: "something to fix first; nothing was sent",
    3: "could not finish; a repaired run continues",
    4: "a bug in dbrun",
    130: "interrupted; a repaired run continues",
    143: "interrupted; a repaired run continues",
}


class JobFailed(Exception):
    """A task of a job that ended otherwise than with exit code 0."""


def entry() -> None:
    """Run the command line of the task. Returns if the exit code would be 0.

    The counts of the run become task values, whatever the outcome.

    Raises:
        JobFailed: saying what the exit code would be and what was said last.
    """
    session = Session(sys.argv[1:])
    with _told_that_it_is_a_job():
        code = main(session.words, session)
        if session.ended:
            set_task_values(task_values(code, session.ended), session.say)
    if code != EXIT_OK:
        raise JobFailed(_why(code, session.ended, session.last))


@contextmanager
def _told_that_it_is_a_job() -> Iterator[None]:
    """On job compute IPython may be loaded as in a notebook; this tells the two apart."""
    if _RUNTIME not in os.environ or IN_JOB in os.environ:
        yield
        return
    os.environ[IN_JOB] = "1"
    try:
        yield
    finally:
        del os.environ[IN_JOB]


def _why(code: int, ended: Sequence[dict[str, object]], last: str) -> str:
    """One line: what went wrong, and the exit code that the command line would have."""
    unmet = [
        _missed(gate)
        for run in ended
        for gate in _gates(run)
        if not gate["met"] and not gate["warn"]
    ]
    meaning = _MEANINGS.get(code, "failed")
    first = (last.strip().splitlines() or [""])[0] if code != EXIT_UNMET else ""
    said = "; ".join(unmet) or first
    return f"exit code {code}: {meaning}" + (f": {said}" if said else "")


def _missed(gate: Mapping[str, Any]) -> str:
    if gate.get("note"):
        return f"{gate['name']}: {gate['note']}, wanted {gate['wanted']}"
    return f"{gate['name']} is {gate['value']:.6g}, wanted {gate['wanted']}"


def _gates(run: dict[str, object]) -> Sequence[dict[str, object]]:
    gates = run.get("gates")
    return gates if isinstance(gates, list) else ()
