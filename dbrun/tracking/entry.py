"""What is logged of a run: its manifest in the words of MLflow. Pure functions."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from ..canonical import digest
from ..frozen import frozen
from ..spec.model import MlflowSpec
from ..types import Json

RUN_TAG = "dbrun.run"
"""The tag that holds the run's id: by it a run is found that is logged already."""

MANIFEST_TAG = "dbrun.manifest"
"""The tag that holds the digest of the manifest that was logged, set when all of it is there."""

_STATUS = {"finished": "FINISHED", "interrupted": "KILLED"}
_MEASURES = ("counts", "requests", "tokens", "cost", "latency", "scores")
_FIGURES = ("seconds", "stalled_seconds", "exit_code")
_OF_STEPS = ("endpoint", "prompt", "stop", "params", "repeats")
_MOST_OF_DIGEST = 36  # characters (MLflow, `MAX_DATASET_DIGEST_SIZE`)
_MOST_OF_NAME = 240  # characters of a key; MLflow takes 250
_KEY_MARKS = "_-. :/"  # all that a key may hold beside letters and digits


@frozen
class Dataset:
    """The rows as a dataset of MLflow: *source* is JSON text of where they come from."""

    name: str
    digest: str
    source_type: str
    source: str


@frozen
class Entry:
    """A run as it is logged. Times are in milliseconds since 1970; *results* is a path."""

    run: str
    experiment: str
    name: str
    status: str
    started: int
    ended: int
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    dataset: Dataset | None
    manifest: str | None
    manifest_name: str
    results: str | None
    digest: str


def make_entry(
    mlflow: MlflowSpec,
    manifest: Mapping[str, Any],
    *,
    file: str,
    results: str | None,
    branch: str | None,
) -> Entry:
    """What to log of the run of *manifest*.

    Args:
        file: the pipeline file, as a person would write it.
        results: the path of the results in place, if there are any.
        branch: the branch of git that the pipeline file is on.
    """
    name = str(manifest["name"])
    ended = str(manifest.get("finished") or manifest["started"])
    return Entry(
        run=str(manifest["run"]),
        experiment=mlflow.experiment or "",
        name=mlflow.run_name or f"{name}-{manifest['run']}",
        status=_STATUS.get(str(manifest["status"]), "FAILED"),
        started=_milliseconds(str(manifest["started"])),
        ended=_milliseconds(ended),
        params=dict(_params(manifest)),
        metrics=dict(_metrics(manifest)),
        tags={**_tags(manifest, file, branch), **mlflow.tags},
        dataset=_dataset(manifest),
        manifest=_text(manifest) if "manifest" in mlflow.artifacts else None,
        manifest_name=f"{name}.run.json",
        results=results if "results" in mlflow.artifacts else None,
        digest=digest(json.loads(_text(manifest))),
    )


def _params(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What was asked, as it is written: variables, endpoint, params, stop, by step if several."""
    spec = manifest["spec"]
    for name, value in (spec.get("vars") or {}).items():
        yield _key(f"vars.{name}"), _said(value)
    yield from _step_params(spec, "")
    steps = spec.get("steps")
    for step in steps if isinstance(steps, (list, tuple)) else ():
        if isinstance(step, Mapping):
            yield from _step_params(step, f"steps.{step.get('name')}.")


def _step_params(step: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name in _OF_STEPS:
        value = step.get(name)
        if name == "prompt" and not isinstance(value, Mapping):
            continue  # a text of the spec's own is in the manifest, its digest among the tags
        if not isinstance(value, Mapping):
            yield from () if value is None else [(_key(prefix + name), _said(value))]
            continue
        for key, inner in value.items():
            # Mappings and lists of an endpoint are templates, limits, headers, credentials.
            if name != "endpoint" or not isinstance(inner, (Mapping, list, tuple)):
                yield _key(f"{prefix}{name}.{key}"), _said(inner)


def _metrics(manifest: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name in _FIGURES:
        yield from _numbers(name, manifest.get(name))
    for name in _MEASURES:
        yield from _numbers(name, manifest.get(name))


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(f"{name}.{key}", inner)
    elif isinstance(value, (int, float)):
        yield _key(name), float(value)


def _tags(manifest: Mapping[str, Any], file: str, branch: str | None) -> dict[str, str]:
    """MLflow's own tags of user, source and git, and those of dbrun."""
    git = manifest.get("git") or {}
    digests = manifest["digests"]
    told: dict[str, Any] = {
        "mlflow.user": _user(),
        "mlflow.source.name": file,
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": git.get("commit"),
        "mlflow.source.git.branch": branch,
        "dbrun.git.dirty": _said(git["dirty"]) if "dirty" in git else None,
        RUN_TAG: manifest["run"],
        "dbrun.name": manifest["name"],
        "dbrun.target": manifest.get("target"),
        "dbrun.status": manifest["status"],
        "dbrun.error": manifest.get("error"),
        "dbrun.version": manifest["versions"]["dbrun"],
        "dbrun.selection": _said(manifest["selection"]) if manifest["selection"] else None,
        "dbrun.spec_digest": manifest["spec_digest"],
        "dbrun.source_digest": digests.get("source"),
        "dbrun.results_digest": (manifest.get("results") or {}).get("sha256"),
    }
    for kind in ("templates", "functions"):
        for name, value in digests[kind].items():
            told[_key(f"dbrun.{kind}.{name}")] = value
    return {name: str(value) for name, value in told.items() if value is not None}


def _dataset(manifest: Mapping[str, Any]) -> Dataset | None:
    """The rows; None where they have no digest."""
    found = manifest["digests"].get("source")
    if not found:
        return None
    source = manifest["spec"].get("source")
    path = source.get("path") if isinstance(source, Mapping) else source
    kind = "local" if isinstance(path, str) else "dbrun"
    named = {"uri": path} if isinstance(path, str) else {"pipeline": manifest["name"]}
    name = os.path.basename(path) if isinstance(path, str) else str(manifest["name"])
    return Dataset(
        name=name or str(manifest["name"]),
        digest=str(found)[:_MOST_OF_DIGEST],
        source_type=kind,
        source=_said(named),
    )


def _text(manifest: Mapping[str, Any]) -> str:
    return json.dumps(manifest, indent=2, default=str) + "\n"


def _key(name: str) -> str:
    """*name* in the letters that MLflow takes for keys."""
    kept = "".join(mark if mark.isalnum() or mark in _KEY_MARKS else "_" for mark in name)
    return kept[:_MOST_OF_NAME]


def _said(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _milliseconds(stamp: str) -> int:
    moment = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    return int(moment.timestamp() * 1000)


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return None  # a container's number without a name
