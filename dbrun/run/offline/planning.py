"""What a run would do and cost, told beforehand from rows, prompts and journal; nothing is sent.

Every figure is a `Range`. Where the journal holds answers to the same step, their tokens tell how
many the others will have (see `forecast`). Where it holds none, a token is taken for four
characters of JSON (two for *high*, sixteen for *low*), and an answer for as long as `max_tokens`
lets it be at the most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from ...adapters.base import batch_url
from ...client.journal import Journal
from ...errors import EndpointError, SpendCap
from ...frozen import frozen
from ...spec.model import Price, Spec, StepSpec
from ..asking.tokens import most_tokens
from ..keeping.sharing import begin_generation
from ..opening import Surroundings
from ..rows.items import Selection
from ..travel.away import read_journal
from .forecast import NOTHING, Demand, Range
from .pacing import Load, last_pace, seconds_for
from .survey import Asked, Survey, short_key, surveying

_OLD_SAMPLE = 2000  # answers among which those are looked for that nobody asks for any more


@frozen
class Plan:
    """What a run would do: *records* of *rows*, *send* new requests, *reuse* answers there are.

    An answer that is asked for twice is sent for once and reused once. *input* and *output* are
    the tokens of the requests to send, *cost* what they cost in *currency* (None without a
    price), *seconds* how long that takes (None where no earlier run tells, and no rate does).
    *failing* are rows on which a template or a transform fails, and *first_failing* is the first
    of them with what failed and where. *learnt* are the answers from which lengths were learnt;
    *is_old* tells that these were answers to other requests.
    """

    rows: int
    records: int
    failing: int
    first_failing: str | None
    send: Range
    reuse: int
    input: Range
    output: Range
    cost: Range | None
    currency: str | None
    seconds: Range | None
    learnt: int
    is_old: bool = False


@contextmanager
def planning_journal(
    spec: Spec, around: Surroundings, selection: Selection, *, fresh: bool
) -> Iterator[Journal]:
    """The journal as a run would find it, for reading only; *fresh* as `--fresh` does.

    Raises:
        SinkError: it cannot be read.
    """
    mode = "refresh" if fresh else spec.journal.mode
    with read_journal(spec.journal.path, around, mode) as journal:
        if mode == "refresh":
            begin_generation(journal, spec, "fresh", selection)
        yield journal


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
    with surveying(spec, around, journal) as survey:
        found = [_Found(step, survey, number) for number, step in enumerate(spec.asked)]
        seen: set[int] = set()
        for asked in survey.asked(selection):
            key = short_key(asked.key)
            found[asked.step].take(asked, is_new=key not in seen)
            seen.add(key)
        for step in found:
            if step.demand.has_output and not step.demand.outputs.count:
                _learn_from_old(journal, seen, step)
        return _summed(spec, survey, found, journal.mode)


def check_affordable(plan: Plan, cap: float, spent: float) -> None:
    """Refuse a run whose least possible cost exceeds what *spent* leaves of *cap*.

    Raises:
        SpendCap: it does.
    """
    if plan.cost is not None and plan.cost.low > (cap - spent) * (1 + 1e-9):
        before = f", of which {spent:.6g} are spent" if spent else ""
        raise SpendCap(
            f"limits.max_cost does not suffice: it is {cap:g} {plan.currency}{before}, and the run "
            f"would cost {plan.cost.low:.4g} more at the least, {plan.cost.expected:.4g} probably; "
            "nothing was sent",
            "raise limits.max_cost, or take fewer rows with --limit",
        )


class _Found:
    """What a survey found of one step."""

    def __init__(self, spec: StepSpec, survey: Survey, number: int) -> None:
        self.spec = spec
        self.adapter = survey.adapters[number]
        url = batch_url(self.adapter) or ""
        self.demand = Demand(has_output=not url.endswith("/embeddings"))
        self.reached = 0  # rows
        self.held_up = 0  # rows that wait for an answer of this step
        self.held_up_alone = 0  # of these, all but those whose request equals another's

    def take(self, asked: Asked, *, is_new: bool) -> None:
        self.reached += asked.turn == 0
        if asked.answered:
            self.demand.take_answered(asked.body, asked.usage, is_new=is_new)
        else:
            self.demand.take_unsent(asked.body, is_new=is_new)
            self.held_up += 1
            self.held_up_alone += is_new

    def to_send(self, mode: str) -> Range:
        """Of the requests that are known."""
        demand = self.demand
        if mode == "replay":
            return NOTHING
        if mode == "off":  # equal ones share an answer only while both are in flight
            every = demand.unsent + demand.equal
            return Range(low=demand.unsent, expected=every, high=every)
        return Range.of(demand.unsent)


def _summed(spec: Spec, survey: Survey, found: Sequence[_Found], mode: str) -> Plan:
    send, inputs, outputs, cost = NOTHING, NOTHING, NOTHING, NOTHING
    loads: dict[int, Load] = {}
    size = 0.0
    for number, step in enumerate(found):
        known = step.to_send(mode)
        # A judge waits for the steps, not for other judges.
        earlier = _earlier(spec, found, number)
        more = NOTHING if mode == "replay" else _yet_to_come(earlier, step, survey.rows)
        size = step.demand.size_of_one or size
        into, out = _tokens(step, known, more, size)
        send, inputs, outputs = send + known + more, inputs + into, outputs + out
        if step.spec.endpoint.price is not None:
            cost += _priced(step.spec.endpoint.price, into, out)
        _load(loads, step, known + more, into, out)
    prices = [step.spec.endpoint.price for step in found]
    currencies = {price.currency for price in prices if price is not None}
    is_priced = None not in prices and len(currencies) == 1
    shares_answers = mode in ("reuse", "refresh")
    return Plan(
        rows=survey.rows // spec.each,
        records=survey.rows,
        failing=survey.unrendered.count,
        first_failing=next(iter(survey.unrendered.named), None),
        send=send,
        reuse=sum(step.demand.answered + shares_answers * step.demand.equal for step in found),
        input=inputs,
        output=outputs,
        cost=cost if is_priced else None,
        currency=currencies.pop() if is_priced else None,
        seconds=seconds_for(list(loads.values()), last_pace(spec)),
        learnt=sum(step.demand.learnt for step in found),
        is_old=any(step.demand.old.count for step in found),
    )


def _earlier(spec: Spec, found: Sequence[_Found], number: int) -> Sequence[_Found]:
    """The steps of the same variant that come before what is asked as number *number*."""
    first = 0
    for branch in spec.branches:
        after = first + len(branch.asked)
        if number < after:
            return found[first : min(number, first + len(branch.steps))]
        first = after
    return ()


def _yet_to_come(earlier: Sequence[_Found], step: _Found, rows: int) -> Range:
    """Requests that hang on answers; how many, nobody can be sure of."""
    held_up = sum(one.held_up for one in earlier)
    likely = float(sum(one.held_up_alone for one in earlier))
    if step.spec.when is not None:
        # As many of them as of those that got as far as to be asked whether they are.
        decided = max((one.reached - one.held_up for one in earlier), default=0)
        likely *= step.reached / decided if decided else 0.5
    schema = step.spec.response_schema
    reasks = schema.reask if schema is not None else 0
    again = (step.demand.unsent + held_up) * reasks
    return Range(low=0.0, expected=min(likely, held_up), high=float(held_up + again))


def _tokens(step: _Found, known: Range, more: Range, size: float) -> tuple[Range, Range]:
    into, out = step.demand.tokens()
    if (unsent := step.demand.unsent) and known.high != unsent:
        shares = (known.low / unsent, known.expected / unsent, known.high / unsent)
        into, out = into.scaled(*shares), out.scaled(*shares)
    elif not known.high:
        into = out = NOTHING
    more_into, more_out = step.demand.tokens_of(more, size, most_tokens(dict(step.spec.params)))
    return into + more_into, out + more_out


def _priced(price: Price, inputs: Range, outputs: Range) -> Range:
    into, out = price.input_per_million / 1e6, price.output_per_million / 1e6
    return inputs.scaled(into, into, into) + outputs.scaled(out, out, out)


def _load(loads: dict[int, Load], step: _Found, send: Range, into: Range, out: Range) -> None:
    """Add to what is asked of the step's endpoint; steps on one endpoint share its adapter."""
    adapter, limits = step.adapter, step.spec.endpoint.limits
    each = 1 / adapter.batch_size
    calls = send.scaled(each, each, each)
    known = loads.get(id(adapter))
    if known is not None:
        calls, into, out = known.calls + calls, known.inputs + into, known.outputs + out
    loads[id(adapter)] = Load(
        limits=limits,
        concurrency=limits.concurrency or adapter.concurrency,
        calls=calls,
        inputs=into,
        outputs=out,
    )


def _learn_from_old(journal: Journal, seen: set[int], step: _Found) -> None:
    """Lengths of answers to requests that nobody asks for any more: better than none."""
    for key, entry in islice(journal.items(), _OLD_SAMPLE):
        if short_key(key) in seen:
            continue
        try:
            usage = step.adapter.decode(entry.body).usage
        except EndpointError:
            continue
        if usage is not None and usage.output_tokens:
            step.demand.old.add(usage.output_tokens)
