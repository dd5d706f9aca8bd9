"""What a run would do and cost, told beforehand from rows, prompts and journal; nothing is sent.

Every figure is a `Range`. Where the journal holds answers to the same step, their tokens tell how
long the others will be: a tenth of them were shorter than *low*, a tenth longer than *high*. Where
it holds none, a token is taken for four characters of JSON (two for *high*, eight for *low*), and
an answer for as long as `max_tokens` lets it be at the most.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from ..client.journal import Journal
from ..errors import EndpointError, SpendCap
from ..frozen import frozen
from ..spec.model import Price, Spec, StepSpec
from ..types import Usage
from .items import Selection
from .manifest import manifest_path
from .opening import Surroundings
from .recording import read_manifest
from .survey import Asked, Survey, short_key, surveying
from .tokens import CHARACTERS, OUTPUTS, most_tokens, size_of

_SAMPLE = 5000  # answers of a step that are enough to know their lengths
_OLD_SAMPLE = 500  # answers to requests that are not asked for any more
_LONGEST = 1024.0  # tokens of an answer at the most, where nothing tells


@frozen
class Range:
    """A figure that is not known yet: probably between *low* and *high*."""

    low: float
    expected: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(
            low=self.low + other.low,
            expected=self.expected + other.expected,
            high=self.high + other.high,
        )

    def to_json(self) -> dict[str, float]:
        """The three figures."""
        return {
            "low": round(self.low, 6),
            "expected": round(self.expected, 6),
            "high": round(self.high, 6),
        }


_NOTHING = Range(low=0.0, expected=0.0, high=0.0)


@frozen
class Plan:
    """What a run would do: *rows* records, *send* new requests, *reuse* answers there are.

    *input* and *output* are the tokens of the requests to send, *cost* what they cost in
    *currency* (None without a price), *seconds* how long that takes (None where no earlier run
    tells, and no rate does). *failing* are rows on which a template or a transform fails,
    *learnt* the answers from which lengths were learnt.
    """

    rows: int
    failing: int
    send: Range
    reuse: int
    input: Range
    output: Range
    cost: Range | None
    currency: str | None
    seconds: Range | None
    learnt: int


def make_plan(
    spec: Spec,
    around: Surroundings,
    journal: Journal,
    selection: Selection = Selection(),  # noqa: B008 - frozen
) -> Plan:
    """The plan of running *spec* over the rows that *selection* takes.

    Raises:
        UserError: what only the endpoint could tell is not remembered, or the rows cannot be
            read twice.
        SourceError: the rows cannot be read.
    """
    steps = [_StepPlan() for _ in spec.steps]
    seen: set[int] = set()
    reuse = 0
    with surveying(spec, around, journal) as survey:
        for asked in survey.asked(selection):
            key = short_key(asked.key)
            reuse += asked.answered
            steps[asked.step].take(asked, is_new=key not in seen)
            seen.add(key)
        for number, step in enumerate(steps):
            if not step.outputs:
                step.outputs += _old_outputs(journal, survey, number)
        return _summed(spec, survey, steps, reuse)


def check_affordable(plan: Plan, left: float, spent: float) -> None:
    """Refuse a run whose least possible cost exceeds what is *left*.

    Raises:
        SpendCap: it does.
    """
    if plan.cost is not None and plan.cost.low > left:
        before = f", of which {spent:.6g} are spent" if spent else ""
        raise SpendCap(
            f"limits.max_cost does not suffice: the run would cost {plan.cost.low:.4g} "
            f"{plan.currency} at the least, {plan.cost.expected:.4g} probably, and may cost "
            f"{left + spent:g}{before}",
            "raise limits.max_cost, or take fewer rows with --limit",
        )


@dataclass(slots=True)
class _StepPlan:
    """What is known of one step's requests."""

    asked: int = 0  # rows that reached it
    unsent: int = 0
    characters: int = 0  # of the bodies to send
    bounds: list[int] = field(default_factory=list)  # `max_tokens` of those that have it
    sizes: list[float] = field(default_factory=list)  # characters a token, of those answered
    outputs: list[int] = field(default_factory=list)  # tokens, of those answered

    def take(self, asked: Asked, *, is_new: bool) -> None:
        self.asked += asked.turn == 0
        if asked.answered:
            usage = asked.usage
            if usage is not None and len(self.outputs) < _SAMPLE:
                self.outputs.append(usage.output_tokens or 0)
                if usage.input_tokens:
                    self.sizes.append(size_of(asked.body) / usage.input_tokens)
        elif is_new:
            self.unsent += 1
            self.characters += size_of(asked.body)
            if (most := most_tokens(asked.body)) is not None:
                self.bounds.append(most)

    def inputs(self) -> Range:
        low, mean, high = _spread(self.sizes) or (CHARACTERS / 2, CHARACTERS, CHARACTERS * 2)
        size = float(self.characters)
        return Range(low=size / high, expected=size / mean, high=size / low)

    def answers(self) -> Range:
        bounded = float(sum(self.bounds))
        free = self.unsent - len(self.bounds)
        if known := _spread([float(count) for count in self.outputs]):
            low, mean, high = (self.unsent * figure for figure in known)
        else:
            low, high = float(self.unsent), bounded + free * _LONGEST
            mean = sum(min(most, OUTPUTS) for most in self.bounds) + free * OUTPUTS
        most = bounded if not free else high
        return Range(low=min(low, most), expected=min(mean, most), high=min(high, most))


def _summed(spec: Spec, survey: Survey, steps: Sequence[_StepPlan], reuse: int) -> Plan:
    going = survey.rows - survey.unrendered.count
    send, inputs, outputs, cost = _NOTHING, _NOTHING, _NOTHING, _NOTHING
    for wanted, step in zip(spec.steps, steps, strict=True):
        known = Range(low=step.unsent, expected=step.unsent, high=step.unsent)
        more = _yet_to_come(wanted, step, going)
        into, out = step.inputs(), step.answers()
        if more.high:
            usual = step if step.unsent else max(steps, key=lambda one: one.unsent)
            into += _scaled(usual.inputs(), more, usual.unsent)
            out += _scaled(usual.answers(), more, usual.unsent)
        send, inputs, outputs = send + known + more, inputs + into, outputs + out
        if wanted.endpoint.price is not None:
            cost += _priced(wanted.endpoint.price, into, out)
    priced = all(step.endpoint.price is not None for step in spec.steps)
    currencies = {step.endpoint.price.currency for step in spec.steps if step.endpoint.price}
    one = priced and len(currencies) == 1
    return Plan(
        rows=survey.rows,
        failing=survey.unrendered.count,
        send=send,
        reuse=reuse,
        input=inputs,
        output=outputs,
        cost=cost if one else None,
        currency=currencies.pop() if one else None,
        seconds=_seconds(spec, send, inputs, outputs),
        learnt=sum(len(step.outputs) for step in steps),
    )


def _yet_to_come(wanted: StepSpec, step: _StepPlan, going: int) -> Range:
    """Requests that hang on answers of earlier steps; how many, nobody can be sure of."""
    more = float(max(0, going - step.asked))
    if wanted.when is None:
        return Range(low=0.0, expected=more, high=more)
    if not more:
        return _NOTHING
    return Range(low=0.0, expected=more / 2, high=more)


def _scaled(usual: Range, more: Range, of: int) -> Range:
    """*usual* is for *of* requests; the same for *more*."""
    of = max(of, 1)
    return Range(
        low=usual.low / of * more.low,
        expected=usual.expected / of * more.expected,
        high=usual.high / of * more.high,
    )


def _priced(price: Price, inputs: Range, outputs: Range) -> Range:
    def of(into: float, out: float) -> float:
        return (into * price.input_per_million + out * price.output_per_million) / 1e6

    return Range(
        low=of(inputs.low, outputs.low),
        expected=of(inputs.expected, outputs.expected),
        high=of(inputs.high, outputs.high),
    )


def _seconds(spec: Spec, send: Range, inputs: Range, outputs: Range) -> Range | None:
    """How long the requests take: by the latencies of the last run, and by the rates allowed."""
    if not send.high:
        return _NOTHING
    waits = [_by_rates(step, send, inputs, outputs) for step in spec.steps]
    least = max((wait for wait in waits if wait is not None), default=None)
    last = read_manifest(manifest_path(os.fspath(spec.sink.path))) or {}
    latency = last.get("latency") or {}
    if not {"p50", "p90"} <= set(latency):
        return None if least is None else Range(low=least, expected=least, high=2 * least)
    reached = [limit for known in last.get("limits") or () for _, limit, _ in known["history"][-1:]]
    limit = max(reached, default=1) or 1
    usual, slow = float(latency["p50"]), float(latency["p90"])
    floor = least or 0.0
    return Range(
        low=max(floor, send.low * usual / limit),
        expected=max(floor, send.expected * (usual + slow) / 2 / limit),
        high=max(floor * 2, send.high * slow / max(1, limit // 2)),
    )


def _by_rates(step: StepSpec, send: Range, inputs: Range, outputs: Range) -> float | None:
    limits = step.endpoint.limits
    counted = (
        (limits.requests_per_second, 1.0, send),
        (limits.requests_per_minute, 60.0, send),
        (limits.requests_per_hour, 3600.0, send),
        (limits.tokens_per_minute, 60.0, inputs + outputs),
        (limits.input_tokens_per_minute, 60.0, inputs),
        (limits.output_tokens_per_minute, 60.0, outputs),
    )
    waits = [figure.expected / rate * unit for rate, unit, figure in counted if rate]
    return max(waits, default=None)


def _old_outputs(journal: Journal, survey: Survey, step: int) -> list[int]:
    """Output tokens of answers to requests that nobody asks for any more."""
    found = []
    for _, entry in islice(journal.items(), _OLD_SAMPLE):
        try:
            usage: Usage | None = survey.adapters[step].decode(entry.body).usage
        except EndpointError:
            continue
        if usage is not None and usage.output_tokens:
            found.append(usage.output_tokens)
    return found


def _spread(values: Sequence[float]) -> tuple[float, float, float] | None:
    """The lowest tenth, the mean and the highest tenth; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    last = len(ordered) - 1
    return ordered[last // 10], sum(ordered) / len(ordered), ordered[last - last // 10]
