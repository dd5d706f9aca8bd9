"""Comparing two results files: both are read once, in step; nothing is held but sums and a few
examples."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

from ..errors import UserError
from ..registry import Registry
from ..report.html.sides import mapping
from ..run.rows.pairing import pairs
from .changes import changes, same
from .examples import Examples, Request, change_of, severity_of
from .judging import Judged, values_of
from .model import WITHOUT, Comparison, Counts, Kind, Options, Part, Side, Total
from .notes import currency, directions, latency, notes, told
from .reading import Unit, first_repeat, units
from .spilling import Spilled
from .sums import SUMMED, Sums

_MOST_IDS = 20


def compare(
    old: Side, new: Side, options: Options | None = None, registry: Registry | None = None
) -> Comparison:
    """What differs in *new* from *old*, row by row.

    Raises:
        UserError: one of them is no results file, or none of their records have an id and a
            variant in common.
        RunError: rows are in another order, and the disk has no room for those that wait.
    """
    return _Comparing(old, new, options or Options(), registry or Registry()).done()


class _Pair:
    """A variant of OLD beside one of NEW, as their rows pass by."""

    def __init__(self, old: str | None, new: str | None) -> None:
        self.names = (old, new)
        self.sums = (Sums(), Sums())
        self.counts: Counter[str] = Counter()
        self.scores: dict[str, Judged] = {}
        self.alone: tuple[list[tuple[int, str]], list[tuple[int, str]]] = ([], [])
        self.label = Part(old=old, new=new, counts=Counts()).label

    def judge(self, old: Unit, new: Unit) -> None:
        before, after = values_of(old), values_of(new)
        for name in {**before, **after}:
            judged = self.scores.get(name)
            if judged is None:
                judged = self.scores[name] = Judged()
            judged.add(before.get(name, ()), after.get(name, ()))


class _Comparing:
    def __init__(self, old: Side, new: Side, options: Options, registry: Registry) -> None:
        self._sides = (old, new)
        self._options = options
        self._registry = registry
        self._better = directions(old, new)
        self._pairs: dict[tuple[str | None, str | None], _Pair] = {}
        self._counted = [0, 0]
        self._ignored: tuple[dict[str | None, None], ...] = ({}, {})
        self._examples = Examples(options.rows)
        for names in options.variants:
            self._pairs[names] = _Pair(*names)

    def done(self) -> Comparison:
        for found in pairs(self._keyed(0), self._keyed(1), Spilled()):
            assert isinstance(found.key, tuple)
            names, _, _ = found.key
            pair = self._pairs[names]
            if found.left is None or found.right is None:
                self._one_sided(pair, found.left, found.right)
            else:
                self._both(pair, found.left, found.right)
        return self._concluded()

    def _keyed(self, number: int) -> Iterator[tuple[Hashable, Unit]]:
        """The rows of one side, each under the names of its variants, its id and first repeat."""
        for unit in units(self._sides[number], self._registry):
            variant = unit[0]["variant"]
            self._counted[number] += len(unit)
            wanted = self._names(variant, number)
            if not wanted:
                self._ignored[number].setdefault(variant)
            for names in wanted:
                pair = self._pairs.get(names)
                if pair is None:
                    pair = self._pairs[names] = _Pair(*names)
                pair.sums[number].add(unit)
                yield (names, unit[0]["id"], first_repeat(unit)), unit

    def _names(self, variant: str | None, number: int) -> Sequence[tuple[str | None, str | None]]:
        if not self._options.variants:
            return ((variant, variant),)
        return [names for names in self._options.variants if names[number] == variant]

    def _one_sided(self, pair: _Pair, old: Unit | None, new: Unit | None) -> None:
        unit = old or new
        assert unit is not None
        number = 0 if new is None else 1
        pair.counts["only_new" if number else "only_old"] += len(unit)
        # Rows of files in another order do not pass by in the order of either.
        insort(pair.alone[number], (unit[0]["place"], unit[0]["id"]))
        del pair.alone[number][_MOST_IDS:]

    def _both(self, pair: _Pair, old: Unit, new: Unit) -> None:
        pair.judge(old, new)
        if len(old) == 1 and len(new) == 1:
            self._record(pair, old[0], new[0])
            return
        others = {record["repeat"] or 1: record for record in old}
        for record in new:
            partner = others.pop(record["repeat"] or 1, None)
            if partner is None:
                pair.counts["only_new"] += 1
            else:
                self._record(pair, partner, record)
        pair.counts["only_old"] += len(others)

    def _record(self, pair: _Pair, old: dict[str, Any], new: dict[str, Any]) -> None:
        counts = pair.counts
        counts["paired"] += 1
        request = _request(old, new)
        counts["asked_anew"] += request == "changed"
        counts["unknown"] += request == "unknown"
        if old["row"] is not None and new["row"] is not None:
            counts["rows"] += old["row"] != new["row"]
        became = self._became(old, new)
        counts[became] += 1
        severity = None
        if became in ("changed", "same"):
            severity = severity_of(old, new, self._better)
        counts["worse"] += severity is not None
        counts["altered"] += became == "changed" and severity is None
        kind: Kind
        if severity is not None:
            kind = "worse"
        elif became in ("failing", "fixed", "changed"):
            kind = became  # type: ignore[assignment]
        else:
            return
        weight = severity or (0.0, 0.0)
        rank = (weight, -new["place"])
        if self._examples.wants(kind, rank):
            self._examples.add(change_of(kind, pair.label, old, new, request), rank)

    def _became(self, old: dict[str, Any], new: dict[str, Any]) -> str:
        before, after = old["status"] == "ok", new["status"] == "ok"
        if before and after:
            return "same" if same(old["output"], new["output"]) else "changed"
        if self._options.unanswered_apart and (_is_unanswered(old) or _is_unanswered(new)):
            return "unanswered"
        if before:
            return "failing"
        return "fixed" if after else "broken"

    def _concluded(self) -> Comparison:
        old, new = self._sides
        both = [pair for pair in self._pairs.values() if all(one.records for one in pair.sums)]
        self._refuse_nothing(both)
        parts = tuple(self._part(pair) for pair in both)
        only_old, only_new = self._unpaired(0), self._unpaired(1)
        repeats = tuple(sum(pair.sums[n].torn for pair in both) for n in (0, 1))
        return Comparison(
            title=str((new.manifest or {}).get("name") or new.label),
            old=told(old, self._records(0)),
            new=told(new, self._records(1)),
            notes=tuple(notes(old, new, parts, only_old, only_new, any(repeats))),
            changes=changes(old, new),
            parts=parts,
            rows=self._examples.all(),
            removed=_first(pair.alone[0] for pair in both),
            added=_first(pair.alone[1] for pair in both),
            old_variants=only_old,
            new_variants=only_new,
            currency=currency(new) or currency(old),
            confidence=self._options.confidence,
            lacks_library=any(one.lacks_library for part in parts for one in part.scores),
        )

    def _part(self, pair: _Pair) -> Part:
        old, new = pair.names
        return Part(
            old=old,
            new=new,
            counts=Counts(old=pair.sums[0].records, new=pair.sums[1].records, **pair.counts),
            scores=tuple(
                judged.delta(name, self._better.get(name, "higher"), self._options.confidence)
                for name, judged in pair.scores.items()
            ),
            totals=tuple(self._totals(pair)),
        )

    def _totals(self, pair: _Pair) -> Iterator[Total]:
        old, new = pair.sums
        for name in SUMMED:
            if old.counts[name] or new.counts[name]:
                yield Total(
                    name=name,
                    old=old.total(name),
                    new=new.total(name),
                    old_each=old.mean(name),
                    new_each=new.mean(name),
                )
        before, after = (
            latency(side, name) for side, name in zip(self._sides, pair.names, strict=True)
        )
        for quantile in ("p50", "p90"):
            if quantile in before or quantile in after:
                yield Total(
                    name=f"latency_{quantile}", old=before.get(quantile), new=after.get(quantile)
                )

    def _records(self, number: int) -> int:
        """How many records the file of a side has, those of other variants included."""
        return self._counted[number]

    def _unpaired(self, number: int) -> tuple[str, ...]:
        """The variants of one side that have no counterpart."""
        other = 1 - number
        alone = [
            pair.names[number]
            for pair in self._pairs.values()
            if pair.sums[number].records and not pair.sums[other].records
        ]
        names = [*alone, *self._ignored[number]]
        return tuple(dict.fromkeys(name or WITHOUT for name in names))

    def _refuse_nothing(self, both: Sequence[_Pair]) -> None:
        """Raises `UserError` if both sides have records, and none of them has a partner."""
        if any(pair.counts["paired"] for pair in both) or not all(self._counted):
            return
        if self._options.unrelated and not self._options.variants:
            return
        old, new = self._sides
        what = f"nothing to compare in {old.label} and {new.label}"
        if both:
            raise UserError(f"{what}: no id is in both", "name two results of the same rows")
        names = ", ".join(self._unpaired(0)), ", ".join(self._unpaired(1))
        raise UserError(
            f"{what}: OLD has the variants {names[0]}; NEW has {names[1]}",
            "say which go together: --variant OLDNAME NEWNAME",
        )


def _request(old: dict[str, Any], new: dict[str, Any]) -> Request:
    if old["keys"] is None or new["keys"] is None:
        return "unknown"
    return "same" if old["keys"] == new["keys"] else "changed"


def _is_unanswered(record: dict[str, Any]) -> bool:
    return bool(mapping(record["error"]).get("class") == "unanswered")


def _first(alone: Iterable[list[tuple[int, str]]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row for some in alone for _, row in some))[:_MOST_IDS]
