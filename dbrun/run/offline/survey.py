"""What a spec asks for of its present rows: every request, offline, and whether it is answered.

Rows are processed as in a replay, so that requests of later steps are told wherever the journal
holds the answers that they build on. Nothing is sent or written.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from itertools import count
from typing import cast

from ...adapters.base import Adapter
from ...client.journal import Journal
from ...client.waiting import blocking
from ...errors import EndpointError, Unanswered, UserError
from ...frozen import frozen, mutable
from ...spec.model import Spec
from ...types import Failure, Json, Record, Usage
from ..asking.asker import Asker, Question, Reply
from ..asking.counters import Counters
from ..opening import Opened, Surroundings, opened
from ..plugins import create_source
from ..processing import make_scores
from ..processor import Processor, Story
from ..rows.feeding import feed
from ..rows.items import Item, Selection
from ..steps import Step

MOST_NAMED = 20

Watch = Callable[[int], None]
"""Called now and then with the number of rows that were looked at."""

_WATCHED = 500  # rows from call to call
_KEY_DIGITS = 16


def unwatched(rows: int) -> None:
    """A `Watch` of nobody's."""


def short_key(key: str) -> int:
    """The first 64 bits of a request key: what sets of a million keys hold of each."""
    return int(key[:_KEY_DIGITS], 16)


@frozen
class Asked:
    """One request of the row *id*, in step number *step*.

    *turn* counts the questions that the step asks for this row, from 0: after it come those that
    `response_schema.reask` asks. *answered* tells whether the journal holds the answer, and
    *usage* the tokens that it told.
    """

    id: str
    step: int
    turn: int
    key: str
    body: Json
    answered: bool
    usage: Usage | None = None


@mutable
class Trouble:
    """Things of which something is the matter: how many, and the first of them in words."""

    count: int = 0
    named: list[str] = field(default_factory=list)

    def add(self, said: str) -> None:
        """Count one more."""
        self.count += 1
        if len(self.named) < MOST_NAMED:
            self.named.append(said)

    def join(self, other: Trouble) -> None:
        """Count all that *other* has counted."""
        self.count += other.count
        self.named += other.named[: MOST_NAMED - len(self.named)]


class Survey:
    """The requests of a spec's rows.

    After `asked` has come to its end, *rows* tells how many items there were, *unrendered* those
    without a request because a template or a transform failed on them, and *unfinished* those
    whose later steps cannot be told, because an earlier one has no answer or a bad one.
    """

    def __init__(
        self, spec: Spec, around: Surroundings, parts: Opened, watch: Watch = unwatched
    ) -> None:
        self.spec = spec
        self.rows = 0
        self.unrendered = Trouble()
        self.unfinished = Trouble()
        self._around = around
        self._parts = parts
        self._watch = watch
        self._noted: list[tuple[int, Question, bool, Usage | None]] = []
        numbers = count()
        self._branches = [self._branch(branch, numbers) for branch in parts.branches]

    def _branch(self, parts: Opened, numbers: Iterator[int]) -> Opened:
        """The parts of one variant, with askers that note what they are asked."""
        steps = tuple(self._noting(step, next(numbers)) for step in parts.steps)
        scores = tuple(
            score
            if score.judge is None
            else replace(score, judge=self._noting(score.judge, next(numbers)))
            for score in parts.scores
        )
        return replace(parts, steps=steps, scores=scores, variants=())

    def _noting(self, step: Step, number: int) -> Step:
        # To a processor an asker is whatever answers questions.
        return replace(step, asker=cast(Asker, _Noting(step.asker, number, self._noted)))

    @property
    def adapters(self) -> tuple[Adapter, ...]:
        """The adapter of each step, then of each judge; of one variant after the other."""
        return tuple(
            step.asker.adapter
            for branch in self._branches
            for step in (*branch.steps, *_judges(branch))
        )

    @property
    def asks_in_turn(self) -> bool:
        """Whether an answer may bring further requests: those of a later step, of a judge, or a
        reask."""
        return any(_asks_in_turn(branch) for branch in self._branches)

    def asked(self, selection: Selection = Selection()) -> Iterator[Asked]:  # noqa: B008 - frozen
        """Every request of every row that *selection* takes, in order; can be called again.

        Raises:
            SourceError: the rows cannot be read.
        """
        self.rows, self.unrendered, self.unfinished = 0, Trouble(), Trouble()
        for branch in self._branches:
            yield from self._asked_of(branch, selection)

    def _asked_of(self, parts: Opened, selection: Selection) -> Iterator[Asked]:
        spec = parts.spec
        source = create_source(spec.source, parts.context, self._around.registry)
        processor = Processor(
            parts.steps,
            variables=spec.vars,
            images_folder=source.folder,
            send=False,
            scores=make_scores(parts, spec.vars, images_folder=source.folder, send=False),
        )
        for item in feed(spec, parts, source, selection=selection):
            self.rows += 1
            if self.rows % _WATCHED == 0:
                self._watch(self.rows)
            self._note(processor, parts, item)
            turns: Counter[int] = Counter()
            for step, question, answered, usage in self._noted:
                yield Asked(
                    id=item.id,
                    step=step,
                    turn=turns[step],
                    key=question.key,
                    body=question.body,
                    answered=answered,
                    usage=usage,
                )
                turns[step] += 1
            self._noted.clear()

    def _note(self, processor: Processor, parts: Opened, item: Item) -> None:
        """Have the requests of *item* noted, and what keeps it from making any, or more."""
        if _asks_in_turn(parts):
            (record,) = blocking(processor.process([item]))
            if record.failure is not None:
                self._judge(parts, record)
            return
        # Nothing hangs on the answer to the one request: nothing need be made of it.
        step, story = parts.steps[0], Story(item=item, failure=item.failure)
        asking = processor.compose(step, story) if story.is_open else None
        if asking is not None:
            blocking(step.asker.ask([asking.question]))
        elif story.failure is not None:
            self.unrendered.add(_said(item.id, story.failure))

    def _judge(self, parts: Opened, record: Record) -> None:
        failure = record.failure
        assert failure is not None
        # What was asked last is a step's result, unless it is that step which failed.
        results = record.steps.values()
        if record.last is None or any(result is record.last for result in results):
            self.unrendered.add(_said(record.id, failure))
        elif len(record.steps) < len(parts.steps) - 1 or _judges(parts):
            self.unfinished.add(_said(record.id, failure))


def _judges(parts: Opened) -> list[Step]:
    return [score.judge for score in parts.scores if score.judge is not None]


def _asks_in_turn(parts: Opened) -> bool:
    several = len(parts.steps) > 1 or bool(_judges(parts))
    return several or any(step.reasks for step in parts.steps)


def _said(row: str, failure: Failure) -> str:
    where = f" ({failure.where})" if failure.where else ""
    return f"row {row}: {failure.kind}: {failure.message}{where}"


def is_read_again(spec: Spec) -> bool:
    """Whether the rows of *spec* can be read more than once."""
    return spec.source.options.get("path") != "-"


@contextmanager
def surveying(
    spec: Spec, around: Surroundings, journal: Journal, watch: Watch = unwatched
) -> Iterator[Survey]:
    """The survey of *spec*, its endpoints known from *journal* and the environment.

    Raises:
        UserError: what only the endpoint could tell is not remembered, or the rows come from
            where they cannot be read again.
    """
    if not is_read_again(spec):
        raise UserError(
            f"{spec.file}: the rows come from standard input, so what they ask for is not known",
            "write them to a file and add --set source.path=FILE",
        )
    around = replace(around, offline=True)
    with opened(
        spec, around, journal=journal, counters=Counters(), halt=threading.Event()
    ) as parts:
        yield Survey(spec, around, parts, watch)


class _Noting:
    """Asks as another asker does, and notes each question with whether it was answered."""

    def __init__(
        self, asker: Asker, step: int, noted: list[tuple[int, Question, bool, Usage | None]]
    ) -> None:
        self.adapter = asker.adapter
        self._asker = asker
        self._step = step
        self._noted = noted

    async def ask(self, questions: Sequence[Question]) -> list[Reply | EndpointError | Unanswered]:
        replies = await self._asker.ask(questions)
        for question, reply in zip(questions, replies, strict=True):
            usage = reply.response.usage if isinstance(reply, Reply) else None
            answered = not isinstance(reply, Unanswered)
            self._noted.append((self._step, question, answered, usage))
        return replies
