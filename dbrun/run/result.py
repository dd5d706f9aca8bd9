"""What a run gives back to the program that asked for it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from ..files import open_in
from ..frozen import frozen
from ..spec.formats import format_of
from ..types import Json

_LINES = ("jsonl", "text")  # *.txt and *.md tell sources texts; a sink of this name is lines
_COUNTS = ("rows", "ok", "error", "filtered")


@frozen
class Verdict:
    """Whether one bound of a gate is met: its *name*, the *value* found (None if there is none;
    *note* then says why), what was *wanted*, and *by* how much the value misses that.

    *variant* is that of a matrix whose records were judged.
    """

    name: str
    value: float | None
    wanted: str
    met: bool
    warn: bool = False
    by: float = 0.0
    variant: str | None = None
    note: str = ""


@frozen
class Tracked:
    """What became of logging a run to MLflow's *experiment*: its *run* there and that one's *url*
    where it has one, or a *warning*. *again* says that it had been logged before."""

    experiment: str
    run: str | None = None
    url: str | None = None
    again: bool = False
    warning: str | None = None


@frozen
class Run:
    """A finished run.

    *path* is the results file (None when they went to a stream), *manifest* the run's record,
    *exit_code* as the command line would give, *verdicts* one for each gate. *first_failures* are
    (id, error class, message), no two alike, and *alike* how many rows failed like each.
    *failed_scores* are, for each score that failed, its name, the first record and the reason.
    *missing_ids* are ids that were asked for and are no row's. *shared_ids* are the first of those
    that several rows have, *shared* is how many rows have the id of an earlier one. *damaged*
    counts lines of the journal that were passed over, as if the answers had never come. *tracked*
    tells what was logged to MLflow, if the spec asks for that. *unchanged* says that spec, rows
    and answers are what the results on disk were made from, so that no row was looked at.
    """

    path: str | None
    manifest: Mapping[str, Json]
    exit_code: int
    verdicts: tuple[Verdict, ...] = ()
    first_failures: tuple[tuple[str, str, str], ...] = field(default_factory=tuple)
    alike: tuple[int, ...] = ()
    failed_scores: tuple[tuple[str, str, str], ...] = ()
    missing_ids: tuple[str, ...] = ()
    shared_ids: tuple[str, ...] = ()
    shared: int = 0
    damaged: int = 0
    tracked: Tracked | None = None
    unchanged: bool = False

    @property
    def results(self) -> Iterator[Mapping[str, Json]]:
        """The records in source order, read from the results file one after another.

        Raises:
            ValueError: the results were not written as JSON Lines.
        """
        if self.path is None or self._format() not in _LINES:
            raise ValueError("the results of this run were not written as JSON Lines")
        return _records(self.path)

    def __repr__(self) -> str:
        # Manifests are long, and a notebook shows what stands last in a cell.
        counts = self.manifest.get("counts")
        told = {name: counts.get(name) for name in _COUNTS} if isinstance(counts, Mapping) else {}
        return f"<Run exit_code={self.exit_code} counts={told} path={self.path!r}>"

    def _format(self) -> str:
        """What the results were written as: a sink whose name tells nothing is JSON Lines."""
        named = format_of(self.path or "")
        if named is not None:
            return named
        spec = self.manifest.get("spec")
        sink = spec.get("sink") if isinstance(spec, Mapping) else None
        return str(sink.get("format") or "jsonl") if isinstance(sink, Mapping) else "jsonl"

    def to_pandas(self) -> Any:
        """The records as a pandas DataFrame, one column a field.

        Raises:
            ImportError: pandas is not installed (`pip install pandas`).
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_pandas needs pandas: pip install pandas") from error
        return pandas.DataFrame(list(self.results))


def _records(path: str) -> Iterator[Mapping[str, Json]]:
    with open_in(path) as stream:
        for line in stream:
            yield json.loads(line)
