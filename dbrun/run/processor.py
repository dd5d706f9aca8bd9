"""An open pipeline: `process(items)` tells each item's whole story and never raises for one.

    row ─ templates ─▶ request ─ input ─▶ body ─ key ─▶ answer ─ cut, output, schema ─▶ output

once for each step; trouble with a row at any stage becomes its record's `error`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace

from ..errors import InvalidOutput, Rejected, RowError
from ..frozen import mutable
from ..spec.templates import scope
from ..types import Failure, Json, Record, Response, StepResult, Timing, Usage
from ..values import plain
from .asking.asker import Question, Reply
from .inline import Inline
from .judging.scoring import Scores
from .outputs import cut, parse_json, stop_of
from .rows.items import Item
from .steps import Step


@mutable
class Story:
    """How far an item has come."""

    item: Item
    results: dict[str, StepResult] = field(default_factory=dict)
    last: StepResult | None = None
    failure: Failure | None = None
    timing: Timing = field(default_factory=Timing)

    @property
    def is_open(self) -> bool:
        """Whether there is anything left to tell."""
        return self.failure is None and not self.item.dropped

    def fail(self, error: RowError, step: Step) -> None:
        """The row ends here."""
        failure = step.discretion.keep(error).failure()
        if failure.where is None and (where := step.place_of(error)) is not None:
            failure = replace(failure, where=where)
        self.failure = failure


@mutable
class Asking:
    """One story's request in one step, and what came of it."""

    story: Story
    fields: Mapping[str, Json]
    sent: Mapping[str, Json]
    question: Question


class Processor:
    """The recipe, open: steps with their endpoints at hand."""

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        variables: Mapping[str, Json],
        images_folder: str | None = None,
        since: int = 0,
        send: bool = True,
        scores: Scores | None = None,
    ) -> None:
        self._steps = steps
        self._scores = scores
        # Only functions of the user's may take their time.
        self._inline = {step.name: Inline() for step in steps if step.has_functions}
        self._variables = variables
        self._images_folder = images_folder
        self._since = since
        self._send = send

    @property
    def calls_users(self) -> bool:
        """Whether functions of the user's are called, which may take their time or never end."""
        return bool(self._inline) or self._scores is not None

    @property
    def group(self) -> int:
        """How many items are best processed together (the largest batch of any step)."""
        return max((step.asker.adapter.batch_size for step in self._steps), default=1)

    async def process(self, items: Sequence[Item]) -> list[Record]:
        """One record for each item, in order.

        Raises:
            RunError: trouble that concerns every row.
            Interrupted: the run was halted.
        """
        stories = []
        for item in items:
            stories.append(Story(item=item, failure=item.failure))
        for step in self._steps:
            inline = self._inline.get(step.name)
            askings = []
            for story in stories:
                if not story.is_open:
                    continue
                if inline is None:
                    asking = self.compose(step, story)
                else:
                    asking = await inline.call(functools.partial(self.compose, step, story))
                if asking is not None:
                    askings.append(asking)
            if askings:
                await self._ask(step, askings)
        stepwise = len(self._steps) > 1
        records = [_record(story, stepwise=stepwise) for story in stories]
        return records if self._scores is None else await self._scores.judged(items, records)

    def compose(self, step: Step, story: Story) -> Asking | None:
        """The request of *story* in *step*; None if it is skipped or failed."""
        values = story.item.values
        seen = self._seen(story)
        try:
            if step.when is not None and not step.when.evaluate(seen):
                story.results[step.name] = StepResult(output=None, skipped=True)
                return None
            fields = step.transform_input(step.fields(seen, self._images_folder), values)
            return self._asking(step, story, fields, seen)
        except RowError as error:
            story.fail(error, step)
            return None

    def _asking(
        self, step: Step, story: Story, fields: Mapping[str, Json], seen: Mapping[str, Json]
    ) -> Asking:
        sent = step.sent(fields)
        body = step.encode(sent, seen)
        try:
            key = step.key(body, story.item)
        except (TypeError, ValueError, RecursionError) as error:
            raise Rejected(
                f"the request cannot be sent as JSON: {_unsendable(body, error)}"
            ) from error
        # A row that failed last time takes answers of this generation only.
        since = story.item.since(key, self._since)
        question = Question(body=body, key=key, since=since, send=self._send)
        return Asking(story=story, fields=fields, sent=sent, question=question)

    async def _ask(self, step: Step, askings: Sequence[Asking]) -> None:
        replies = await step.asker.ask([asking.question for asking in askings])
        for asking, reply in zip(askings, replies, strict=True):
            await self._conclude(step, asking, reply)

    async def _conclude(self, step: Step, asking: Asking, reply: Reply | RowError) -> None:
        """From a reply to the step's result; a wrong output may be asked for again."""
        story = asking.story
        spent: Usage | None = None
        asks_left = step.reasks
        while True:
            try:
                if isinstance(reply, RowError):
                    raise reply
                usage = reply.response.usage
                spent = usage if spent is None else spent + usage if usage else spent
                inline = self._inline.get(step.name)
                if inline is None:
                    result = self._result(step, asking, reply, spent)
                else:
                    conclude = functools.partial(self._result, step, asking, reply, spent)
                    result = await inline.call(conclude)
                break
            except InvalidOutput as error:
                again = None
                if asks_left and isinstance(reply, Reply):
                    again = self._asking_again(step, asking, reply, error)
                if again is None:
                    self._fail(step, asking, error, reply, spent)
                    return
                asks_left -= 1
                asking, reply = again, (await step.asker.ask([again.question]))[0]
            except RowError as error:
                self._fail(step, asking, error, reply, spent)
                return
        story.results[step.name] = result
        story.last = result

    def _asking_again(
        self, step: Step, asking: Asking, reply: Reply, problem: InvalidOutput
    ) -> Asking | None:
        """The request that tells the model what is wrong with its answer; None if there is no
        telling it: then the request is the one that was answered."""
        fields = step.reask(asking.fields, reply.response.value, problem)
        try:
            again = self._asking(step, asking.story, fields, self._seen(asking.story))
        except RowError:
            return None
        return again if again.question.key != asking.question.key else None

    def _seen(self, story: Story) -> dict[str, Json]:
        """What templates see of *story*."""
        done = {name: {"output": result.output} for name, result in story.results.items()}
        return scope(story.item.values, self._variables, done)

    def _result(self, step: Step, asking: Asking, reply: Reply, usage: Usage | None) -> StepResult:
        story, response = asking.story, reply.response
        story.timing.latency += reply.latency
        story.timing.attempts += reply.attempts
        story.timing.reused = story.timing.reused and reply.reused
        stop = stop_of(asking.fields)
        value, finish_reason = response.value, response.finish_reason
        if isinstance(value, str):
            value, was_cut = cut(value, stop)
            finish_reason = "stop" if was_cut else finish_reason
        text = value if isinstance(value, str) else None
        output = step.transform_output(
            value, row=story.item.values, raw=response.body, request=asking.sent
        )
        if text is None and isinstance(output, str):
            output, was_cut = cut(output, stop)
            finish_reason = "stop" if was_cut else finish_reason
        if step.check is not None:
            output = _checked(output, step.check, finish_reason)
        return StepResult(
            output=output,
            finish_reason=finish_reason,
            usage=usage,
            cost=step.cost(usage),
            key=asking.question.key,
            text=text,
            raw=response.body,
            request=asking.question.body,
        )

    def _fail(
        self,
        step: Step,
        asking: Asking,
        error: RowError,
        reply: Reply | RowError,
        usage: Usage | None,
    ) -> None:
        """The row failed after its request was made: keep what is known of the answer."""
        response: Response | None = reply.response if isinstance(reply, Reply) else None
        asking.story.last = StepResult(
            output=None,
            finish_reason=response.finish_reason if response else None,
            usage=usage,
            cost=step.cost(usage),
            key=asking.question.key,
            text=response.value if response and isinstance(response.value, str) else None,
            raw=response.body if response else None,
            request=asking.question.body,
        )
        asking.story.fail(error, step)


def _checked(output: Json, check: Callable[[Json], str | None], finish_reason: str | None) -> Json:
    """*output* as `parse_json` reads it; if it is no JSON for being cut short, that is said
    first."""
    try:
        return parse_json(output, check)
    except InvalidOutput as error:
        if finish_reason != "length" or error.__cause__ is None:  # JSON, but not what is asked for
            raise
        said = f"the answer was cut by max_tokens, so {error.message}"
        raise InvalidOutput(said, error.where) from error


def _unsendable(body: Json, error: Exception) -> str:
    """What in *body* JSON cannot hold, and where."""
    try:
        plain(body)
    except ValueError as found:
        return str(found)
    return str(error)


def _record(story: Story, *, stepwise: bool) -> Record:
    item = story.item
    if story.failure is not None:
        status, output = "error", None
    elif item.dropped or story.last is None:
        status, output = "filtered", None
    else:
        status, output = "ok", story.last.output
    return Record(
        id=item.id,
        index=item.index,
        status=status,
        output=output,
        row=item.values,
        repeat=item.repeat,
        variant=item.variant,
        failure=story.failure,
        steps=story.results,
        stepwise=stepwise,
        last=story.last,
        timing=story.timing,
    )
