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
from .deploy.loading import load_for_job
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
    without it). Their target is the one named by `dbrun_target`, else the one that is named as
    the bundle's target, where a spec has such a one.

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
    for path in paths:
        try:
            _add(resources, path, bundle)
        except SpecError as error:
            for problem in error.problems:
                resources.add_diagnostic_error(_said(problem), location=_at(problem.where))
        except DbrunError as error:
            resources.add_diagnostic_error(str(error), location=_at(Mark(file=path)))
    return resources


def _add(resources: Any, path: str, bundle: Bundle) -> None:
    from databricks.bundles.jobs import Job

    target = bundle.variables.get(TARGET) or None
    if target is None and bundle.target in target_names([path]):
        target = bundle.target
    loaded = load_for_job(path, environ=os.environ, registry=Registry(), target=target)
    spec = loaded.spec
    if spec.job is None:
        return
    _warn(resources, loaded.warnings)
    # Relative paths start where the job is said to be written: at the spec.
    wheels = os.path.relpath(os.path.join(bundle_root(spec), "dist", "*.whl"), spec.folder)
    wheels = wheels if wheels.startswith(os.pardir) else os.path.join(os.curdir, wheels)
    job = make_job(spec, Call(target=target), wheels=wheels.replace(os.sep, "/"))
    try:
        made = Job.from_dict(job)
    except (TypeError, ValueError) as error:
        hint = "see the keys of a bundle's job"
        problem = Problem(where=spec.job.where, path="job", message=str(error), hint=hint)
        raise SpecError([problem]) from error
    key = resource_key(spec)
    if key in resources.jobs:
        raise DbrunError(f"another spec is named '{spec.name}', too", "give it another name")
    resources.add_job(key, made, location=_at(spec.job.where))


def _warn(resources: Any, warnings: Iterable[Problem]) -> None:
    for warning in warnings:
        resources.add_diagnostic_warning(_said(warning), location=_at(warning.where))


def _said(problem: Problem) -> str:
    said = f"{problem.path}: {problem.message}" if problem.path else problem.message
    return f"{said}; {problem.hint}" if problem.hint else said


def _at(where: Mark) -> Location:
    from databricks.bundles.core import Location

    return Location(file=where.file, line=where.line or None, column=where.column or None)
