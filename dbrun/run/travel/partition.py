"""One partition's part of a run: rows in, records out. Plain Python, wherever it runs.

A partition opens the journal itself and keeps every answer there at once, in a segment of its
own: whoever takes the partition up again, on whatever machine, finds them. What it sends stays
within its share of the limits.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, TypeAlias, cast

from ...client.journal import Journal
from ...clock import Clock
from ...errors import EndpointError, Interrupted, Unanswered
from ...frozen import frozen
from ...sinks.base import encode_line
from ...types import Json, Record
from ..asking.asker import Asker, Question, Reply
from ..asking.counters import Counters
from ..asking.shares import divide_spec
from ..asking.spending import Purse
from ..executor import Executor
from ..inline import Inline
from ..keeping.reports import PartTally, report_of
from ..opening import Opened, Surroundings, opened
from ..pipeline import Pipeline
from ..processing import make_scores
from ..processor import Processor, Story
from ..rows.items import Item
from ..steps import Step
from .dealing import stages
from .parcels import packed, unpacked

Frame = Mapping[str, Sequence[Any]]
"""Columns by name, all of one length: a batch of rows."""

_COLUMNS = ("index", "id", "result", "record", "key", "item")
_FRAME = 256  # rows of a frame that is given
_Done: TypeAlias = "tuple[Item, Record, str | None]"


@frozen
class Share:
    """What a partition does: it is number *part* of *parts*.

    It takes its rows through the first *steps* steps, or judges after them (None: all there are).
    *mode* and *since* are those of the journal and of `Processor`; *images_folder* is the source's
    folder.
    """

    part: int = 0
    parts: int = 1
    steps: int | None = None
    mode: str = "reuse"
    since: int = 0
    images_folder: str | None = None
    grace: float = 30.0
    look_up: float = 1.0


def run_partition(
    pipeline: Pipeline,
    share: Share,
    frames: Iterable[Frame],
    *,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    stopped: Callable[[], bool] = lambda: False,
    watch: Callable[[Mapping[str, Json]], None] = lambda report: None,
    purse: Purse | None = None,
) -> Iterator[Frame]:
    """Process the items of *frames* (column `item`, as `packed`) and give their records.

    A frame that is given has the columns `index`, `id`, `result`, which is a line of the results
    file, and `record`, the same whole. A row that has further steps to go has None there, but
    `key`, that of its next request ("" if it makes none), and `item`, to be handed on.

    Args:
        environ: where credentials are looked up; the process's environment unless given.
        stopped: asked every `share.look_up` seconds; once true, what is in flight is finished.
        watch: called as often with what was counted so far, and at the end.
        purse: what it may spend, if that is limited.

    Raises:
        RunError: no row can succeed.
        Interrupted: *stopped* became true before all was done.
    """
    clock = clock or Clock()
    spec = divide_spec(pipeline.spec, share.parts, share.part, pipeline.registry)
    around = Surroundings(
        environ=os.environ if environ is None else environ, registry=pipeline.registry, clock=clock
    )
    halt, counters, tally = threading.Event(), Counters(), PartTally()
    with ExitStack() as stack:
        journal = stack.enter_context(
            Journal.open(
                spec.journal.path,
                mode=share.mode,
                clock=clock,
                publish_every=spec.journal.publish_every,
            )
        )
        parts = stack.enter_context(
            opened(spec, around, journal=journal, counters=counters, halt=halt, purse=purse)
        )
        work = _Work(parts, share, counters)
        executor: Executor[Item, _Done] = Executor(
            work.process,
            (unpacked(line) for frame in frames for line in frame["item"]),
            workers=parts.calls_at_once,
            window=spec.limits.window,
            group=work.group,
            may_wait=False,
            halt=halt,
            grace=share.grace,
        )
        looked = clock.now()

        def tick() -> None:
            nonlocal looked
            now = clock.now()
            if now - looked >= share.look_up:
                looked = now
                journal.sync()
                watch(report_of(tally, counters, parts.askers))
                if stopped() and not halt.is_set():
                    executor.interrupt(Interrupted("stopped"))

        made = _Frame()
        try:
            for item, record, key in executor.run(tick):
                if key is None:
                    tally.add(record)
                    line = encode_line(record.to_json(spec.sink.add, spec.sink.omit)).decode()
                    made.add(index=record.index, id=record.id, result=line, record=record)
                else:
                    made.add(index=record.index, id=record.id, key=key, item=packed(item))
                if len(made) >= _FRAME:
                    yield made.take()
            yield made.take()
        finally:
            watch(report_of(tally, counters, parts.askers))


class _Frame:
    """A frame in the making."""

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}

    def __len__(self) -> int:
        return len(self._columns["index"])

    def add(self, **values: Any) -> None:
        """Add a row; what is not given is None."""
        for name, column in self._columns.items():
            column.append(values.get(name))

    def take(self) -> Frame:
        """The frame; another one is begun."""
        made, self._columns = self._columns, {name: [] for name in _COLUMNS}
        return made


class _Work:
    """An open pipeline that stops after some of its steps: of each variant, if there are any."""

    def __init__(self, parts: Opened, share: Share, counters: Counters) -> None:
        self._branches = {
            branch.name: _Branch(branch, share, counters) for branch in parts.branches
        }

    @property
    def group(self) -> int:
        """How many items are best processed together: a batch for each variant."""
        largest = max(branch.group for branch in self._branches.values())
        return largest * len(self._branches) if largest > 1 else 1

    async def process(self, items: Sequence[Item]) -> list[_Done]:
        """Each item with its record, and the key of its next request (None: there is none)."""
        done: dict[int, _Done] = {}
        for name, branch in self._branches.items():
            own = [item for item in items if item.variant == name]
            if own:
                done.update((one[0].index, one) for one in await branch.process(own))
        return [done[item.index] for item in items]


class _Branch:
    """The steps of one variant, or all there are, then its judges: as many of them as are due."""

    def __init__(self, parts: Opened, share: Share, counters: Counters) -> None:
        steps, variables = parts.steps, parts.spec.vars
        whole = stages(parts.spec, parts)
        due = whole if share.steps is None else min(share.steps, whole)
        self._is_stepwise = len(steps) > 1
        self._is_last = due == whole

        def recalling(step: Step) -> Step:
            # What earlier partitions have had answered is looked up again: that is no reuse.
            return replace(step, asker=cast(Asker, _Recalling(step.asker, counters)))

        known = max(0, due - 1)
        self._whole = Processor(
            steps, variables=variables, images_folder=share.images_folder, since=share.since
        )
        self._processor = Processor(
            (*map(recalling, steps[:known]), *steps[known:due]),
            variables=variables,
            images_folder=share.images_folder,
            since=share.since,
        )
        self._next = steps[due] if due < len(steps) else None
        judged = due - len(steps)
        """Judges that are due, as far as rows are dealt for each."""
        places = [place for place, score in enumerate(parts.scores) if score.judge is not None]
        scores = list(parts.scores)
        for place in places[: max(0, judged - 1)]:
            judge = scores[place].judge
            assert judge is not None
            scores[place] = replace(scores[place], judge=recalling(judge))
        self._scores = make_scores(
            replace(parts, scores=tuple(scores)),
            variables,
            images_folder=share.images_folder,
            since=share.since,
        )
        self._judge = judged - 1 if judged > 0 and not self._is_last else None
        self._next_judge = judged if judged >= 0 and not self._is_last else None
        self._inline = Inline()

    @property
    def group(self) -> int:
        """How many items are best processed together."""
        return self._processor.group

    async def process(self, items: Sequence[Item]) -> list[_Done]:
        """Each item with its record, and the key of its next request (None: there is none)."""
        done: list[_Done] = []
        records = await self._processor.process(items)
        for item, record in zip(items, records, strict=True):
            if self._is_stepwise:
                record = replace(record, stepwise=True)
            key = await self._next_key(item, record)
            if self._is_last and self._scores is not None:
                (record,) = await self._scores.judged([item], [record])
            done.append((item, record, key))
        return done

    async def _next_key(self, item: Item, record: Record) -> str | None:
        if self._next is not None:
            if record.failure is not None or item.dropped:
                return None
            return await self._key(self._next, Story(item=item, results=dict(record.steps)))
        if self._next_judge is None or self._scores is None or record.status != "ok":
            return None
        if self._judge is not None:
            await self._scores.ask(self._judge, item, record)
        return self._scores.key(self._next_judge, item, record)

    async def _key(self, step: Step, story: Story) -> str:
        asking = await self._inline.call(lambda: self._whole.compose(step, story))
        # Where there is none, the next partition finds out the same and says so.
        return asking.question.key if asking is not None else ""


class _Recalling:
    """Asks for what an earlier partition has had answered, without counting it once more."""

    def __init__(self, asker: Asker, counters: Counters) -> None:
        self.adapter = asker.adapter
        self._asker = asker
        self._counters = counters

    async def ask(self, questions: Sequence[Question]) -> list[Reply | EndpointError | Unanswered]:
        replies = await self._asker.ask(questions)
        for reply in replies:
            if isinstance(reply, Reply) and reply.reused:
                self._counters.reused -= 1
                if reply.response.model is not None:
                    self._asker.models[reply.response.model] -= 1
                    self._asker.reused[reply.response.model] -= 1
        return replies
