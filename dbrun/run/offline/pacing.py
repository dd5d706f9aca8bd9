"""How long requests take that nobody has sent yet: by an earlier run, and by the rates allowed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...frozen import frozen
from ...spec.model import Concurrency, Limits, Spec
from ..keeping.manifest_files import read_manifest
from ..manifest import manifest_path, part_path
from .forecast import NOTHING, Range

_NOT_TO_THE_PACE = frozenset({"headers", "limits", "price"})
"""Keys of an endpoint that make it no other one."""


@frozen
class Load:
    """What is asked of one endpoint: *calls*, and the tokens of its requests; how it is let."""

    limits: Limits
    concurrency: Concurrency
    calls: Range
    inputs: Range
    outputs: Range


@frozen
class Pace:
    """How an earlier run went: seconds within which half and nine tenths of the answers came, and
    the calls at a time that each endpoint had reached at the end."""

    usual: float
    slow: float
    reached: tuple[int, ...]


def seconds_for(loads: Sequence[Load], pace: Pace | None) -> Range | None:
    """How long *loads* take that are carried side by side; None where nothing tells."""
    if not any(load.calls.high for load in loads):
        return NOTHING
    floors = [floor for load in loads for floor in _by_rates(load)]
    floor = max(floors, default=0.0)
    if pace is None:
        return Range(low=floor, expected=floor, high=2 * floor) if floors else None
    told = [_by_latency(load, pace, number) for number, load in enumerate(loads)]
    return Range(
        low=max(floor, *(one.low for one in told)),
        expected=max(floor, *(one.expected for one in told)),
        high=max(2 * floor, sum(one.high for one in told)),
    )


def last_pace(spec: Spec) -> Pace | None:
    """How the last run of *spec* went that sent anything, over some rows if none was over all.

    None if there is none, or if it asked other endpoints.
    """
    results = os.fspath(spec.sink.path)
    for path in (results, part_path(results)):
        manifest = read_manifest(manifest_path(path)) or {}
        if (pace := _pace_in(manifest)) is not None and _asks_as(manifest.get("spec"), spec):
            return pace
    return None


def _pace_in(manifest: Mapping[str, Any]) -> Pace | None:
    try:
        latency = manifest["latency"]
        reached = tuple(int(one["history"][-1][1]) for one in manifest["limits"])
        return Pace(usual=float(latency["p50"]), slow=float(latency["p90"]), reached=reached)
    except (LookupError, TypeError, ValueError):
        return None


def _asks_as(merged: Any, spec: Spec) -> bool:
    if not isinstance(merged, Mapping):
        return False
    return list(_endpoints_in(merged)) == list(_endpoints_in(spec.merged))


def _endpoints_in(merged: Mapping[str, Any]) -> Iterator[Any]:
    """The endpoints of a merged spec, without what has nothing to do with their pace."""
    named = merged.get("endpoints") or {}
    steps = merged.get("steps") or []
    found = [merged.get("endpoint"), *named.values(), *(step.get("endpoint") for step in steps)]
    for endpoint in found:
        if isinstance(endpoint, Mapping):
            yield {name: value for name, value in endpoint.items() if name not in _NOT_TO_THE_PACE}
        else:
            yield endpoint


def _by_latency(load: Load, pace: Pace, number: int) -> Range:
    """By what a call took, and how many were made at a time."""
    reached = pace.reached[number] if number < len(pace.reached) else max(pace.reached, default=1)
    usual = max(1, min(reached, load.concurrency.high))
    most = max(usual, load.concurrency.high)
    return Range(
        low=load.calls.low * pace.usual / most,
        expected=load.calls.expected * (pace.usual + pace.slow) / 2 / usual,
        high=load.calls.high * pace.slow / max(1, usual // 2),
    )


def _by_rates(load: Load) -> Iterator[float]:
    limits = load.limits
    counted = (
        (limits.requests_per_second, 1.0, load.calls),
        (limits.requests_per_minute, 60.0, load.calls),
        (limits.requests_per_hour, 3600.0, load.calls),
        (limits.tokens_per_minute, 60.0, load.inputs + load.outputs),
        (limits.input_tokens_per_minute, 60.0, load.inputs),
        (limits.output_tokens_per_minute, 60.0, load.outputs),
    )
    for rate, unit, figure in counted:
        if rate:
            yield figure.expected / rate * unit
