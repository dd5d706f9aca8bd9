"""A pipeline rehearsed on the offline tests of its spec: everything is done but the call.

Rows go through the transforms, templates, wires, checks and steps of a real run; what an
endpoint would send is in the test. Nothing is sent, read or written, and no credentials, model
or network need be there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

from ...adapters.base import Adapter, answer_of, body_of, rehearse
from ...client.journal import Journal
from ...client.waiting import blocking
from ...errors import DbrunError, EndpointError, Unanswered
from ...frozen import frozen
from ...spec.case import LAST, Case
from ...spec.model import EndpointSpec, Spec
from ...types import Failure, Json, Mark, Record, Row
from ..asking.asker import Asker, Question, Reply
from ..discretion import Discretion
from ..judging.matching import Parting, parting
from ..opening import Opened, Surroundings, joined, make_context, open_branch
from ..plugins import create_source
from ..processor import Processor
from ..rows.feeding import expanded
from ..rows.items import Item, row_hash
from ..steps import Step


@frozen
class Mismatch:
    """What did not come as expected: *part* of `response`, `request`, `output` and `error`.

    *where* is the place in the spec. *parting* tells where the values differ, those of *step*
    in a pipeline of several; without one, *said* tells what is wrong.
    """

    part: str
    where: Mark
    said: str = ""
    step: str | None = None
    expected: Json = None
    got: Json = None
    parting: Parting | None = None


@frozen
class Outcome:
    """What became of one test of *spec* (a file), of one *variant* where there is a matrix."""

    spec: str
    case: Case
    variant: str | None
    mismatches: tuple[Mismatch, ...]
    record: Record
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether everything came as expected."""
        return not self.mismatches


class Rehearsal:
    """A spec, open for its tests. *notes* say what was taken for granted.

    Raises:
        UserError: a plug-in is missing, or the spec is wrong in a way that shows only now.
    """

    def __init__(self, spec: Spec, around: Surroundings) -> None:
        self.notes: list[str] = []
        self._spec = spec
        self._around = replace(around, offline=True)
        context, templates = make_context(spec, self._around, _Remembered(spec.journal.path))
        adapters: list[tuple[EndpointSpec, Adapter]] = []

        def silent(endpoint: EndpointSpec) -> Asker:
            adapter = next((made for known, made in adapters if known == endpoint), None)
            if adapter is None:
                kind = self._around.registry.get("adapters", endpoint.adapter)
                adapter = cast(Adapter, kind.create(endpoint, context))
                adapters.append((endpoint, adapter))
                note = rehearse(adapter)
                if note is not None and note not in self.notes:
                    self.notes.append(note)
            # To a processor an asker is whatever answers questions.
            return cast(Asker, Prompter(adapter))

        unscored = [replace(one, scores=()) for one in spec.branches]
        discretion = Discretion(spec, around.environ)
        branches = [
            open_branch(one, silent, around, context, templates, discretion) for one in unscored
        ]
        self._parts = joined(spec, branches)

    def run(self, cases: Sequence[Case]) -> Iterator[Outcome]:
        """What becomes of each of *cases*, for each of the variants that it is about."""
        for case in cases:
            for branch in self._parts.branches:
                if case.variants is None or branch.name in case.variants:
                    yield self._try(case, branch)

    def _try(self, case: Case, parts: Opened) -> Outcome:
        began = time.perf_counter()
        steps = tuple(_prompted(step, case) for step in parts.steps)
        item = self._item(case, parts)
        processor = Processor(
            steps, variables=parts.spec.vars, images_folder=self._images_folder(parts)
        )
        record = blocking(processor.process([item]))[0]
        return Outcome(
            spec=self._spec.file,
            case=case,
            variant=parts.name,
            mismatches=tuple(_mismatches(case, record, steps)),
            record=record,
            seconds=time.perf_counter() - began,
        )

    def _item(self, case: Case, parts: Opened) -> Item:
        """What the pipeline makes of the row; where a transform makes several, the first."""
        named = case.row.get(parts.spec.source.id or "")
        row_id = str(named) if named is not None else row_hash(case.row)
        row = Row(id=row_id, index=0, values=case.row)
        alone = replace(parts, variants=())
        dropped = Item(id=row_id, index=0, values=case.row, dropped=True)
        return next(expanded(iter([row]), alone, repeats=1), dropped)

    def _images_folder(self, parts: Opened) -> str | None:
        """Where images lie that rows name: as far as the source can be told of without its
        libraries."""
        try:
            folder = create_source(self._spec.source, parts.context, self._around.registry).folder
        except DbrunError:
            return parts.spec.folder
        return folder


class Prompter:
    """Answers in place of an endpoint, and notes what was asked."""

    def __init__(self, adapter: Adapter, case: Case | None = None, step: str = "") -> None:
        self.adapter = adapter
        self.asked: list[Json] = []
        self.unsaid: str | None = None
        """Why what the test has is no answer."""
        self._case, self._step = case, step

    async def ask(self, questions: Sequence[Question]) -> list[Reply | EndpointError | Unanswered]:
        """The answer that the test has, for each question."""
        self.asked += [question.body for question in questions]
        return [self._answer() for _ in questions]

    def _answer(self) -> Reply | EndpointError | Unanswered:
        if self._case is None or self._step not in self._case.answers:
            return Unanswered("the test has no answer to this request")
        given = self._case.answers[self._step]
        body = body_of(self.adapter, given) if isinstance(given, str) else given
        if isinstance(given, str) and body is None:
            self.unsaid = "how the endpoint would wrap this text is not known; give the whole body"
            return Unanswered(self.unsaid)
        try:
            response = self.adapter.decode(answer_of(self.adapter, body).body)
        except EndpointError as error:
            return error
        return Reply(response=response, reused=False)


class _Remembered:
    """What a journal remembers of endpoints; it is opened when that is asked for."""

    def __init__(self, path: str) -> None:
        self._path = path

    def recall(self, name: str) -> Json:
        """What was remembered under *name*, or None."""
        with Journal.open(self._path, mode="replay", writable=False) as journal:
            return journal.recall(name)

    def remember(self, name: str, value: Json) -> None:
        """Nothing: a rehearsal finds out nothing."""


def _prompted(step: Step, case: Case) -> Step:
    return replace(step, asker=cast(Asker, Prompter(step.asker.adapter, case, step.name)))


def _mismatches(case: Case, record: Record, steps: Sequence[Step]) -> Iterator[Mismatch]:
    prompters = {step.name: cast(Prompter, step.asker) for step in steps}
    for prompter in prompters.values():
        if prompter.unsaid is not None:
            yield Mismatch(part="response", where=case.mark("response"), said=prompter.unsaid)
            return
    yield from _of_result(case, record)
    asked = {name: prompter.asked[0] for name, prompter in prompters.items() if prompter.asked}
    for name, expected in case.requests.items():
        step = name if name != LAST else next(reversed(asked), LAST)
        said = step if len(steps) > 1 else None
        where = case.mark("request")
        if step not in asked:
            what = f"step '{step}' makes no request" if said else "no request is made"
            if record.failure is None or "error" in case.expect:  # else it was said why
                yield Mismatch(part="request", where=where, said=what, step=said)
            continue
        found = parting(expected, asked[step], part=True)
        if found is not None:
            yield Mismatch(
                part="request",
                where=where,
                step=said,
                expected=expected,
                got=asked[step],
                parting=found,
            )


def _of_result(case: Case, record: Record) -> Iterator[Mismatch]:
    """What is wrong with the output, or with the error."""
    failure = record.failure
    if "error" in case.expect:
        wanted, got = case.expect["error"], told(failure) if failure is not None else None
        if got is None or wanted not in got:
            said = "" if got is not None else f"the row has the output {record.output!r}"
            where = case.mark("error")
            yield Mismatch(part="error", where=where, said=said, expected=wanted, got=got)
        return
    if failure is not None:
        if failure.kind != "unanswered":
            at = f" (at {failure.where})" if failure.where else ""
            yield Mismatch(part="error", where=case.where, said=f"{told(failure)}{at}")
        elif "output" in case.expect:
            said = "given.response is missing: without an answer there is no output"
            if case.answers:
                said = f"given.response has no answer for {failure.where or 'the request'}"
            yield Mismatch(part="response", where=case.where, said=said)
        return
    if "output" in case.expect:
        expected = case.expect["output"]
        found = parting(expected, record.output, part=False)
        if found is not None:
            yield Mismatch(
                part="output",
                where=case.mark("output"),
                expected=expected,
                got=record.output,
                parting=found,
            )


def told(failure: Failure) -> str:
    """What is said of a row that failed: the error's class, a colon, and its message."""
    return f"{failure.kind}: {failure.message}"
