"""Jobs for a Databricks bundle that asks for them in Python.

In `databricks.yml`, `python: {venv_path: .venv, resources: ["dbrun.bundle:load_resources"]}` makes
a job of every spec that has a `job`. Needs the package `databricks-bundles`, which is imported
only here.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .cli.targets import target_names
from .deploy.job import Call, bundle_root, make_job, resource_key
from .deploy.loading import has_job, load_for_job
from .errors import DbrunError, PluginError, SpecError
from .registry import Registry
from .spec.load import is_fragment
from .types import Mark, Problem

if TYPE_CHECKING:
    from databricks.bundles.core import Bundle, Location, Resources

SPECS = "dbrun_specs"
"""The bundle's variable that names the specs: a pattern, from the bundle's folder."""

TARGET = "dbrun_target"
"""The bundle's variable that names the target of the specs."""


def load_resources(bundle: Bundle) -> Resources:
    """The jobs of the specs, as `dbrun job` prints them; what is wrong becomes diagnostics.

    The specs are those that the bundle's variable `dbrun_specs` matches (`pipelines/*.yaml`
    without it), as far as they have a `job`. A spec's target is the one named by `dbrun_target`,
    or else as the bundle's target, where it has such a one.

    Raises:
        PluginError: `databricks-bundles` is not installed.
    """
    try:
        from databricks.bundles.core import Resources
    except ImportError as error:
        raise PluginError(
            "resources in Python need the package databricks-bundles",
            "pip install databricks-bundles",
        ) from error
    resources = Resources()
    pattern = str(bundle.variables.get(SPECS) or "pipelines/*.yaml")
    paths = [path for path in sorted(glob.glob(pattern, recursive=True)) if not is_fragment(path)]
    if not paths:
        resources.add_diagnostic_error(
            f"no file matches '{pattern}'", detail=f"the variable {SPECS} names the specs"
        )
    wanted = bundle.variables.get(TARGET)
    if wanted and wanted not in target_names(paths):
        resources.add_diagnostic_error(
            f"no spec has a target '{wanted}'", detail=f"the variable {TARGET} names it"
        )
    for path in paths:
        try:
            _add(resources, path, wanted or bundle.target)
        except SpecError as error:
            for problem in error.problems:
                resources.add_diagnostic_error(_said(problem), location=_at(problem.where))
        except DbrunError as error:
            resources.add_diagnostic_error(str(error), location=_at(Mark(file=path)))
    return resources


def _add(resources: Any, path: str, wanted: str) -> None:
    from databricks.bundles.jobs import Job

    target = wanted if wanted in target_names([path]) else None
    if not has_job(path, target):
        return
    loaded = load_for_job(path, environ=os.environ, registry=Registry(), target=target)
    spec = loaded.spec
    where = spec.job.where if spec.job is not None else Mark(file=path)
    _warn(resources, loaded.warnings)
    # Relative paths start where the job is said to be written.
    folder = os.path.dirname(os.path.abspath(where.file))
    wheels = os.path.relpath(os.path.join(bundle_root(spec), "dist", "*.whl"), folder)
    wheels = wheels if wheels.startswith(os.pardir) else os.path.join(os.curdir, wheels)
    job = make_job(spec, Call(target=target), wheels=wheels.replace(os.sep, "/"))
    try:
        made = Job.from_dict(job)
    except (TypeError, ValueError) as error:
        hint = "see the keys of a bundle's job"
        problem = Problem(where=where, path="job", message=str(error), hint=hint)
        raise SpecError([problem]) from error
    key = resource_key(spec)
    if key in resources.jobs:
        raise DbrunError(f"another spec is named '{spec.name}', too", "give it another name")
    resources.add_job(key, made, location=_at(where))


def _warn(resources: Any, warnings: Iterable[Problem]) -> None:
    for warning in warnings:
        resources.add_diagnostic_warning(_said(warning), location=_at(warning.where))


def _said(problem: Problem) -> str:
    said = f"{problem.path}: {problem.message}" if problem.path else problem.message
    return f"{said}; {problem.hint}" if problem.hint else said


def _at(where: Mark) -> Location:
    from databricks.bundles.core import Location

    return Location(file=where.file, line=where.line or None, column=where.column or None)
