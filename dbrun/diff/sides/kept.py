"""Results that are there already, laid over a replay or filling its gaps."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...canonical import digest
from ...errors import DbrunError
from ...registry import Registry
from ...run.judging.measures import is_unanswered as no_answer
from ...run.keeping.manifest_files import read_manifest
from ...run.manifest import describe_recipe, manifest_path
from ...run.offline.agreement import disagreements
from ...run.offline.verifying import read_records
from ...run.plugins import function_digests
from ...run.rows.pairing import Pair, pairs
from ...spec.model import Spec
from ...types import Json

Line = Mapping[str, Json]
"""A record as a line of results holds it."""

_OF_THE_REQUEST = ("row", "key")
_OF_THE_ANSWER = ("usage", "cost", "finish_reason", "steps")
"""Fields that results may leave out and a replay tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Results at *path*. If they *win*, they are what the side is; else they only give what the
    journal lacks."""

    path: str
    wins: bool
    registry: Registry

    def lines(self) -> Iterator[Line]:
        """The records, one after another. Raises `SourceError` if they cannot be read."""
        return read_records(self.path, "jsonl", self.registry)


def find_kept(spec: Spec, registry: Registry, *, win: bool) -> Kept | None:
    """The results of *spec* that can stand for it; None if there are none.

    Those that win are taken as they are. Others must be of the very same recipe, by their
    manifest, and as it was written.
    """
    path = spec.sink.path
    if spec.sink.kind != "jsonl" or not os.path.isfile(path):
        return None
    if win or (_is_of(spec, path) and _agrees(path, registry)):
        return Kept(path=path, wins=win, registry=registry)
    return None


def _is_of(spec: Spec, path: str) -> bool:
    manifest = read_manifest(manifest_path(path)) or {}
    recipe = describe_recipe(spec, function_digests(spec))
    same = ("spec_digest", "target")
    return all(manifest.get(name) == recipe[name] for name in same) and _digests(
        manifest
    ) == _digests(recipe)


def _digests(manifest: Mapping[str, Any]) -> tuple[list[Json], Json]:
    """Those of templates and functions. What files are called depends on where one stands; and
    rows may be others, for answers are taken for rows that are the same."""
    digests = manifest.get("digests")
    known = digests if isinstance(digests, Mapping) else {}
    templates = known.get("templates")
    found = list(templates.values()) if isinstance(templates, Mapping) else []
    return found, known.get("functions")


def _agrees(path: str, registry: Registry) -> bool:
    try:
        return not disagreements(path, registry)
    except DbrunError:
        return False


def is_unanswered(line: Line) -> bool:
    """Whether *line* is of a request that the journal holds no answer to."""
    error = line.get("error")
    return isinstance(error, Mapping) and error.get("class") == "unanswered"


def lacks_answer(line: Line) -> bool:
    """Whether the journal holds no answer to the request of *line*, or to that of a judge."""
    scores = line.get("scores")
    judged = scores.values() if isinstance(scores, Mapping) else ()
    return is_unanswered(line) or any(
        no_answer(score.get("explanation")) for score in judged if isinstance(score, Mapping)
    )


def joined(replayed: Iterable[Line], kept: Kept | None) -> Iterator[Line]:
    """The lines of a side, of a replay and of what is *kept*."""
    if kept is None:
        yield from replayed
        return
    for pair in pairs(_keyed(replayed), _keyed(kept.lines())):
        line = _won(pair) if kept.wins else _filled(pair)
        if line is not None:
            yield line


def identity(line: Line) -> Hashable:
    """What pairs records of the two sides; equal rows are paired in their order."""
    return (str(line.get("id")), line.get("variant"), line.get("repeat"))


def _keyed(lines: Iterable[Line]) -> Iterator[tuple[Hashable, Line]]:
    return ((identity(line), line) for line in lines)


def _won(pair: Pair[Line]) -> Line | None:
    """The line that was kept, with what it leaves out and the replay of its row tells."""
    replayed, kept = pair.left, pair.right
    if kept is None or replayed is None:
        return kept
    is_same = all(kept.get(name) == replayed.get(name) for name in ("status", "output"))
    missing = (*_OF_THE_REQUEST, *(_OF_THE_ANSWER if is_same else ()))
    found = {name: replayed[name] for name in missing if name not in kept and name in replayed}
    return {**kept, **found}


def _filled(pair: Pair[Line]) -> Line | None:
    """The line of the replay; where that has no answer, the one that was kept, if it answers the
    same request about the same row."""
    replayed, kept = pair.left, pair.right
    if replayed is None or kept is None or not is_unanswered(replayed):
        return replayed
    same_row = "row" not in kept or digest(kept["row"]) == digest(replayed.get("row"))
    same_key = kept.get("key") is not None and kept["key"] == replayed.get("key")
    return {**kept, "row": replayed.get("row")} if same_row and same_key else replayed
