"""One side of a comparison: the records of a spec as its rows, journal and results tell them."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ...api import load
from ...errors import DbrunError, SinkError, UserError
from ...frozen import frozen
from ...registry import Registry
from ...run.keeping.manifest_files import read_manifest
from ...run.manifest import describe_recipe, manifest_path
from ...run.offline.replaying import replayed
from ...run.offline.survey import is_read_again
from ...run.opening import Surroundings
from ...run.plugins import function_digests
from ...sinks.base import encode_line
from ...spec.model import Spec
from ...types import Json
from .journals import joined_journal
from .kept import Kept, Line, find_kept, joined, lacks_answer

RESULTS = "results.jsonl"
"""What the records of a side are called in its folder; the manifest is beside them."""

MOST_NAMED = 20


@frozen
class Wanted:
    """A side to be made: of *spec* (a path), in the folder *out*.

    *journals* are read beside the spec's own. *is_base* says that results which are
    there are the truth, and that somebody else's scores judge them. *rows_in* are two folders:
    rows that are not in the first are read from the second.
    """

    spec: str
    out: str
    target: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    journals: tuple[str, ...] = ()
    is_base: bool = False
    rows_in: tuple[str, str] | None = None

    def to_json(self) -> dict[str, Json]:
        """All of it, to travel to another process."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Wanted:
        """What `to_json` was made of."""
        rows_in = said["rows_in"]
        tuples = {
            "overrides": tuple(said["overrides"]),
            "journals": tuple(said["journals"]),
            "rows_in": (rows_in[0], rows_in[1]) if rows_in else None,
        }
        return cls(**{**said, **tuples})


@dataclass(slots=True, kw_only=True)
class Made:
    """A side that was made: where its *results* are, and of how many *records* an answer is
    missing, also a judge's (*unanswered*; *named* are the first of their ids).

    *has_results* says that it is made of results that were there; *trouble* what kept it from
    being replayed.
    """

    results: str
    has_results: bool = False
    records: int = 0
    unanswered: int = 0
    named: list[str] = field(default_factory=list)
    trouble: str | None = None

    def to_json(self) -> dict[str, Json]:
        """All of it, to travel to another process."""
        return asdict(self)

    def note(self, line: Line) -> None:
        """Count one record."""
        self.records += 1
        if lacks_answer(line):
            self.unanswered += 1
            name = str(line.get("id"))
            if name not in self.named and len(self.named) < MOST_NAMED:
                self.named.append(name)


@frozen
class Prepared:
    """A side whose spec was read and checked: what it takes to make it."""

    wanted: Wanted
    spec: Spec
    around: Surroundings
    kept: Kept | None


def prepare(wanted: Wanted, environ: Mapping[str, str], *, debug: bool = False) -> Prepared:
    """Read and check the spec that is *wanted*.

    Raises:
        DbrunError: it is wrong, or its rows cannot be read more than once.
    """
    registry = Registry()
    spec = load(
        wanted.spec,
        target=wanted.target,
        variables=wanted.variables,
        overrides=wanted.overrides,
        environ=environ,
        registry=registry,
        prompts="kept",
    ).spec
    if not is_read_again(spec):
        raise UserError(
            f"{wanted.spec}: the rows come from standard input, which cannot be read for two sides",
            "write them to a file and add --set source.path=FILE",
        )
    return Prepared(
        wanted=wanted,
        spec=_with_rows(spec, wanted.rows_in),
        around=Surroundings(environ=environ, registry=registry, debug=debug),
        kept=find_kept(spec, registry, win=wanted.is_base),
    )


def make(side: Prepared) -> Made:
    """Make *side* in its folder.

    Raises:
        DbrunError: neither a replay nor results tell its records.
    """
    kept = side.kept
    try:
        made = _written(side, kept)
    except DbrunError as error:
        if kept is None:
            raise
        made = _with_one_of_them(side, kept, error)
    spec = side.spec
    manifest = describe_recipe(spec, function_digests(spec))
    if made.has_results and kept is not None:
        manifest |= read_manifest(manifest_path(kept.path)) or {}
    write_lines(manifest_path(made.results), [manifest])
    return made


def _written(side: Prepared, kept: Kept | None, *, replays: bool = True) -> Made:
    """The side, written from a replay and what is *kept*; from that alone unless it *replays*."""
    wanted, spec = side.wanted, side.spec
    wins = kept is not None and (kept.wins or not replays)
    made = Made(results=os.path.join(wanted.out, RESULTS), has_results=wins)
    if kept is not None and not replays:
        write_side(made, kept.lines())
        return made
    os.makedirs(wanted.out, exist_ok=True)
    journal = joined_journal([*wanted.journals, spec.journal.path], wanted.out)
    asked = _unscored(spec) if wanted.is_base else spec
    with replayed(asked, side.around, journal_path=journal) as records:
        write_side(made, joined((record.to_json() for record in records), kept))
    return made


def _with_one_of_them(side: Prepared, kept: Kept, error: DbrunError) -> Made:
    """The side without the replay or without what is *kept*, whichever is in the way."""
    try:
        made = _written(side, kept, replays=False)
    except DbrunError as unread:
        shutil.rmtree(side.wanted.out, ignore_errors=True)
        try:
            made = _written(side, None)
        except DbrunError:
            raise error from unread
        error = unread
    made.trouble = one_line(error)
    return made


def one_line(error: DbrunError) -> str:
    """What *error* says, in its first line."""
    first, *more = str(error).splitlines() or [""]
    return f"{first} (and {len(more)} more)" if more else first


def write_side(made: Made, lines: Iterable[Line]) -> None:
    """Write the records of a side, and count them. Raises `SinkError`."""

    def noted() -> Iterable[Line]:
        for line in lines:
            made.note(line)
            yield line

    write_lines(made.results, noted())


def write_lines(path: str, lines: Iterable[Line]) -> None:
    """Write a file of one line of JSON for each. Raises `SinkError`."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            for line in lines:
                stream.write(encode_line(dict(line)))
    except OSError as error:
        raise SinkError(f"{path}: cannot be written: {error.strerror or error}") from error


def _unscored(spec: Spec) -> Spec:
    """*spec* without its scores."""
    variants = tuple(replace(one, spec=_unscored(one.spec)) for one in spec.variants)
    return replace(spec, scores=(), variants=variants)


def _with_rows(spec: Spec, folders: tuple[str, str] | None) -> Spec:
    """*spec* with its rows read from the second of *folders*, if they are not in the first: rows
    that git does not keep are those that are there now."""
    path = spec.source.options.get("path")
    if folders is None or not isinstance(path, str) or _is_there(path):
        return spec
    relative = os.path.relpath(path, folders[0])
    instead = os.path.join(folders[1], relative)
    if relative.split(os.sep)[0] == os.pardir or not _is_there(instead):
        return spec
    moved = replace(spec.source, options={**spec.source.options, "path": instead})
    variants = tuple(replace(one, spec=replace(one.spec, source=moved)) for one in spec.variants)
    return replace(spec, source=moved, variants=variants)


def _is_there(path: str) -> bool:
    return os.path.exists(path) or bool(glob.glob(path, recursive=True))
