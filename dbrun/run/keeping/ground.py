"""What finished results stand on, so that a run with nothing to do need not look at its rows.

Results are a function of the recipe, the rows and the answers. Where all three are data, and
byte for byte what they were when the results were put in place, there is nothing to do. A recipe
with functions of its user's is no such data, for they may read anything; neither are rows that a
program or a service yields, nor files that rows or templates name. Such runs go through all rows.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

from ...client.journal import Journal
from ...errors import EXIT_OK, SinkError, SourceError
from ...files import file_digest
from ...sources.base import Source, as_read, present
from ...spec.model import Spec, StepSpec
from ...storage import is_remote, mirrored
from ...types import Json, Mark
from ..asking.counters import Counters
from ..judging.tally import Tally
from ..manifest import manifest_path, versions
from ..opening import Opened
from ..options import RunOptions
from ..plugins import function_digests
from ..result import Run
from .manifest_files import read_manifest
from .recording import Recorder

_LOADS_FILES = re.compile(r"\{%[-+]?(?:\s|\\[nrt])*(?:include|import|from|extends)\b")
"""In JSON text: a template that has others come in."""

_OF_COUNTS = frozenset({"success", "rows", "truncated", "cost"})
"""Gates that the counts of a manifest are enough to judge."""


class Ground:
    """What the results of one run stand on; the journal keeps a digest of it."""

    def __init__(self, recipe: str, source: Source, journal: Journal, results: str) -> None:
        self._recipe = recipe
        self._source = source
        self._journal = journal
        self._results = results
        self._name = os.path.relpath(results, journal.path)

    @classmethod
    def of(
        cls, spec: Spec, options: RunOptions, parts: Opened, source: Source, journal: Journal
    ) -> Ground | None:
        """The ground of what a run of *spec* gives; None if it is not known to be data only."""
        whole = RunOptions(grace=options.grace, handle_signals=options.handle_signals)
        paths = (spec.sink.path, journal.path)
        if (
            options != whole
            or journal.mode != "reuse"
            or any(is_remote(path) or mirrored(path) is not None for path in paths)
            or not _is_data(spec, parts, source)
        ):
            return None
        endpoints = [
            [_told(asker.adapter.identity), sorted(getattr(asker.adapter, "serves", ()))]
            for asker in parts.askers
        ]
        recipe = json.dumps([_told(spec), endpoints, versions()], sort_keys=True, default=repr)
        if _LOADS_FILES.search(recipe):
            return None
        return cls(_sha256(recipe), source, journal, spec.sink.path)

    def keep(self, replies: int, results: str | None) -> None:
        """Note what the results that were just put in place stand on.

        *replies* is how many requests were answered for them, *results* the SHA-256 of their
        bytes, None if it is not known.
        """
        made_of = self._made_of(as_read(self._source), results)
        if made_of is not None:
            with suppress(SinkError):  # it only spares time
                self._journal.settle(self._name, {"made_of": made_of, "replies": replies})

    def stands(self) -> tuple[dict[str, Any], int] | None:
        """The manifest of results that still stand, and how many requests were answered for them;
        None if something has changed, or if nothing is known."""
        kept = self._journal.settled(self._name)
        if not isinstance(kept, Mapping) or os.path.exists(_unfinished(self._results)):
            return None
        if not os.path.exists(self._results):  # seen before much is read for its digest
            return None
        if kept.get("made_of") != self._made_of() or type(kept.get("replies")) is not int:
            return None
        manifest = read_manifest(manifest_path(self._results))
        return (manifest, cast(int, kept["replies"])) if manifest is not None else None

    def _made_of(
        self, rows: tuple[tuple[str, ...], str] | None = None, results: str | None = None
    ) -> str | None:
        """A digest of everything; None if a part of it is not there.

        *rows* is what the source was read as, *results* the digest of the results: both are read
        anew unless they are known.
        """
        try:
            rows = rows or present(self._source)
            answers = self._journal.whole_file()
            if rows is None or answers is None:
                return None
            results = results or file_digest(self._results)
            digests = [file_digest(answers), results, file_digest(manifest_path(self._results))]
            return _sha256(json.dumps([self._recipe, rows, digests]))
        except (OSError, SourceError, SinkError):
            return None  # whoever needs them will say what is the matter


def is_clean(run: Run) -> bool:
    """Whether all rows and all scores of *run* came out: then there is nothing to tell of it that
    its manifest does not."""
    return (
        run.exit_code == EXIT_OK
        and run.manifest["status"] == "finished"
        and not run.first_failures
        and not run.failed_scores
        and not any("reused_of_other_versions" in one for one in run.manifest["endpoints"])
    )


def tally_of(manifest: Mapping[str, Any]) -> Tally:
    """The counts of a finished run without failures, as far as gates are judged by them."""
    tally = _counted(manifest["counts"], manifest.get("cost", {}).get("answers", 0.0))
    for name, variant in manifest.get("variants", {}).items():
        tally.by_variant[name] = _counted(variant["counts"], variant.get("cost", 0.0))
    return tally


def _counted(counts: Mapping[str, int], cost: float) -> Tally:
    tally = Tally()
    tally.rows, tally.truncated, tally.cost = counts["rows"], counts["truncated"], cost
    tally.by_status.update({status: counts[status] for status in ("ok", "error", "filtered")})
    return tally


def told_again(
    manifest: Mapping[str, Any], counters: Counters, recorder: Recorder
) -> Mapping[str, Json]:
    """What a run has to tell whose results, of this *manifest*, were there already."""
    cost = manifest.get("cost")
    return {
        **manifest,
        **recorder.times(),
        "requests": counters.requests(),
        "tokens": {**manifest["tokens"], "spent": {}},
        "latency": {},
        "limits": [],
        "stalled_seconds": 0.0,
        **({"cost": {**cost, "spent": 0.0, "run": 0.0}} if cost is not None else {}),
    }


def _unfinished(results: str) -> str:
    return manifest_path(results) + ".partial"


def _is_data(spec: Spec, parts: Opened, source: Source) -> bool:
    """Whether nothing but the spec, the source's files and answers can change what comes out."""
    steps = [*spec.asked]
    plugins = [
        source,
        *(asker.adapter for asker in parts.askers),
        *(score.scorer for branch in parts.branches for score in branch.scores),
    ]
    return (
        spec.sink.table is None
        and (spec.mlflow is None or spec.mlflow.experiment is None)
        and _OF_COUNTS.issuperset(spec.gates)
        and all(type(plugin).__module__.startswith("dbrun.") for plugin in plugins)
        and not any(names_files(step) for step in steps)
        and not function_digests(spec)
    )


def names_files(step: StepSpec) -> bool:
    """Whether rows may name files that are sent: images."""
    contents = [message.content for message in step.prompt.messages or ()]
    return step.prompt.column is not None or any(
        "image" in part for content in contents if isinstance(content, tuple) for part in content
    )


def _told(value: Any) -> Any:
    """*value* as JSON values: what a spec says, without where it is written."""
    if isinstance(value, Mapping):
        return [[str(name), _told(item)] for name, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [_told(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    if isinstance(value, Mark):
        return None
    if hasattr(value, "__slots__"):
        return [type(value).__name__, *(_told(getattr(value, name)) for name in value.__slots__)]
    return value


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
