"""The rows of one side: its records, the repeats of a row together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..registry import Registry
from ..report.reading import check, records
from ..report.summary import shown_path
from ..run.keeping.manifest_files import read_manifest
from ..run.manifest import manifest_path
from .model import Side

Unit = list[dict[str, Any]]
"""The repeats of one row and variant, in order; without repeats one record."""

_KEPT = ("id", "variant", "repeat", "status", "output", "error", "scores", "usage", "cost", "row")


def read_side(path: str, label: str | None = None) -> Side:
    """The results at *path* with the manifest beside them; called *label*, or as its path.

    Raises:
        UserError: there is no such file, or it is no results file.
    """
    check(path)
    manifest = read_manifest(manifest_path(path))
    return Side(path=path, label=label or shown_path(path), manifest=manifest)


def units(side: Side, registry: Registry) -> Iterator[Unit]:
    """The rows of *side* in the order of its file.

    Raises:
        UserError: it cannot be read, or holds no records.
    """
    read = records(side.path, registry)
    return _together(_slim(record, place) for place, record in enumerate(read))


def first_repeat(unit: Unit) -> int | None:
    """The number of the unit's first repeat; None if that is the first of all, or the only."""
    repeat = unit[0]["repeat"]
    return None if repeat == 1 else repeat


def _together(made: Iterable[dict[str, Any]]) -> Iterator[Unit]:
    unit: Unit = []
    for record in made:
        if unit and not _goes_on(unit[-1], record):
            yield unit
            unit = []
        unit.append(record)
    if unit:
        yield unit


def _goes_on(last: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Whether *record* is the next repeat of the row that *last* is of."""
    before, now = last["repeat"], record["repeat"]
    return (
        isinstance(before, int)
        and isinstance(now, int)
        and before < now
        and record["id"] == last["id"]
        and record["variant"] == last["variant"]
    )


def _slim(record: Mapping[str, Any], place: int) -> dict[str, Any]:
    """What is compared of the record that is at *place* in its file, from 0. Fields it does not
    have are None."""
    get = record.get
    made = {name: get(name) for name in _KEPT}
    made["place"] = place
    if made["variant"] is not None:
        made["variant"] = str(made["variant"])
    made["keys"] = _keys(record)
    return made


def _keys(record: Mapping[str, Any]) -> list[str] | None:
    """What identifies the record's requests: that of each step; None where it is not told."""
    steps = record.get("steps")
    if isinstance(steps, Mapping):
        told = [
            f"{name}:{step['key']}"
            for name, step in steps.items()
            if isinstance(step, Mapping) and isinstance(step.get("key"), str)
        ]
        if told:
            return sorted(told)
    key = record.get("key")
    return [key] if isinstance(key, str) else None
