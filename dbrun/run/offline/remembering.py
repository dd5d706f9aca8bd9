"""A test made of a row and the answers that the journal holds to it; nothing is sent."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from ...adapters.base import Adapter, body_of
from ...client.journal import Journal
from ...client.waiting import blocking
from ...errors import EndpointError, UserError
from ...frozen import frozen
from ...sources.base import Source
from ...spec.case import Case
from ...spec.model import Spec
from ...types import Json, Mark, Record, Row
from ..asking.counters import Counters
from ..opening import Opened, Surroundings, opened
from ..plugins import create_source
from ..processor import Processor
from ..rows.feeding import expanded, selected_rows
from ..rows.items import Item, Selection
from .rehearsal import Rehearsal, told


@frozen
class Remembered:
    """A row, what became of it, and the body of the answer to each step that was asked."""

    row: Row
    record: Record
    variant: str | None
    bodies: Mapping[str, Json]
    texts: Mapping[str, Json]
    """The same, but the text alone where that is all an answer says."""


def make_test(spec: Spec, around: Surroundings, row_id: str, name: str | None) -> dict[str, Json]:
    """An entry of `tests`: the row, the answers there are to it, and what comes of them now.

    Of a matrix it is about the first variant.

    Raises:
        UserError: there is no such row, no answer to it, or another test of this name.
        SourceError: the rows cannot be read.
    """
    taken = {case.name for case in spec.tests}
    if name in taken:
        raise UserError(f"{spec.file}: there is a test named '{name}'", "give another --name")
    found = _remembered(spec, around, row_id)
    name = name or _free_name(f"row {row_id}", taken)
    rehearsal = Rehearsal(spec, around)
    for answers in (found.texts, found.bodies):
        made = _test(found, name, answers)
        case = Case(
            name=name,
            row=found.row.values,
            answers=answers,
            expect=made["expect"],
            variants=(found.variant,) if found.variant is not None else None,
            where=Mark(file=spec.file),
        )
        if all(outcome.passed for outcome in rehearsal.run([case])):
            return made
    raise UserError(
        f"{spec.file}: row {row_id} does not come out the same twice, so it makes no test",
        "make its transforms depend on the row and the answer alone",
    )


def _test(found: Remembered, name: str, answers: Mapping[str, Json]) -> dict[str, Json]:
    given: dict[str, Json] = {"row": dict(found.row.values)}
    if answers:
        stepwise = found.record.stepwise
        given["response"] = dict(answers) if stepwise else next(iter(answers.values()))
    if found.variant is not None:
        given["variants"] = [found.variant]
    failure = found.record.failure
    expect = {"output": found.record.output} if failure is None else {"error": told(failure)}
    return {"name": name, "given": given, "expect": expect}


def _free_name(name: str, taken: set[str]) -> str:
    number = 2
    free = name
    while free in taken:
        free = f"{name} ({number})"
        number += 1
    return free


def _remembered(spec: Spec, around: Surroundings, row_id: str) -> Remembered:
    with _replaying(spec, around) as (parts, journal):
        source = create_source(spec.source, parts.context, around.registry)
        row, item = _found(spec, parts, source, row_id)
        branch = parts.branches[0]
        if item is None:
            dropped = Record(id=row.id, index=0, status="filtered", row=row.values)
            return Remembered(row=row, record=dropped, variant=branch.name, bodies={}, texts={})
        processor = Processor(
            branch.steps,
            variables=branch.spec.vars,
            images_folder=source.folder,
            send=False,
        )
        record = blocking(processor.process([item]))[0]
        if record.failure is not None and record.failure.kind == "unanswered":
            raise UserError(
                f"{spec.file}: the journal holds no answer to row '{row_id}'",
                f"ask for it: dbrun {shlex.quote(spec.file)} --ids {shlex.quote(row_id)}",
            )
        bodies = dict(_bodies(branch, record, journal))
        adapters = {step.name: step.asker.adapter for step in branch.steps}
        texts = {name: _brief(adapters[name], body) for name, body in bodies.items()}
        return Remembered(row=row, record=record, variant=branch.name, bodies=bodies, texts=texts)


def _found(spec: Spec, parts: Opened, source: Source, row_id: str) -> tuple[Row, Item | None]:
    """The row of this id, and the first item that is made of it, if any is."""
    selection = Selection(ids=frozenset({row_id}))
    row = next(selected_rows(spec, parts, source, selection), None)
    if row is None:
        raise UserError(f"{spec.file}: the source has no row '{row_id}'", "check the id")
    item = next(expanded(iter([row]), parts, repeats=1), None)
    if item is not None and row_id not in (row.id, item.id):
        raise UserError(
            f"{spec.file}: a test is about the first of the rows that transforms.row makes",
            f"record '{row.id}'",
        )
    return row, item


@contextmanager
def _replaying(spec: Spec, around: Surroundings) -> Iterator[tuple[Opened, Journal]]:
    around = replace(around, offline=True)
    journal = Journal.open(spec.journal.path, mode="replay", writable=False, clock=around.clock)
    with (
        journal,
        opened(spec, around, journal=journal, counters=Counters(), halt=threading.Event()) as parts,
    ):
        yield parts, journal


def _bodies(parts: Opened, record: Record, journal: Journal) -> Iterator[tuple[str, Json]]:
    """The answer to each step that was asked, also to the one that failed on it."""
    results = {name: one for name, one in record.steps.items() if not one.skipped}
    if record.failure is not None and record.last is not None:
        failed = next((step for step in parts.steps if step.name not in record.steps), None)
        if failed is not None and record.last not in results.values():
            results[failed.name] = record.last
    for name, result in results.items():
        entry = journal.lookup(result.key) if result.key is not None else None
        if entry is not None:
            yield name, entry.body


def _brief(adapter: Adapter, body: Json) -> Json:
    """The text of an answer, if it has one that its endpoint would wrap; else the body."""
    try:
        value = adapter.decode(body).value
    except EndpointError:
        return body
    if not isinstance(value, str) or body_of(adapter, value) is None:
        return body
    return value
