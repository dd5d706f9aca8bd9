"""What is compared, and what comparing finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal

from ..frozen import frozen
from ..types import Json

Kind = Literal["failing", "worse", "changed", "fixed"]
KINDS: tuple[Kind, ...] = ("failing", "worse", "changed", "fixed")
"""What may have become of a record, the worst first: it failed; a score got worse; its output is
another (and no score worse); it failed before."""

WITHOUT = "no variant"
"""What records without a variant are called beside those that have one."""


@frozen
class Side:
    """One of the two results files: its *path*, and what it is called.

    *manifest* is the run's record, if there is one; *spec* the merged spec, where that is not the
    manifest's; *notes* are what a reader must know of this side.
    """

    path: str
    label: str
    manifest: Mapping[str, Any] | None = None
    spec: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()


@frozen
class Options:
    """How to compare.

    *variants* pairs a variant of OLD with one of NEW (None: records without one); with none
    given, variants of the same name are paired. *rows* is how many records of each kind are kept
    as examples. *confidence* is that of the intervals. With *unanswered_apart* a record that
    merely has no answer in the journal has not failed; it is counted apart. Sides that
    are *unrelated* need have no row in common.
    """

    variants: tuple[tuple[str | None, str | None], ...] = ()
    rows: int = 20
    confidence: float = 0.95
    unanswered_apart: bool = False
    unrelated: bool = False


@frozen
class Told:
    """A side as a reader knows it: *label*, *path* as shown, how many *records* it has, and of
    its manifest the *name* of the spec, *target*, *run*, when it *finished* and the *commit*;
    empty where there is none."""

    label: str
    path: str
    records: int
    name: str = ""
    target: str = ""
    run: str = ""
    finished: str = ""
    commit: str = ""


@frozen
class Change:
    """Something of the recipe that differs: *what* it is part of, its *path* there, and its value
    on either side, as far as it has one (*how* is `added`, `removed` or `changed`).

    Of prompts in files, functions and rows only digests are known: *old* and *new* are None.
    """

    what: Literal["spec", "prompt", "function", "rows", "model", "dbrun"]
    path: str
    how: Literal["added", "removed", "changed"]
    old: Json = None
    new: Json = None


@frozen
class Counts:
    """Records of one pair of variants by what became of them.

    Of the *paired* ones each is one of *failing* (ok, now not), *fixed* (not ok, now ok),
    *changed* (both ok, another output), *same* (both ok, the same output), *broken* (ok on
    neither side) and *unanswered* (no answer on one side; only where that is no failure). Across
    these, *asked_anew* have another request, *unknown* tell no request on one side, *rows* have
    other columns, *worse* have a score that got worse; *altered* are the *changed* ones that have
    none.
    """

    old: int = 0
    new: int = 0
    paired: int = 0
    failing: int = 0
    fixed: int = 0
    changed: int = 0
    same: int = 0
    broken: int = 0
    unanswered: int = 0
    asked_anew: int = 0
    unknown: int = 0
    rows: int = 0
    worse: int = 0
    altered: int = 0
    only_old: int = 0
    only_new: int = 0


@frozen
class ScoreDelta:
    """How one score moved over the *pairs* of rows that have it on both sides.

    *old* and *new* are means, *delta* their difference. *interval* holds the true difference with
    the confidence asked for, *p* is that of the *test* (`t` or `mcnemar`), *effect* its size
    (*measure*: `d_z` or `g`). They are None where they cannot be told; *note* says why.
    *up* and *down* are the rows whose score rose and fell, *one_sided* those that have it on one
    side only. *noise* is how far repeats of one row are from each other (a standard deviation).
    *verdict*: `better`, `worse`, `unclear` (the interval holds 0), `same` (no row moved),
    `unjudged` (there is no interval; *lacks_library*: because scipy is not installed).
    """

    name: str
    better: Literal["higher", "lower"]
    kind: Literal["boolean", "number"]
    pairs: int
    old: float | None
    new: float | None
    delta: float | None
    interval: tuple[float, float] | None = None
    p: float | None = None
    test: Literal["t", "mcnemar"] | None = None
    effect: float | None = None
    measure: Literal["d_z", "g"] | None = None
    up: int = 0
    down: int = 0
    one_sided: int = 0
    noise: float | None = None
    verdict: Literal["better", "worse", "unclear", "same", "unjudged"] = "unjudged"
    note: str = ""
    lacks_library: bool = False


@frozen
class Total:
    """What one side's answers came to beside the other's: *name* is `input_tokens`,
    `output_tokens`, `cost`, `latency_p50` or `latency_p90`. *old_each* and *new_each* are means
    over the records that tell it; None for latencies, which are the manifest's."""

    name: str
    old: float | None
    new: float | None
    old_each: float | None = None
    new_each: float | None = None


@frozen
class Part:
    """A variant of OLD beside one of NEW (None: records without a variant)."""

    old: str | None
    new: str | None
    counts: Counts
    scores: tuple[ScoreDelta, ...] = ()
    totals: tuple[Total, ...] = ()

    @property
    def label(self) -> str:
        """What the pair is called; empty where there are no variants."""
        if self.old == self.new:
            return self.new or ""
        return f"{self.old or WITHOUT} → {self.new or WITHOUT}"


@frozen
class Seen:
    """What a record gave on one side: *error* is class and message of one that failed."""

    status: str
    output: Json = None
    error: str = ""


@frozen
class ScoreMove:
    """A score of one record on either side, and the reason that was given on the new one."""

    name: str
    old: float | bool | None
    new: float | bool | None
    explanation: str = ""


@frozen
class RowChange:
    """A record that is not what it was; *part* is the label of its pair of variants."""

    kind: Kind
    id: str
    part: str
    repeat: int | None
    old: Seen
    new: Seen
    request: Literal["same", "changed", "unknown"]
    row_changed: bool
    scores: tuple[ScoreMove, ...] = ()


@frozen
class Regression:
    """Something that got worse: *what* is `rows` (*count* records were ok and are not) or the name
    of a score, in the *part* of that label."""

    what: str
    part: str
    count: int = 0
    score: ScoreDelta | None = None


@frozen
class Comparison:
    """All that comparing two results files found.

    *changes* are what differs in the recipe, *parts* the pairs of variants, *rows* examples of
    records that changed (the worst first, of each kind at most as many as asked for), *added*
    and *removed* examples of ids that one side has alone. *old_variants* and *new_variants* have
    no counterpart. *currency* is that of the costs, if told. *lacks_library* says that there are
    scores without intervals because scipy is not installed.
    """

    title: str
    old: Told
    new: Told
    notes: tuple[str, ...]
    changes: tuple[Change, ...]
    parts: tuple[Part, ...]
    rows: tuple[RowChange, ...]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    old_variants: tuple[str, ...] = ()
    new_variants: tuple[str, ...] = ()
    currency: str = ""
    confidence: float = 0.95
    lacks_library: bool = False

    @property
    def regressions(self) -> tuple[Regression, ...]:
        """What got worse: records that were ok and are not; means that are worse with an interval
        that excludes 0."""
        found = []
        for part in self.parts:
            if part.counts.failing:
                found.append(Regression(what="rows", part=part.label, count=part.counts.failing))
            found += [
                Regression(what=score.name, part=part.label, score=score)
                for score in part.scores
                if score.verdict == "worse"
            ]
        return tuple(found)

    @property
    def counts(self) -> Counts:
        """The records of all parts together."""
        names = [one.name for one in fields(Counts)]
        return Counts(
            **{name: sum(getattr(part.counts, name) for part in self.parts) for name in names}
        )
