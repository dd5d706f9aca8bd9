"""From results files to a page: records stream through, nothing is held but their counts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ...frozen import frozen
from ...registry import Registry
from ...run.keeping.manifest_files import read_manifest
from ...run.manifest import manifest_path, stem
from ..reading import check
from ..summary import shown_path
from .blocks import Blocks
from .facts import Results, manifest_of
from .page import pieces
from .records import records
from .sides import Side, is_number, mapping


@frozen
class Page:
    """A page in the making: its *pieces* of text, *records* it was made of, *left_out* of them."""

    pieces: Iterator[str]
    records: int
    left_out: int


@contextmanager
def made_page(paths: Sequence[str], registry: Registry) -> Iterator[Page]:
    """The page that shows the results at *paths*.

    Raises:
        UserError: one of them is no results file.
    """
    for path in paths:
        check(path)
    labels = _labels(paths)
    with Blocks() as blocks:
        results: list[Results] = []
        sides: list[Side] = []
        for number, path in enumerate(paths):
            one = _read(path, labels[number], number, sides, blocks, registry)
            results.append(one)
        _name_sides(results)
        names = list(dict.fromkeys(one.name for one in results))
        about = {
            "files": [_file(one) for one in results],
            "sides": [_side(one, side) for one in results for side in one.sides],
            "better": _better(results),
            "left_out": blocks.left_out,
        }
        title = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        yield Page(
            pieces=pieces(title, results, blocks.elements(), about),
            records=blocks.kept + blocks.left_out,
            left_out=blocks.left_out,
        )


def _read(
    path: str, label: str, number: int, sides: list[Side], blocks: Blocks, registry: Registry
) -> Results:
    """Count the records of one file and put them into *blocks*."""
    manifest = read_manifest(manifest_path(path))
    mine: dict[str | None, Side] = {}
    places: dict[str | None, int] = {}
    for name in mapping((manifest or {}).get("variants")):
        mine[name] = Side(number, name)
    for record in records(path, registry):
        variant = record.get("variant")
        variant = None if variant is None else str(variant)
        if variant not in mine:
            mine[variant] = Side(number, variant)
        if variant not in places:
            places[variant] = len(sides)
            sides.append(mine[variant])
        mine[variant].count(record)
        blocks.add({**record, "side": places[variant]})
    found = [side for variant, side in mine.items() if variant in places] or [Side(number, None)]
    found.sort(key=lambda side: places.get(side.variant, 0))
    if not places:
        sides.extend(found)
    results = Results(
        path=shown_path(path), label=label, manifest=manifest or {}, sides=found, notes=[]
    )
    results.notes += _notes(results, manifest)
    return results


def _notes(results: Results, manifest: Mapping[str, Any] | None) -> Iterator[str]:
    """What a reader must know before trusting the numbers."""
    if manifest is None:
        yield "There is no manifest beside these results; the numbers are counted from the records."
        manifest = {}
    told = mapping(manifest.get("counts")).get("rows")
    rows = results.counts["rows"]
    if is_number(told) and told != rows:
        yield f"The manifest tells of {told:,} records, here are {rows:,}: it is of another run."
    if manifest.get("selection"):
        yield "The run took some of the rows only."
    if not rows:
        yield "There are no records in these results."


def _labels(paths: Sequence[str]) -> list[str]:
    """What files are called: by their names where these differ, else by their paths."""
    names = [os.path.basename(stem(path)) for path in paths]
    if len(set(names)) == len(names):
        return names
    shown = [shown_path(path) for path in paths]
    return [name if shown.count(name) == 1 else f"{name} ({n})" for n, name in enumerate(shown, 1)]


def _name_sides(results: Sequence[Results]) -> None:
    for one in results:
        for side in one.sides:
            parts = [one.label] if len(results) > 1 else []
            parts += [side.variant] if side.variant is not None else []
            side.label = " · ".join(parts) or one.label


def _file(one: Results) -> dict[str, Any]:
    limits = one.manifest.get("limits")
    return {
        "label": one.label,
        "currency": one.currency,
        "limits": limits if isinstance(limits, list) else [],
    }


def _side(one: Results, side: Side) -> dict[str, Any]:
    latency = mapping(manifest_of(one, side).get("latency"))
    return {
        "file": side.file,
        "variant": side.variant,
        "label": side.label,
        "latency": {name: value for name, value in latency.items() if is_number(value)},
    }


def _better(results: Sequence[Results]) -> dict[str, str]:
    """Which direction of each score is good."""
    found: dict[str, str] = {}
    for one in results:
        parts = [one.manifest, *mapping(one.manifest.get("variants")).values()]
        for part in parts:
            for name, score in mapping(mapping(part).get("scores")).items():
                found.setdefault(str(name), str(mapping(score).get("better") or "higher"))
    return found
