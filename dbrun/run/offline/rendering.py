"""The exact requests of a pipeline, offline: what `run` would send, with the key of each.

In a pipeline of several steps, a step's request can be told where the journal holds the
answers of the steps before it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

from ...client.waiting import blocking
from ...frozen import frozen
from ...spec.model import Spec
from ...types import Failure, Json, Record
from ..asking.counters import Counters
from ..opening import Opened, Surroundings, opened
from ..plugins import create_source
from ..processor import Processor, Story
from ..rows.feeding import feed
from ..rows.items import Item, Selection
from ..steps import Step
from ..travel.away import read_journal


@frozen
class Rendered:
    """One request of a row, or the *failure* that kept it from being made.

    *step* is None in a pipeline of one step.
    """

    id: str
    variant: str | None = None
    step: str | None = None
    key: str | None = None
    request: Json = None
    failure: Failure | None = None

    def to_json(self) -> dict[str, Json]:
        """The line that `render` prints."""
        said: dict[str, Json] = {"id": self.id}
        if self.variant is not None:
            said["variant"] = self.variant
        if self.step is not None:
            said["step"] = self.step
        return {**said, "key": self.key, "request": self.request}


def render(spec: Spec, around: Surroundings, selection: Selection) -> Iterator[Rendered]:
    """The requests of the rows that *selection* takes, in order. Nothing is sent or written.

    Raises:
        UserError: what only the endpoint could tell is not remembered from an earlier run.
        SourceError: the rows cannot be read.
    """
    around = replace(around, offline=True)
    journal = read_journal(spec.journal.path, around)
    with (
        journal,
        opened(spec, around, journal=journal, counters=Counters(), halt=threading.Event()) as parts,
    ):
        source = create_source(spec.source, parts.context, around.registry)
        processors = {
            branch.name: Processor(
                branch.steps,
                variables=branch.spec.vars,
                images_folder=source.folder,
                send=False,
            )
            for branch in parts.branches
        }
        branches = {branch.name: branch for branch in parts.branches}
        for item in feed(spec, parts, source, selection=selection):
            if not item.dropped:
                for one in _requests(processors[item.variant], branches[item.variant], item):
                    yield replace(one, variant=item.variant)


def _requests(processor: Processor, parts: Opened, item: Item) -> Iterator[Rendered]:
    steps = parts.steps
    if len(steps) > 1:
        yield from _requests_of_steps(steps, blocking(processor.process([item]))[0])
        return
    story = Story(item=item, failure=item.failure)
    asking = processor.compose(steps[0], story) if story.is_open else None
    if asking is not None:
        yield Rendered(id=item.id, key=asking.question.key, request=asking.question.body)
    elif story.failure is not None:
        yield Rendered(id=item.id, failure=story.failure)


def _requests_of_steps(steps: tuple[Step, ...], record: Record) -> Iterator[Rendered]:
    """The request of each step that was reached, read off the record of a replay."""
    for step in steps:
        result = record.steps.get(step.name)
        if result is None:
            break
        if not result.skipped:
            yield Rendered(id=record.id, step=step.name, key=result.key, request=result.request)
    if record.failure is None:
        return
    if record.failure.kind != "unanswered":
        yield Rendered(id=record.id, failure=record.failure)
    elif record.last is not None:
        # The first request without an answer: what comes after it cannot be known yet.
        yield Rendered(
            id=record.id, step=step.name, key=record.last.key, request=record.last.request
        )
