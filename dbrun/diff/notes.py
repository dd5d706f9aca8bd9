"""What the manifests of two sides tell of them, and what a reader must know before trusting it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from ..report.html.sides import is_number, mapping
from ..report.summary import shown_path
from ..report.words import counted
from .changes import spec_of
from .model import WITHOUT, Part, Side, Told

Direction = Literal["higher", "lower"]


def told(side: Side, records: int) -> Told:
    """*side* as a reader knows it."""
    manifest = mapping(side.manifest)
    git = mapping(manifest.get("git"))
    commit = str(git.get("commit") or "")[:12]
    return Told(
        label=side.label,
        path=shown_path(side.path),
        records=records,
        name=str(manifest.get("name") or ""),
        target=str(manifest.get("target") or ""),
        run=str(manifest.get("run") or ""),
        finished=str(manifest.get("finished") or ""),
        commit=f"{commit} with changes" if commit and git.get("dirty") else commit,
    )


def directions(old: Side, new: Side) -> dict[str, Direction]:
    """Which direction of each score is good; where the sides disagree, NEW is right."""
    return {**_directions(old), **_directions(new)}


def _directions(side: Side) -> dict[str, Direction]:
    manifest = mapping(side.manifest)
    parts = [manifest, *mapping(manifest.get("variants")).values()]
    found = {
        str(name): mapping(score).get("better")
        for part in parts
        for name, score in mapping(mapping(part).get("scores")).items()
    }
    scores = mapping(spec_of(side)).get("scores")
    for score in scores if isinstance(scores, list) else []:
        name = mapping(score).get("name") or mapping(score).get("type")
        if isinstance(name, str):
            found.setdefault(name, mapping(score).get("better"))
    return {name: "lower" if better == "lower" else "higher" for name, better in found.items()}


def currency(side: Side) -> str:
    """That of the side's costs; empty if it is not told."""
    return str(mapping(mapping(side.manifest).get("cost")).get("currency") or "")


def latency(side: Side, variant: str | None) -> dict[str, float]:
    """The seconds that the manifest tells of a variant."""
    manifest = mapping(side.manifest)
    if variant is not None:
        manifest = mapping(mapping(manifest.get("variants")).get(variant))
    return {
        str(name): value
        for name, value in mapping(manifest.get("latency")).items()
        if is_number(value)
    }


def notes(
    old: Side,
    new: Side,
    parts: Sequence[Part],
    old_variants: Sequence[str],
    new_variants: Sequence[str],
    torn: bool,
) -> Iterator[str]:
    """What a reader must know, a sentence each."""
    for side in (old, new):
        yield from side.notes
        if side.manifest is None:
            yield f"{side.label}: there is no manifest beside these results"
        elif mapping(side.manifest.get("selection")):
            yield f"{side.label}: the run took some of the rows only"
    yield from _disagreements(mapping(old.manifest), mapping(new.manifest))
    if old.path == new.path:
        compared = {name or WITHOUT for part in parts for name in (part.old, part.new)}
        left = [name for name in old_variants if name in new_variants and name not in compared]
        if left:
            yield f"{', '.join(left)}: not compared"
    else:
        for which, names in (("OLD", old_variants), ("NEW", new_variants)):
            if names and (parts or (old_variants and new_variants)):  # else one side is empty
                yield f"only {which} has {', '.join(names)}: not compared"
    if torn:
        yield "repeats of a row do not stand together: each is taken for a row of its own"
    before, after = _directions(old), _directions(new)
    for name in before.keys() & after.keys():
        if before[name] != after[name]:
            yield f"{name}: {after[name]} is better in NEW, {before[name]} in OLD; NEW's holds"
    yield from _lonely(parts)


def _disagreements(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key, word in (("name", "pipeline"), ("target", "target")):
        before, after = old.get(key), new.get(key)
        if old and new and before != after:
            yield f"OLD is of the {word} {before or 'none'}, NEW of {after or 'none'}"
    currencies = {str(mapping(one.get("cost")).get("currency") or "") for one in (old, new)} - {""}
    if len(currencies) > 1:
        yield f"costs are in {' and '.join(sorted(currencies))}: they cannot be compared"


def _lonely(parts: Sequence[Part]) -> Iterator[str]:
    """Scores that one side has alone."""
    alone: dict[str, int] = {}
    for part in parts:
        for score in part.scores:
            if not score.pairs and score.one_sided:
                alone[score.name] = alone.get(score.name, 0) + score.one_sided
    for name, number in alone.items():
        yield f"{name}: only one side has this score, on {counted(number, 'row')}"
