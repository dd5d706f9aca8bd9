"""Keeping the manifest of a run: begun when it starts, put in place when it ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from ...clock import Clock
from ...errors import DbrunError, Interrupted, SinkError
from ...sinks.base import Sink
from ...sources.base import Source
from ...spec.model import Spec, VariantSpec, better
from ...types import Json
from ..asking.asker import Asker
from ..asking.counters import Counters
from ..asking.spending import Purse
from ..judging.tally import Tally
from ..manifest import (
    MANIFEST_VERSION,
    describe_recipe,
    manifest_path,
    run_id,
)
from ..opening import Opened
from ..options import RunOptions
from .manifest_files import read_manifest, spent_by, unfinished, write_manifest
from .places import manifest_place, spooled_partial

_OUTCOME = ("status", "exit_code", "results", "spec_digest", "counts", "selection", "scores")
"""What a manifest tells of results; a run that sends nothing and changes none of it keeps the
manifest that is there."""


class Recorder:
    """The manifest of one run; *results* is the path of its results (None for a stream).

    *run* names the run, and *spent_before* is what earlier parts of it have spent: one that
    continues an unfinished run is the same run. *earlier* is the manifest of the run that
    finished last. *source* tells the state of the source that is read, if it has several,
    *source_before* what earlier parts of the run have read. *purse* is what it may spend, if that
    is limited.
    """

    def __init__(self, spec: Spec, options: RunOptions, clock: Clock, results: str | None) -> None:
        self._spec = spec
        self._options = options
        self._clock = clock
        self._results = results
        self._path = manifest_place(spec, options)
        self._begun = clock.now()
        self._started = _stamp(clock.wall())
        self._lock = threading.Lock()
        self._is_concluded = False
        self.manifest: dict[str, Json] = {}
        self._unfinished = unfinished(spec, self._path)
        self.run = str(self._unfinished.get("run") or run_id(clock.wall()))
        self.spent_before = spent_by(self._unfinished)
        self.earlier = read_manifest(self._path) if self._path is not None else None
        self.source_before: Json = self._unfinished.get("source")
        self.source: Json = None
        self.purse: Purse | None = None
        self.limits: list[Json] | None = None
        """How limits moved, where that was elsewhere; else it is read off the askers."""

    def start(self, parts: Opened, functions: Mapping[str, str]) -> None:
        """Write `<stem>.run.json.partial`: the run is under way.

        Raises:
            SinkError: it cannot be written.
        """
        self.manifest = {
            "version": MANIFEST_VERSION,
            "run": self.run,
            "status": "running",
            "started": self._started,
            "selection": self._options.selection.to_json(),
            **describe_recipe(self._spec, functions),
            "endpoints": [dict(asker.adapter.describe()) for asker in parts.askers],
        }
        if self.source is not None:
            self.manifest["source"] = self.source
        self._tell_cost(self.spent_before)
        if self._path is not None and os.path.isdir(self._path):  # said now, not when all is paid
            raise SinkError(
                f"{self._path}: the manifest cannot be written: it is a directory",
                "move it away, or name another sink",
            )
        self._write_partial()

    def keep_spending(self, drawn: float) -> None:
        """Put on record that this run may have spent as much as *drawn* from now on.

        Raises:
            SinkError: it cannot be written.
            Interrupted: the run has ended meanwhile.
        """
        with self._lock:
            if self._is_concluded:
                raise Interrupted("stopped before this request was sent")
            self._tell_cost(drawn)
            self._write_partial()

    def stop(self, error: DbrunError, tally: Tally, counters: Counters, parts: Opened) -> None:
        """The run did not finish: say so in the partial manifest, leave the earlier one alone.

        An interrupt gets a hint where results lie that are elsewhere than the finished ones.
        """
        status = "interrupted" if isinstance(error, Interrupted) else "failed"
        if isinstance(error, Interrupted) and (kept := spooled_partial(self._results)):
            error.hint = f"results so far are in {kept}"
        self._conclude(status, error.exit_code, tally, counters, parts)
        self.manifest["error"] = str(parts.discretion.keep(error))
        try:
            self._write_partial()
        except SinkError:
            return  # the run is ending with an error of its own, which says more

    def finish(
        self,
        exit_code: int,
        tally: Tally,
        counters: Counters,
        parts: Opened,
        *,
        source: Source,
        sink: Sink,
        replay: bool,
    ) -> Mapping[str, Json]:
        """Put the manifest in place, unless nothing was sent and no record changed."""
        if counters.sent:
            _learn(parts)
        self._conclude("finished", exit_code, tally, counters, parts)
        self.manifest["digests"]["source"] = source.digest()
        self.manifest["mode"] = "replay" if replay else "run"
        if self._path is None or self._results is None:
            self._remove_partial()
            return self.manifest
        self.manifest["results"] = {
            "path": os.path.basename(self._results),
            "size": sink.size,
            "sha256": sink.digest,
        }
        if published := getattr(sink, "published", None):
            self.manifest["table"] = published
        earlier = read_manifest(self._path)
        if counters.sent == 0 and earlier is not None and self._same_outcome(earlier):
            self._remove_partial()
            return earlier
        write_manifest(self._path, self.manifest)
        self._remove_partial()
        return self.manifest

    def times(self) -> dict[str, Json]:
        """Which run it is, since when, until now."""
        return {
            "run": self.run,
            "started": self._started,
            "finished": _stamp(self._clock.wall()),
            "seconds": round(self._clock.now() - self._begun, 3),
        }

    def redirect(self, results: str) -> None:
        """The results go to another path: the manifest goes beside them."""
        self._remove_partial()
        self._results = results
        self._path = manifest_path(results)

    def abandon(self, exit_code: int, tally: Tally, counters: Counters, parts: Opened) -> None:
        """The run ended without results to put in place: the earlier manifests stay."""
        self._conclude("unanswered", exit_code, tally, counters, parts)
        if self._unfinished and self._path is not None:
            write_manifest(self._path + ".partial", self._unfinished)
        else:
            self._remove_partial()

    def _same_outcome(self, earlier: Mapping[str, Any]) -> bool:
        same = all(earlier.get(part) == self.manifest.get(part) for part in _OUTCOME)
        return same and _timeless(earlier) == _timeless(self.manifest)

    def _conclude(
        self, status: str, exit_code: int, tally: Tally, counters: Counters, parts: Opened
    ) -> None:
        with self._lock:
            self._is_concluded = True
        self.manifest.update(
            self.times(),
            status=status,
            endpoints=[_described(asker) for asker in parts.askers],
            counts=tally.counts(),
            requests=counters.requests(),
            tokens={
                "answers": tally.usage.to_json(),
                "spent": counters.spent.to_json(),
            },
            latency=counters.latency_quantiles(),
            limits=self.limits or limit_history(parts.askers),
            **self._scores(tally),
            stalled_seconds=round(max((a.limiter.waited for a in parts.askers), default=0.0), 3),
            exit_code=exit_code,
        )
        gone = self.spent_before + counters.cost
        if self.purse is not None:
            gone = max(gone, self.purse.gone)
        self._tell_cost(gone, spent=counters.cost, answers=tally.cost)

    def _scores(self, tally: Tally) -> dict[str, Json]:
        directions = better(self._spec)
        if self._spec.variants:
            return {
                "variants": {
                    variant.name: _variant(variant, tally.by_variant.get(variant.name), directions)
                    for variant in self._spec.variants
                }
            }
        return {"scores": tally.measures.to_json(directions)} if directions else {}

    def _tell_cost(self, run: float, **more: float) -> None:
        """What the whole *run* has spent, and *more*; nothing unless all prices there are speak of
        one currency."""
        currencies = {
            step.endpoint.price.currency for step in self._spec.asked if step.endpoint.price
        }
        if len(currencies) != 1:
            return
        cost: dict[str, Json] = {"currency": currencies.pop()}
        cost.update({name: round(amount, 9) for name, amount in {**more, "run": run}.items()})
        if self.purse is not None:
            cost["max_cost"] = self.purse.cap
        self.manifest["cost"] = cost

    def _write_partial(self) -> None:
        if self._path is not None:
            write_manifest(self._path + ".partial", self.manifest)

    def _remove_partial(self) -> None:
        if self._path is not None and os.path.exists(self._path + ".partial"):
            os.remove(self._path + ".partial")


def limit_history(askers: Iterable[Asker]) -> list[Json]:
    """For each endpoint how its limit moved."""
    return [
        {"endpoint": _name(asker.adapter.describe()), "history": asker.limiter.history}
        for asker in askers
    ]


def _timeless(manifest: Mapping[str, Any]) -> Json:
    """What a manifest tells of variants, without how long calls took."""
    return {
        name: {part: value for part, value in one.items() if part != "latency"}
        for name, one in (manifest.get("variants") or {}).items()
    }


def _variant(
    variant: VariantSpec, tally: Tally | None, directions: Mapping[str, str]
) -> dict[str, Json]:
    """What came of one variant of a matrix."""
    tally = tally or Tally()
    latency = {f"p{percent}": tally.latency(percent) for percent in (50, 90, 99)}
    said: dict[str, Json] = {
        "values": dict(variant.values),
        "counts": tally.counts(),
        "tokens": tally.usage.to_json(),
        "latency": {name: round(value, 4) for name, value in latency.items() if value is not None},
    }
    if any(step.endpoint.price is not None for step in variant.spec.steps):
        said["cost"] = round(tally.cost, 9)
    if directions:
        said["scores"] = tally.measures.to_json(directions)
    return said


def _described(asker: Asker) -> dict[str, Json]:
    """The endpoint, and how many answers each of its models or versions gave."""
    said = dict(asker.adapter.describe())
    if asker.models:
        said["models"] = dict(sorted(asker.models.items()))
    if (others := of_other_versions(asker)) > 0:
        said["reused_of_other_versions"] = others
    return said


def of_other_versions(asker: Asker) -> int:
    """Reused answers that a version gave which answers no more: it gave none of this run's own,
    or, where there are none, is not among those that the endpoint is known to serve."""
    current = set(asker.models - asker.reused) or set(getattr(asker.adapter, "serves", ()))
    if not current:
        return 0
    return sum(count for model, count in asker.reused.items() if model not in current)


def _learn(parts: Opened) -> None:
    """Have adapters find out what the manifest tells of their endpoints, as far as that goes."""
    for asker in parts.askers:
        learn = getattr(asker.adapter, "learn", None)
        if learn is not None:
            learn()


def _name(description: Mapping[str, Json]) -> Json:
    return description.get("name") or description.get("url") or description.get("adapter")


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
