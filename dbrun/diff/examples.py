"""Records that changed, as many of each kind as are asked for: the worst of them."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any, Literal

from ..report.html.sides import mapping
from .judging import value_of
from .model import KINDS, Kind, RowChange, ScoreMove, Seen

Request = Literal["same", "changed", "unknown"]
Severity = tuple[float, float]


Rank = tuple[Severity, int]
"""How bad a change is, then how early its record stands: of two, the greater is shown first."""


class Examples:
    """Keeps the worst *most* records of each kind; of equally bad ones, those that stand first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[Kind, list[tuple[Rank, int, RowChange]]] = {kind: [] for kind in KINDS}
        self._added = 0

    def wants(self, kind: Kind, rank: Rank) -> bool:
        """Whether a record of this *kind* and *rank* would be kept."""
        kept = self._kept[kind]
        return len(kept) < self._most or (bool(kept) and rank > kept[0][0])

    def add(self, change: RowChange, rank: Rank) -> None:
        """Keep *change*, which is wanted."""
        kept = self._kept[change.kind]
        self._added += 1
        item = (rank, -self._added, change)
        if len(kept) < self._most:
            heapq.heappush(kept, item)
        else:
            heapq.heapreplace(kept, item)

    def all(self) -> tuple[RowChange, ...]:
        """What was kept: by kind, the worst first."""
        return tuple(
            item[2]
            for kind in KINDS
            for item in sorted(self._kept[kind], key=lambda item: item[:2], reverse=True)
        )


def severity_of(
    old: Mapping[str, Any], new: Mapping[str, Any], better: Mapping[str, str]
) -> Severity | None:
    """How much worse the scores of *new* are: how many booleans turned, and the largest share
    that a number lost. None if no score got worse."""
    if old["scores"] == new["scores"]:
        return None
    turned, largest = 0, 0.0
    for name, score in mapping(new.get("scores")).items():
        before, after = value_of(mapping(old.get("scores")).get(name)), value_of(score)
        if before is None or after is None or before == after:
            continue
        if (after < before) != (better.get(name, "higher") == "higher"):
            continue
        if isinstance(before, bool) and isinstance(after, bool):
            turned += 1
        else:
            # Halved, as the sum of two numbers may be more than there are.
            size = max(abs(before), abs(after))
            largest = max(largest, abs(after / 2 / size - before / 2 / size))
    return (float(turned), largest) if turned or largest else None


def change_of(
    kind: Kind, part: str, old: Mapping[str, Any], new: Mapping[str, Any], request: Request
) -> RowChange:
    """What became of the record *old*."""
    return RowChange(
        kind=kind,
        id=new["id"],
        part=part,
        repeat=new["repeat"],
        old=_seen(old),
        new=_seen(new),
        request=request,
        row_changed=old["row"] != new["row"],
        scores=tuple(_moves(old, new)),
    )


def _seen(record: Mapping[str, Any]) -> Seen:
    error = record["error"]
    said = ""
    if isinstance(error, Mapping):
        said = f"{error.get('class')}: {error.get('message')}"
    return Seen(status=record["status"], output=record["output"], error=said)


def _moves(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[ScoreMove]:
    before, after = mapping(old.get("scores")), mapping(new.get("scores"))
    return [
        ScoreMove(
            name=str(name),
            old=value_of(before.get(name)),
            new=value_of(after.get(name)),
            explanation=str(mapping(after.get(name)).get("explanation") or ""),
        )
        for name in dict.fromkeys([*before, *after])
        if value_of(before.get(name)) != value_of(after.get(name))
    ]
