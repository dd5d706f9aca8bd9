"""The words of dbrun: small frozen values made of JSON-shaped parts.

Every one pickles and prints. Names follow the field's usage: a *request* is what is asked,
whatever the wire format; a *response* is what came back, in common terms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from operator import attrgetter
from typing import Any

from .frozen import frozen, mutable

Json = Any
"""A value that JSON can hold: None, bool, int, float, str, list or dict with string keys."""


class JsonText(bytes):
    """Bytes that are known to be one JSON value on one line: they were parsed, to the letter."""

    __slots__ = ()


FINISH_REASONS = ("stop", "length", "content_filter", "tool_calls", "unknown")
"""The closed set into which every wire's own spelling is translated."""

USAGE_FIELDS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_input_tokens",
    "reasoning_tokens",
)


@frozen
class Mark:
    """A place in a file: 1-based *line* and *column*; *file* as a person would write it."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = Mark(file="<python>")
"""The place of what no file says."""


@frozen
class Problem:
    """One thing that is wrong (or, for lints, unwise) in a pipeline file.

    *where* is the place, *path* the dotted path of the value (empty for the whole file),
    *message* what is wrong, *hint* what to do, *length* how many characters to underline.
    What a *secret* problem underlines must not be shown.
    """

    where: Mark
    path: str
    message: str
    hint: str = ""
    length: int = 1
    secret: bool = False

    def __str__(self) -> str:
        said = f"{self.path}: {self.message}" if self.path else self.message
        return f"{self.where}: {said}" + (f"; {self.hint}" if self.hint else "")


@frozen
class Row:
    """One input: *values* by column, *id* that identifies it, *index* in the source from 0."""

    id: str
    index: int
    values: Mapping[str, Json]


@frozen
class Usage:
    """Token counts as the endpoint told them; what it did not tell is None."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_input_tokens: int | None = None
    reasoning_tokens: int | None = None

    def __add__(self, other: Usage) -> Usage:
        total = UsageSum()
        total.add(self)
        total.add(other)
        return total.usage

    def to_json(self) -> dict[str, int]:
        """The known counts, unknown ones absent."""
        return {name: count for name, count in _counts_of(self) if count is not None}


_told = attrgetter(*USAGE_FIELDS)


def _counts_of(usage: Usage) -> Iterator[tuple[str, int | None]]:
    return zip(USAGE_FIELDS, _told(usage), strict=True)


class UsageSum:
    """Token counts added up in place; what no part told stays unknown."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, usage: Usage) -> None:
        """Add the known counts of *usage*."""
        counts = self._counts
        for name, count in _counts_of(usage):
            if count is not None:
                counts[name] = counts.get(name, 0) + count

    @property
    def usage(self) -> Usage:
        """The sum so far."""
        return Usage(**self._counts)

    def to_json(self) -> dict[str, int]:
        """The known counts, unknown ones absent."""
        return self.usage.to_json()


@frozen
class Response:
    """What an endpoint answered, in common terms.

    *value* is the text of the answer; for custom models and driver apps any JSON value.
    *finish_reason* is one of `FINISH_REASONS`, or None where the endpoint does not tell.
    *body* is the whole answer as it would look had the request been sent alone.
    *model* names the served model or version where the endpoint tells it.
    """

    value: Json
    finish_reason: str | None = None
    usage: Usage | None = None
    body: Json = None
    model: str | None = None


@frozen
class Failure:
    """Why a row has no output. *kind* is the record's `error.class`."""

    kind: str
    message: str
    status: int | None = None
    retryable: bool = False
    where: str | None = None

    def to_json(self) -> dict[str, Json]:
        """The `error` field of a record; unknown parts absent."""
        said: dict[str, Json] = {"class": self.kind, "message": self.message}
        if self.status is not None:
            said["status"] = self.status
        said["retryable"] = self.retryable
        if self.where:
            said["where"] = self.where
        return said


@frozen
class StepResult:
    """What one step of a pipeline made of a row; `output` is null when the step was skipped."""

    output: Json
    finish_reason: str | None = None
    usage: Usage | None = None
    cost: float | None = None
    key: str | None = None
    text: str | None = None
    raw: Json = None
    request: Json = None
    skipped: bool = False


@frozen
class Score:
    """One judgement of a record: its *value* is a number or a boolean, and None if it failed.

    *explanation* says why it is what it is, or why it failed.
    """

    value: float | bool | None
    explanation: str | None = None

    def to_json(self) -> dict[str, Json]:
        """What a record holds under the score's name."""
        said: dict[str, Json] = {"value": self.value}
        if self.explanation is not None:
            said["explanation"] = self.explanation
        return said


@mutable
class Timing:
    """Seconds that a record took (volatile: written only when the sink adds `timing`)."""

    latency: float = 0.0
    attempts: int = 0
    reused: bool = True


RECORD_FIELDS = (
    "id",
    "status",
    "output",
    "variant",
    "repeat",
    "finish_reason",
    "usage",
    "cost",
    "error",
    "row",
    "key",
    "scores",
    "steps",
)
"""The fields of a line of the results file in their order; what a record has none of is absent."""

FIELDS_ON_REQUEST = frozenset({"index", "text", "raw", "request", "timing"})
"""Volatile or bulky fields, which a line has only where the sink adds them."""


@frozen
class Record:
    """One line of the results file. `to_json` gives its fields in their order.

    *steps* are the results of the steps that were reached; *stepwise* says that the pipeline has
    more than one, so that the line shows them. *last* is the step that was asked last. *scores*
    are the judgements by name; None where there are none to make.
    """

    id: str
    index: int
    status: str
    row: Mapping[str, Json]
    output: Json = None
    repeat: int | None = None
    failure: Failure | None = None
    steps: Mapping[str, StepResult] = field(default_factory=dict)
    stepwise: bool = False
    last: StepResult | None = None
    timing: Timing | None = None
    variant: str | None = None
    scores: Mapping[str, Score] | None = None

    def to_json(
        self, add: frozenset[str] = frozenset(), omit: frozenset[str] = frozenset()
    ) -> dict[str, Json]:
        """The record as a mapping, fields in the order of the results file.

        *add* names fields to include of `FIELDS_ON_REQUEST`, *omit* fields to leave out.
        """
        last = self.last
        said: dict[str, Json] = {"id": self.id, "status": self.status, "output": self.output}
        if self.variant is not None:
            said["variant"] = self.variant
        if self.repeat is not None:
            said["repeat"] = self.repeat
        if last is not None and last.finish_reason is not None:
            said["finish_reason"] = last.finish_reason
        if (usage := self.usage) is not None:
            said["usage"] = usage.to_json()
        if (cost := self.cost) is not None:
            said["cost"] = cost
        if self.failure is not None:
            said["error"] = self.failure.to_json()
        said["row"] = self.row
        if last is not None and last.key is not None:
            said["key"] = last.key
        if self.scores is not None:
            said["scores"] = {name: score.to_json() for name, score in self.scores.items()}
        if self.stepwise:
            said["steps"] = {name: _step_to_json(step) for name, step in self.steps.items()}
        if add:
            self._add_fields(said, add)
        for name in omit:
            said.pop(name, None)
        return said

    @property
    def usage(self) -> Usage | None:
        """The usage of all steps together; None if no endpoint told any."""
        if not self.stepwise:
            return self.last.usage if self.last is not None else None
        total: Usage | None = None
        for step in self._asked():
            if step.usage is not None:
                total = step.usage if total is None else total + step.usage
        return total

    @property
    def cost(self) -> float | None:
        """What the answers of all steps cost, in the price's currency; None without a price."""
        if not self.stepwise:
            return self.last.cost if self.last is not None else None
        costs = [step.cost for step in self._asked() if step.cost is not None]
        return round(sum(costs), 9) if costs else None

    def _asked(self) -> Sequence[StepResult]:
        last = self.last
        asked = list(self.steps.values())
        if last is not None and all(step is not last for step in asked):
            asked.append(last)  # a step that was answered and failed all the same
        return asked

    def _add_fields(self, said: dict[str, Json], add: frozenset[str]) -> None:
        last = self.last
        if "index" in add:
            said["index"] = self.index
        if "text" in add:
            said["text"] = last.text if last else None
        if "raw" in add:
            said["raw"] = last.raw if last else None
        if "request" in add:
            said["request"] = last.request if last else None
        if "timing" in add and self.timing is not None:
            said["timing"] = {
                "latency": round(self.timing.latency, 3),
                "attempts": self.timing.attempts,
                "reused": self.timing.reused,
            }


def _step_to_json(step: StepResult) -> dict[str, Json]:
    said: dict[str, Json] = {"output": step.output}
    if step.finish_reason is not None:
        said["finish_reason"] = step.finish_reason
    if step.usage is not None:
        said["usage"] = step.usage.to_json()
    if step.key is not None:
        said["key"] = step.key
    return said
