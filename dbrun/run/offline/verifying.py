"""Whether results on disk are what spec, rows and journal give; nothing is sent or written."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ...canonical import digest
from ...context import Context
from ...errors import UserError
from ...registry import Registry
from ...spec.model import Spec
from ...types import Json, Record
from ..judging.measures import is_unanswered
from ..manifest import unmet_path
from ..opening import Surroundings
from ..plugins import create_sink
from ..rows.pairing import Pair, pairs
from ..travel.away import fetch_results
from .replaying import replayed

MOST_NAMED = 20

_CALLS_FAILED = frozenset(
    {
        "rate_limited",
        "unavailable",
        "timeout",
        "rejected",
        "context_length",
        "content_filter",
        "malformed",
    }
)
"""Error classes of calls that brought no answer: the journal, which holds answers, cannot tell."""


_ASKED = ("id", "variant", "repeat", "row", "key", "status")


@dataclass(slots=True, kw_only=True)
class Verification:
    """What comparing found: *records* compared, *unchecked* of them failed calls, and by what is
    wrong (`missing`, `extra`, `different`, `unanswered`) how many ids and the first of them."""

    records: int = 0
    unchecked: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    named: list[tuple[str, str]] = field(default_factory=list)
    moved: bool = False

    @property
    def agrees(self) -> bool:
        """Whether everything on disk is what it should be."""
        return not self.counts and not self.moved

    def found(self, what: str, record_id: str) -> None:
        """Count one wrong record, and name it if it is one of the first."""
        self.counts[what] += 1
        if len(self.named) < MOST_NAMED:
            self.named.append((what, record_id))


def verify_spec(spec: Spec, around: Surroundings) -> Verification:
    """Compare the results on disk with what *spec*, its rows and its journal give.

    Raises:
        UserError: there are no results, or no plugin reads their format.
        SourceError: rows or results cannot be read.
    """
    path = spec.sink.path
    fetch_results(path, around)
    if not os.path.exists(path):
        unmet = unmet_path(path)
        hint = f"run: dbrun {spec.file}"
        if spec.sink.publish == "if_met" and os.path.exists(unmet):
            hint = f"gates were not met, so they are in {unmet}: mend that, and run again"
        raise UserError(f"{path}: there are no results to verify", hint)
    verification = Verification()
    expected, on_disk = _Order(), _Order()
    with replayed(spec, around) as records, tempfile.TemporaryDirectory() as folder:
        wanted = _as_read(records, spec, around.registry, folder)
        found = read_records(path, spec.sink.kind, around.registry)
        for pair in pairs(expected.note(wanted), on_disk.note(found)):
            _judge(pair, verification)
    verification.moved = not verification.counts and expected.digest != on_disk.digest
    return verification


def read_records(path: str, kind: str, registry: Registry) -> Iterator[Mapping[str, Json]]:
    """The records of a results file, one after another, read by the source of its format.

    Raises:
        SourceError: they cannot be read.
        PluginError: no source reads the format.
    """
    options = {"path": os.path.abspath(path)}
    source = registry.get("sources", kind).create(options, Context())
    return (values for _, values in source.rows())


@dataclass(slots=True)
class _Essence:
    """What is compared of a record: digests of all of it and, of one that failed, of what was
    asked for which row."""

    id: str
    whole: str
    error: str | None
    asked: str | None


class _Order:
    """Notes the keys of a sequence as it passes by."""

    def __init__(self) -> None:
        self._keys = hashlib.sha256()

    def note(self, records: Iterable[Mapping[str, Json]]) -> Iterator[tuple[Hashable, _Essence]]:
        """Each record's key and essence."""
        for record in records:
            key = (str(record.get("id")), record.get("variant"), record.get("repeat"))
            self._keys.update(repr(key).encode("utf-8", "backslashreplace"))
            yield key, _essence(record)

    @property
    def digest(self) -> bytes:
        """What identifies the order so far."""
        return self._keys.digest()


def _essence(record: Mapping[str, Json]) -> _Essence:
    # How long a call took is told where it was made; a replay makes none.
    steady = {name: value for name, value in record.items() if name != "timing"}
    error = record.get("error")
    failed = isinstance(error, Mapping)
    return _Essence(
        id=str(record.get("id")),
        whole=digest(steady),
        error=_error_of(record),
        asked=digest([record.get(name) for name in _ASKED]) if failed else None,
    )


def _error_of(record: Mapping[str, Json]) -> str | None:
    """The class of a record's error; that its judge has no answer counts as one here."""
    error = record.get("error")
    if isinstance(error, Mapping):
        return str(error.get("class"))
    scores = record.get("scores")
    judged = scores.values() if isinstance(scores, Mapping) else ()
    return "unanswered" if any(is_unanswered(one.get("explanation")) for one in judged) else None


def _judge(pair: Pair[_Essence], verification: Verification) -> None:
    wanted, found = pair.left, pair.right
    if wanted is None or found is None:
        essence = wanted or found
        assert essence is not None
        verification.found("extra" if wanted is None else "missing", essence.id)
        return
    verification.records += 1
    if wanted.whole == found.whole:
        return
    if wanted.error != "unanswered":
        verification.found("different", wanted.id)
    elif found.error in _CALLS_FAILED and wanted.asked == found.asked:
        verification.unchecked += 1
    else:
        verification.found("unanswered", wanted.id)


def _as_read(
    records: Iterator[Record], spec: Spec, registry: Registry, folder: str
) -> Iterator[Mapping[str, Json]]:
    """*records* as they would be read from a results file of the spec's format."""
    if spec.sink.kind == "jsonl":
        return (record.to_json(spec.sink.add, spec.sink.omit) for record in records)
    # What a format makes of a record is best known by writing and reading it.
    path = os.path.join(folder, os.path.basename(spec.sink.path))
    sink = create_sink(spec.sink, path, None, registry)
    sink.open()
    try:
        for record in records:
            sink.write(record)
        sink.commit()
    finally:
        sink.close()
    return read_records(path, spec.sink.kind, registry)
