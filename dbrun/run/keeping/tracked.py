"""Logging a run to MLflow when it has ended. What goes wrong there is told and harms nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ...errors import DbrunError
from ...spec.model import Spec
from ...types import Json
from ..manifest import git_branch
from ..result import Tracked


def is_tracked(spec: Spec) -> bool:
    """Whether runs of *spec* are logged."""
    return spec.mlflow is not None and spec.mlflow.experiment is not None


def check_tracking(spec: Spec) -> None:
    """Raises `PluginError` if runs are to be logged and what logs them is not installed."""
    if is_tracked(spec):
        from ...tracking.library import require

        require()


def track(spec: Spec, manifest: Mapping[str, Json], results: str | None) -> Tracked | None:
    """Log the run of *manifest*, whose results are in place at *results* (None if there are none).

    None for a spec whose runs are not logged, and for a stream of records that were all there
    before. A run that is logged already is not logged again.
    """
    mlflow = spec.mlflow
    if mlflow is None or mlflow.experiment is None:
        return None
    told: Any = manifest
    if told["status"] == "finished" and "results" not in told and not told["requests"]["sent"]:
        return None
    from ...tracking.entry import make_entry
    from ...tracking.library import Server

    try:
        entry = make_entry(
            mlflow, told, file=spec.file, results=results, branch=git_branch(spec.folder)
        )
        logged = Server(mlflow.tracking_uri, mlflow.registry_uri).log(entry)
    except DbrunError as error:
        hint = f"{error.hint}; " if error.hint else ""
        mend = f"{hint}the same command logs the run, and sends nothing again"
        return Tracked(experiment=mlflow.experiment, warning=f"{error.message.rstrip('.')}; {mend}")
    return Tracked(experiment=mlflow.experiment, run=logged.run, url=logged.url, again=logged.again)


def track_stopped(spec: Spec, manifest: Mapping[str, Json]) -> None:
    """Log the run of *manifest*, which ends with an error that says more than trouble with this."""
    tracked = track(spec, manifest, None)
    if tracked is not None and tracked.warning is not None:
        logging.getLogger(__name__).warning("%s", tracked.warning)
