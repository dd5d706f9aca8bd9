"""One call of an endpoint, tried until it is answered or given up: the one retry loop.

The adapter says what an error *is*, `RetryPolicy` whether and when to try again, the `Limiter`
who may send, the `Purse` what it may cost, the `Breaker` when to give the whole run up.
"""

from __future__ import annotations

import copy
import itertools
import math
import random
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from ...client.limits import Outcome
from ...client.retry import is_busy
from ...client.waiting import Aside, Pause, Wait
from ...clock import Clock
from ...errors import (
    EndpointDown,
    EndpointError,
    EndpointMissing,
    Interrupted,
    RateLimited,
    RunError,
    TimedOut,
    Unavailable,
    Unreachable,
    Warming,
)
from ...types import Json, Usage
from .calls import log_answers, log_failure
from .counters import Counters
from .spending import Purse
from .tokens import TokenEstimate

if TYPE_CHECKING:
    from ...adapters.base import Adapter, Answer
    from ...client.limits import Limiter
    from ...client.pace.spacing import Turn
    from ...client.retry import Breaker, RetryPolicy
    from ...spec.model import Price

Calling = Callable[[Sequence[Json], float], Coroutine[Wait[Any], Any, Sequence[Any]]]
"""One call for bodies, within seconds, as a coroutine."""

_SOON = 4.0
"""Seconds that a request which is held back by a rate limit waits at the most while others get
through: what is left at the end of a run must not sleep for a minute beside an idle endpoint."""

_WAIT_LONGER = "run the same command again when it has room; limits.retry_for waits longer"
_START_LONGER = "run the same command again when it has started; limits.warmup waits longer"


class Sent:
    """A call that was answered, and what it holds until it is settled.

    *failures* counts the tries before it, *slot* is its turn by the limiter, *tokens* and *money*
    are what was set aside for it.
    """

    __slots__ = ("answers", "bodies", "failures", "latency", "money", "outcome", "slot", "tokens")

    def __init__(
        self,
        bodies: Sequence[Json],
        answers: Sequence[Any],
        latency: float,
        failures: int,
        slot: Turn,
        tokens: tuple[int, int] | None,
        money: float,
    ) -> None:
        self.bodies = bodies
        self.answers = answers
        self.latency = latency
        self.failures = failures
        self.slot = slot
        self.tokens = tokens
        self.money = money
        self.outcome = Outcome.success_after_retry if failures else Outcome.success


class _Story:
    """What became of a request so far: when it *started*, as the how-manieth; since when its
    failures count; its tries and waits; whether it waits because the endpoint `is_busy`."""

    __slots__ = ("is_turned_away", "since", "started", "tries", "turn", "waits")

    def __init__(self, started: float, turn: int) -> None:
        self.started = self.since = started
        self.turn = turn
        self.tries = self.waits = 0
        self.is_turned_away = False


class Caller:
    """One endpoint, called by many at once within its limits: by coroutines of one loop, or
    threads.

    *tokens* is given if somebody counts them: a rate, or the *purse* with a *price*.
    """

    def __init__(
        self,
        adapter: Adapter,
        *,
        limiter: Limiter,
        policy: RetryPolicy,
        breaker: Breaker,
        counters: Counters,
        clock: Clock,
        timeout: float,
        halt: threading.Event,
        tokens: TokenEstimate | None = None,
        purse: Purse | None = None,
        price: Price | None = None,
    ) -> None:
        self.limiter = limiter
        self.call = _calling(adapter)
        self.tokens = tokens
        self._adapter = adapter
        self._policy = policy
        self._breaker = breaker
        self._counters = counters
        self._clock = clock
        self._timeout = timeout
        self._halt = halt
        self._purse = purse if price is not None else None
        self._price = price
        self._turns = itertools.count()

    def by(self, call: Calling) -> Caller:
        """The same endpoint within the same limits, called in another way."""
        made = copy.copy(self)
        made.call = call
        return made

    async def send(self, bodies: Sequence[Json]) -> Sent | EndpointError:
        """Call, and call again as the policy says. What is sent must be settled.

        Raises:
            RunError: no request can succeed.
            Interrupted: the run was halted before there was an answer.
        """
        story = _Story(self._clock.now(), next(self._turns))
        try:
            while True:
                sent = await self._try(bodies, story)
                if sent is not None:
                    return sent
        finally:
            if story.is_turned_away:
                self._breaker.turned_away(-1)

    async def _try(self, bodies: Sequence[Json], story: _Story) -> Sent | EndpointError | None:
        """Call once, and wait if it is to be tried again, which None says."""
        tokens = self.tokens.before(bodies) if self.tokens else None
        money = await self._reserve(bodies) if self._purse is not None else 0.0
        try:
            slot = self.limiter.take(self._halt, tokens)
            if slot is None:
                slot = await self.limiter.acquire(self._halt, tokens)
            if slot is None:
                raise Interrupted("stopped before this request was sent")
        except BaseException:
            self._pay(money, 0.0)
            raise
        sent_at = self._clock.now()
        try:
            try:
                answers = await self.call(bodies, self._timeout)
            finally:
                self._count_refused()
        except EndpointError as error:
            self.limiter.release(
                slot, outcome_of(error), retry_after=error.retry_after, estimate=tokens
            )
            # What may have been served is taken for served: a cap must hold.
            self._pay(money, money if error.maybe_paid else 0.0)
            return await self._after(error, bodies, story, self._clock.now() - sent_at)
        except BaseException as ended:
            is_lost = isinstance(ended, GeneratorExit)  # given up while it was under way
            if is_lost:
                self._counters.count_sent("abandoned")
                self._counters.count_lost(True)
            self.limiter.release(slot, Outcome.refused, estimate=tokens)
            self._pay(money, money if is_lost else 0.0)
            raise
        latency = self._clock.now() - sent_at
        log_answers(self._adapter, bodies, answers, latency)
        return Sent(bodies, answers, latency, story.tries + story.waits, slot, tokens, money)

    async def _after(
        self, error: EndpointError, bodies: Sequence[Json], story: _Story, latency: float
    ) -> EndpointError | None:
        """Wait before the next try after *error*, which came in *latency* seconds; or *error*, if
        there is to be none."""
        starts = isinstance(error, Warming)
        elapsed = self._clock.now() - (story.started if starts else story.since)
        if story.is_turned_away is not is_busy(error):
            story.is_turned_away = not story.is_turned_away
            self._breaker.turned_away(1 if story.is_turned_away else -1)
        waited_for = self._policy.is_waited_for(error, elapsed)
        is_no_try = waited_for or self._breaker.sheds_load(error, story.waits)
        story.waits += is_no_try
        story.tries += not is_no_try
        self._note_failure(error)
        if error.verdict is not None:
            self._judge(error, story.turn)
        failures, longest = story.tries, math.inf
        if is_no_try:  # no longer than there has been no answer for anybody
            failures, longest = story.waits, max(_SOON, self._breaker.idle())
        delay = self._policy.delay(error, failures, elapsed, random.random, longest, is_no_try)
        if len(bodies) > 1 and error.status == 500:
            delay = None  # one bad row fails a whole batch: split it, do not repeat it
        log_failure(self._adapter, bodies, error, latency, delay)
        if delay is None:
            self._give_up(error, story.started, self._policy.is_too_late(error, elapsed))
            return error
        if error.asked:
            self._counters.count_again(waited_for, error.maybe_paid)
        if await self._wait(delay, is_no_try and error.retry_after is None):
            raise Interrupted("stopped while waiting to try again") from error
        if starts:  # the time for other failures begins when it has started
            story.since = self._clock.now()
        return None

    async def _wait(self, seconds: float, is_guess: bool) -> bool:
        """Wait before the next try; True if the run was halted. Where it *is_guess* how long, it
        is long enough once others get through."""
        began = self._clock.now()
        while is_guess and seconds > _SOON:
            if await Pause(self._clock, _SOON, self._halt):
                return True
            if self._breaker.last_success >= began:
                return False
            seconds -= _SOON
        return await Pause(self._clock, seconds, self._halt)

    def settle(self, sent: Sent, told: Sequence[Usage | None]) -> None:
        """Give back what *sent* held; it used what the endpoint *told*."""
        used = None if self.tokens is None else self.tokens.after(told, sent.bodies)
        self.limiter.release(sent.slot, sent.outcome, estimate=sent.tokens, tokens=used)
        self._breaker.succeeded()
        self._counters.count_sent(200)
        if self._purse is not None:
            assert self._price is not None
            costs = [self._price.of(usage) for usage in told if usage]
            # Where nothing is told, what was set aside is the best that is known.
            self._purse.settle(sent.money, sum(costs) if costs else sent.money)

    def fail(self, sent: Sent, error: EndpointError) -> None:
        """Give back what *sent* held: its answer ended with an *error* after it had begun."""
        self.limiter.release(
            sent.slot, outcome_of(error), retry_after=error.retry_after, estimate=sent.tokens
        )
        self._pay(sent.money, sent.money)
        self._note_failure(error)

    async def _reserve(self, bodies: Sequence[Json]) -> float:
        """Money for a call for *bodies*. Raises `SpendCap` if there is not enough left."""
        assert self._purse is not None

        def bid() -> tuple[float, float]:
            assert self.tokens is not None
            assert self._price is not None
            inputs, outputs, beside = self.tokens.most(bodies)
            if not self._price.output_per_million:
                beside = math.inf
            return self._price.of(Usage(input_tokens=inputs, output_tokens=outputs)), beside

        return await self._purse.take(bid, self._halt)

    def _pay(self, reserved: float, cost: float) -> None:
        if self._purse is not None:
            self._purse.settle(reserved, cost)

    def _note_failure(self, error: EndpointError) -> None:
        if error.asked:
            self._counters.count_sent(error.status or error.kind)
        self._breaker.failed(error)

    def _judge(self, error: EndpointError, turn: int) -> None:
        """One of the calls was refused, the *turn*-th that was begun.

        Raises:
            RunError: everybody is, and no answer is known from earlier runs.
        """
        if self._counters.reused:
            return
        try:
            self._breaker.refused(error, turn, self.limiter.in_flight)
        except RunError:
            self._counters.count_lost(error.maybe_paid)
            raise

    def _count_refused(self) -> None:
        """Count the answers that became no `EndpointError`: those to refused credentials, and
        those that end the run."""
        refused: list[int] | None = getattr(self._adapter, "refused", None)
        while refused:
            self._counters.count_sent(refused.pop())

    def _give_up(self, error: EndpointError, started: float, too_late: bool) -> None:
        """This request has no more tries; whether the endpoint has is told by everybody's luck.

        Raises:
            EndpointMissing: nobody ever got through to it.
            EndpointDown: it did nothing but ask to wait for as long as this request lived, or
                there is no time left and nobody has had an answer for half of it.
        """
        self._counters.count_lost(error.maybe_paid)
        if isinstance(error, Unreachable) and not self._breaker.was_reached:
            raise EndpointMissing(
                f"the endpoint was never reachable: {error.message}",
                "check its address and that it is running, then run the same command again",
            ) from error
        if isinstance(error, (RateLimited, Warming)) and self._breaker.nothing_since(started):
            hint = _START_LONGER if isinstance(error, Warming) else _WAIT_LONGER
            raise EndpointDown(
                f"the endpoint only ever asked to wait: {error.message}", hint
            ) from error
        if isinstance(error, RateLimited) and (error.retry_after or 0.0) > self._policy.retry_for:
            raise EndpointDown(
                f"the endpoint only ever asked to wait, {error.retry_after:.0f} s at last: "
                f"{error.message}",
                _WAIT_LONGER,
            ) from error
        if too_late and self._breaker.idle() >= self._policy.retry_for / 2:
            raise EndpointDown(
                f"no answer for {self._clock.now() - started:.0f} s, last: {error.message}",
                "look at the endpoint, then run the same command to continue; "
                "limits.retry_for waits longer",
            ) from error


def _calling(adapter: Adapter) -> Calling:
    """How *adapter* is called without keeping a loop waiting."""
    acall: Calling | None = getattr(adapter, "acall", None)
    if acall is not None:
        return acall

    async def aside(bodies: Sequence[Json], timeout: float) -> Sequence[Answer]:
        return await Aside(lambda: adapter.call(bodies, timeout))

    return aside


def outcome_of(error: EndpointError) -> Outcome:
    """What a failed call tells the limits."""
    if isinstance(error, RateLimited):
        return Outcome.rate_limited
    if isinstance(error, TimedOut):
        return Outcome.timed_out
    if is_busy(error):
        return Outcome.busy
    if isinstance(error, Unavailable):
        return Outcome.fault
    return Outcome.refused
