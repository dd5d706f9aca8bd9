"""Results to files of other tools: records stream through, one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from ..errors import UserError
from ..registry import Registry
from ..report.reading import records as read_records
from ..sinks.base import encode_line
from ..types import Json
from . import lm_eval, openai_batch, promptfoo
from .lines import Line, sound

Write = Callable[[bytes], None]

ENDINGS: Mapping[str, tuple[str, ...]] = {
    "openai-batch": (".jsonl", ".jsonl.gz", ".jsonl.zst"),
    "lm-eval": (".jsonl", ".jsonl.gz", ".jsonl.zst"),
    "promptfoo": (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json"),
    "csv": (".csv", ".csv.gz", ".csv.zst"),
    "parquet": (".parquet",),
}
"""Format → what its files may be called; a new one is called by the first."""

TABLES = ("csv", "parquet")
"""Formats that a sink of the same name writes."""


@dataclass(slots=True, kw_only=True)
class Exported:
    """What was written: *records*, *failed* of them not ok."""

    records: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be written: the *path* of results, the format, one *variant* or all; *target* is
    the column with the expected answer (lm-eval), *whole* wants one document (promptfoo)."""

    path: str
    to: str
    variant: str | None = None
    target: str | None = None
    whole: bool = False


def export(wanted: Wanted, registry: Registry, write: Write) -> Exported:
    """Write results in another format.

    Raises:
        UserError: they are no results, or do not fit the format.
    """
    told = Exported()
    records = _counted(_chosen(wanted, registry), told)
    pieces: Iterator[bytes]
    if wanted.to == "openai-batch":
        pieces = map(openai_batch.to_line, records)
    elif wanted.to == "lm-eval":
        names = lm_eval.score_names(_chosen(wanted, registry))
        pieces = _samples(records, wanted, names)
    elif wanted.to == "promptfoo":
        pieces = promptfoo_pieces(records, wanted.whole)
    else:
        pieces = map(encode_line, records)
    for piece in pieces:
        write(piece)
    if wanted.variant is not None and not told.records:
        raise UserError(
            f"{wanted.path}: no record is of variant '{wanted.variant}'",
            "the summary of the run, and its manifest, name the variants",
        )
    return told


def _chosen(wanted: Wanted, registry: Registry) -> Iterator[Line]:
    for record in read_records(wanted.path, registry):
        if wanted.variant is None or record.get("variant") == wanted.variant:
            yield record if wanted.to in TABLES else sound(record)


def _counted(records: Iterable[Line], told: Exported) -> Iterator[Line]:
    for record in records:
        told.records += 1
        told.failed += record["status"] != "ok"
        yield record


def _samples(records: Iterable[Line], wanted: Wanted, scores: Sequence[str]) -> Iterator[bytes]:
    first: list[Json] = []
    rows = groupby(records, key=lambda record: (record["id"], record.get("variant")))
    for number, ((_, variant), group) in enumerate(rows):
        first = first or [variant]
        if variant != first[0]:
            raise UserError(
                f"{wanted.path}: there are several variants, and samples are those of one model",
                f"choose one, such as --variant '{first[0]}'",
            )
        records_of_row = list(group)
        row = records_of_row[0].get("row")
        if wanted.target is not None and (not isinstance(row, dict) or wanted.target not in row):
            there = ", ".join(row) if isinstance(row, dict) else "no columns"
            raise UserError(
                f"{wanted.path}: the row of {records_of_row[0]['id']!r} has no '{wanted.target}'; "
                f"it has {there}",
                "name another --target-column",
            )
        sample = lm_eval.to_sample(records_of_row, number, target=wanted.target, scores=scores)
        yield encode_line(sample)


def promptfoo_pieces(records: Iterable[Line], whole: bool) -> Iterator[bytes]:
    """Lines of results, or a *whole* document as `promptfoo import` takes it."""
    table = promptfoo.Table()
    if not whole:
        yield from (encode_line(result) for result in map(table.place, records))
        return
    yield b'{"results":{"version":3,"results":[\n'
    for number, result in enumerate(map(table.place, records)):
        yield (b"," if number else b"") + encode_line(result)
    yield b'],"prompts":' + encode_line(table.prompts())
    yield b',"stats":' + encode_line(table.stats())
    yield b'},"config":' + encode_line({"description": "results of dbrun"}) + b"}\n"
