"""A spec to the resource of a bundle: the Databricks job that runs it.

Names and forms are those of the Jobs API ("Create a new job") and of the bundle's configuration
("resources.jobs"); `${…}` is filled in by the bundle when it is deployed, `{{…}}` when a run of
the job starts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from ..errors import SpecError, UserError
from ..frozen import frozen
from ..run.checks import lost_with_the_machine
from ..spec.model import JobSpec, Spec
from ..types import Json
from .merging import merged

ENTRY_POINT = "dbrun-job"
"""The wheel's entry point for jobs, which returns on success and raises otherwise."""

ENVIRONMENT_VERSION = "4"
WHEELS = "../dist/*.whl"
"""Where the wheel of dbrun lies, from the folder of the file that holds the resource."""

FIRST = ("name", "description")
LAST = ("max_concurrent_runs", "queue", "parameters", "tasks", "job_clusters", "environments")


@frozen
class Call:
    """What the job calls dbrun with beside the spec: `--target`, `--var` and `--set`.

    A variable that is a parameter of the job has the given value for its default.
    """

    target: str | None = None
    variables: Mapping[str, str] | None = None
    overrides: Sequence[str] = ()


def resource_key(spec: Spec) -> str:
    """The name of the job among a bundle's resources, which begins with a letter."""
    return spec.name if re.match(r"[A-Za-z_]", spec.name) else f"job_{spec.name}"


def make_job(spec: Spec, call: Call, *, wheels: str = WHEELS) -> dict[str, Json]:
    """The job of *spec*: what is generated, and what the spec says of it laid over that.

    Raises:
        SpecError: its results would be lost with the job's machine.
        UserError: the spec lies outside of the bundle.
    """
    if (problem := lost_with_the_machine(spec)) is not None:
        raise SpecError([problem])
    job = spec.job or JobSpec()
    made: dict[str, Json] = {"name": spec.name}
    if spec.description:
        made["description"] = spec.description
    made |= {"max_concurrent_runs": 1, "queue": {"enabled": True}}
    if job.parameters:
        given = call.variables or {}
        made["parameters"] = [
            {"name": name, "default": given.get(name, default)}
            for name, default in job.parameters.items()
        ]
    task: dict[str, Json] = {"task_key": "run", **job.task}
    made |= _compute(job, task, wheels)
    task["python_wheel_task"] = {
        "package_name": "dbrun",
        "entry_point": ENTRY_POINT,
        "parameters": _words(spec, call, job),
    }
    made["tasks"] = [task]
    return _in_order(merged(made, job.keys))


def _compute(job: JobSpec, task: dict[str, Json], wheels: str) -> dict[str, Json]:
    """What the task runs on; the *task* is told where it is."""
    cluster = dict(job.cluster or {})
    if "existing_cluster_id" in cluster:
        task.setdefault("existing_cluster_id", cluster.pop("existing_cluster_id"))
    if not cluster and not task.keys() & {"existing_cluster_id", "job_cluster_key"}:
        key = task.setdefault("environment_key", "default")
        spec = {"environment_version": ENVIRONMENT_VERSION, "dependencies": [wheels]}
        return {"environments": [{"environment_key": key, "spec": spec}]}
    task.setdefault("libraries", [{"whl": wheels}])
    if not cluster:
        return {}
    key = task.setdefault("job_cluster_key", "default")
    return {"job_clusters": [{"job_cluster_key": key, "new_cluster": cluster}]}


def _words(spec: Spec, call: Call, job: JobSpec) -> list[str]:
    """The command line of the task."""
    root = bundle_root(spec)
    path = os.path.relpath(os.path.join(spec.folder, os.path.basename(spec.file)), root)
    if path.startswith(os.pardir):
        hint = "move it below the folder of databricks.yml"
        raise UserError(f"{spec.file} lies outside of its bundle", hint)
    words = ["run", "${workspace.file_path}/" + path.replace(os.sep, "/")]
    if call.target is not None:
        words += ["--target", call.target]
    for name, value in (call.variables or {}).items():
        if name not in job.parameters:
            words += ["--var", f"{name}={value}"]
    for name in job.parameters:
        words += ["--var", f"{name}={{{{job.parameters.{name}}}}}"]
    for override in call.overrides:
        words += ["--set", override]
    return words


def bundle_root(spec: Spec) -> str:
    """The folder that the bundle brings to the workspace: that of the nearest databricks.yml
    upward, else the project's."""
    folder = spec.folder
    while not os.path.exists(os.path.join(folder, "databricks.yml")):
        above = os.path.dirname(folder)
        if above == folder:
            return spec.project
        folder = above
    return folder


def _in_order(job: Mapping[str, Json]) -> dict[str, Json]:
    """The keys as a person would look for them: what it is, when it runs, what it does."""
    middle = [key for key in job if key not in FIRST and key not in LAST]
    return {key: job[key] for key in (*FIRST, *middle, *LAST) if key in job}
