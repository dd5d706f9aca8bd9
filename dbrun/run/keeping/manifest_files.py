"""Manifests on disk: reading one, writing one whole, and finding that of an unfinished run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...errors import SinkError
from ...files import write_whole
from ...spec.model import Spec
from ...types import Json
from ..manifest import is_same_recipe
from ..options import RunOptions
from .places import manifest_place


def read_manifest(path: str) -> dict[str, Any] | None:
    """The manifest at *path*; None if there is none or it is not one."""
    try:
        with open(path, encoding="utf-8") as stream:
            manifest = json.load(stream)
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def unfinished(spec: Spec, path: str | None) -> dict[str, Any]:
    """The manifest of the run of *spec* that was left unfinished and would write its own to
    *path*; empty if there is none, or if it was of another recipe."""
    earlier = read_manifest(path + ".partial") if path else None
    if earlier is None or not is_same_recipe(earlier.get("spec"), spec.merged):
        return {}
    return earlier


def spent_so_far(spec: Spec, options: RunOptions) -> float:
    """What the run has spent that these *options* would continue; 0 if there is none."""
    return spent_by(unfinished(spec, manifest_place(spec, options)))


def spent_by(manifest: Mapping[str, Any]) -> float:
    """What the run of an unfinished *manifest* has spent so far: at the most, if it was killed."""
    cost = manifest.get("cost")
    spent = cost.get("run") if isinstance(cost, Mapping) else None
    return float(spent) if isinstance(spent, (int, float)) else 0.0


def write_manifest(path: str, manifest: Mapping[str, Json]) -> None:
    """Write *manifest* whole. Raises `SinkError`."""
    text = json.dumps(manifest, indent=2, default=_plain) + "\n"
    try:
        write_whole(path, text.encode("utf-8"))
    except OSError as error:
        raise SinkError(
            f"{path}: the manifest cannot be written: {error.strerror or error}",
            "free space or permissions, then run the same command again",
        ) from error


def _plain(value: Any) -> Json:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return str(value)
