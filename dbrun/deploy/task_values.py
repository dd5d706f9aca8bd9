"""Task values: what a run tells the tasks after it, as `{{tasks.run.values.ok}}`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..types import Json

LARGEST = 48 * 1024
"""Bytes of JSON that a task value may have (Databricks, "Use task values")."""

_COUNTS = ("rows", "ok", "error", "filtered")
_REQUESTS = ("sent", "reused")
_OF_A_RUN = ("name", "run", "status", "exit_code", "results", "counts", "requests", "cost", "error")
_LONGEST = 500  # characters of an error
_RUNTIME = "DATABRICKS_RUNTIME_VERSION"


def task_values(code: int, ended: Sequence[Mapping[str, Any]]) -> dict[str, Json]:
    """The task values of runs that have *ended* with exit code *code* altogether.

    `rows`, `ok`, `error`, `filtered`, `sent` and `reused` are the sums of all; `runs` tells of
    each, of as many as there is room for.
    """
    values: dict[str, Json] = {"exit_code": code}
    for part, names in (("counts", _COUNTS), ("requests", _REQUESTS)):
        for name in names:
            values[name] = sum(run.get(part, {}).get(name, 0) for run in ended)
    values["runs"] = list(_fitting([_told(run) for run in ended], LARGEST - len("[]")))
    return values


def _fitting(items: Sequence[Json], room: int) -> Iterator[Json]:
    """The first *items* that a list of *room* bytes has room for."""
    for item in items:
        room -= len(json.dumps(item)) + len(", ")
        if room < 0:
            return
        yield item


def set_task_values(values: Mapping[str, Json], say: Callable[[str], None]) -> None:
    """Hand *values* to the job, if this is one. A job that takes none is told of with *say*."""
    if _RUNTIME not in os.environ:
        return
    try:
        # What the runtime brings; elsewhere importing it would look for a workspace.
        from databricks.sdk.runtime import dbutils

        for name, value in values.items():
            dbutils.jobs.taskValues.set(key=name, value=value)
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        say(f"warning: the counts could not be set as task values: {reason}")


def _told(run: Mapping[str, Any]) -> dict[str, Json]:
    told = {name: run[name] for name in _OF_A_RUN if name in run}
    if isinstance(told.get("error"), str):
        told["error"] = told["error"][:_LONGEST]
    return told
