"""Judging records: every score of the pipeline, each on its own; a record stays ok if one fails.

Judges are asked like any step: through the journal, the limits and the tries of their endpoint.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...errors import Rejected, RowError
from ...frozen import frozen
from ...spec.templates import Expression, scope
from ...types import Json, Record, Score
from ..asking.asker import Question, Reply
from ..discretion import Discretion
from ..inline import Inline
from ..outputs import cut, stop_of
from ..rows.items import Item
from ..steps import Step

if TYPE_CHECKING:
    from ...scores.base import Scorer, Subject


@frozen
class OpenScore:
    """A score with everything at hand: what it is *of*, its *scorer*, and the *judge* if it asks
    one."""

    name: str
    of: Expression | None
    scorer: Scorer
    judge: Step | None


class Scores:
    """The scores of an open pipeline. *since* and *send* are as a processor's."""

    def __init__(
        self,
        scores: Sequence[OpenScore],
        *,
        variables: Mapping[str, Json],
        discretion: Discretion,
        images_folder: str | None = None,
        since: int = 0,
        send: bool = True,
    ) -> None:
        self._scores = scores
        self._discretion = discretion
        self.judges = [score for score in scores if score.judge is not None]
        """Those that ask somebody, in their order."""
        self._variables = variables
        self._images_folder = images_folder
        self._since = since
        self._send = send
        # Functions of the user's and plug-ins of others may take their time.
        self._inline = {score.name: Inline() for score in scores}

    async def judged(self, items: Sequence[Item], records: Sequence[Record]) -> list[Record]:
        """*records* with their scores; only those that are ok are judged."""
        judged = []
        for item, record in zip(items, records, strict=True):
            if record.status == "ok":
                record = replace(record, scores=await self._of(item, record))
            judged.append(record)
        return judged

    async def ask(self, number: int, item: Item, record: Record) -> None:
        """Have judge *number* asked about a record that is ok, whatever comes of it."""
        score = self.judges[number]
        await self._one(score, item, self._seen(record), record.to_json())

    def key(self, number: int, item: Item, record: Record) -> str:
        """The key of what judge *number* is asked about a record that is ok; "" if that cannot be
        told."""
        judge = self.judges[number].judge
        assert judge is not None
        try:
            return self._compose(judge, item, self._seen(record))[1].key
        except RowError:  # whoever asks finds out the same, and says so
            return ""

    def _seen(self, record: Record) -> dict[str, Any]:
        done = {name: {"output": result.output} for name, result in record.steps.items()}
        return {**scope(record.row, self._variables, done), "output": record.output}

    async def _of(self, item: Item, record: Record) -> Mapping[str, Score]:
        seen, line = self._seen(record), record.to_json()
        return {score.name: await self._one(score, item, seen, line) for score in self._scores}

    async def _one(
        self, score: OpenScore, item: Item, seen: dict[str, Any], line: Mapping[str, Json]
    ) -> Score:
        try:
            if score.judge is not None:
                return await self._asked(score.judge, score.scorer, item, seen)
            value = seen["output"] if score.of is None else score.of.evaluate(seen)
            subject = _subject(value, seen, line)
            return await self._inline[score.name].call(
                functools.partial(score.scorer.score, subject)
            )
        except RowError as error:
            return failed(self._discretion.keep(error))

    async def _asked(self, judge: Step, scorer: Scorer, item: Item, seen: dict[str, Any]) -> Score:
        fields, question = self._compose(judge, item, seen)
        reply = (await judge.asker.ask([question]))[0]
        if not isinstance(reply, Reply):
            raise reply
        value = reply.response.value
        if isinstance(value, str):
            value, _ = cut(value, stop_of(fields))
        return scorer.score(_subject(value, seen))

    def _compose(
        self, judge: Step, item: Item, seen: dict[str, Any]
    ) -> tuple[Mapping[str, Json], Question]:
        fields = judge.fields(seen, self._images_folder)
        body = judge.encode(judge.sent(fields), seen)
        try:
            key = judge.key(body, item)
        except (TypeError, ValueError, RecursionError) as error:
            raise Rejected(f"the request cannot be sent as JSON: {error}") from error
        since = item.since(key, self._since)
        return fields, Question(body=body, key=key, since=since, send=self._send)


def failed(error: RowError) -> Score:
    """The score of a record that could not be judged."""
    failure = error.failure()
    where = f" ({failure.where})" if failure.where else ""
    return Score(value=None, explanation=f"{failure.kind}: {failure.message}{where}")


def _subject(value: Json, seen: dict[str, Any], line: Mapping[str, Json] | None = None) -> Subject:
    from ...scores.base import Subject  # nobody else needs the room

    return Subject(value=value, scope=seen, record=line or {})
