"""Who may send now: concurrency, rates and `Retry-After` of one endpoint, shared by all calls.

The decisions are arithmetic on (state, event, now) in `Limiter.take` and `release`;
`acquire` adds the waiting. Those who wait stand in line, each at a gate of their own, so that a
free slot wakes one of them and not all. Only the first in line watches the clock.
"""

from __future__ import annotations

import enum
import math
import threading
from collections import deque
from typing import Any

from ..clock import Clock
from ..spec.model import Concurrency, Limits
from .pace.adaptive import Adaptive
from .pace.rates import HOUR, MINUTE, SECOND, Bucket
from .pace.spacing import Cause, Spacing, Turn
from .waiting import Gate, Pause

LOOK_UP = 0.5
"""Seconds after which somebody who waits looks whether the run was stopped."""

_CORRECTED = 0.1
"""Seconds after which the first in line looks whether calls in flight took fewer tokens than was
estimated: their estimates can have put the wait minutes off."""


_PER_CALL = {
    "requests_per_second": SECOND,
    "requests_per_minute": MINUTE,
    "requests_per_hour": HOUR,
}
_PER_TOKEN = {
    "tokens_per_minute": (1, 1),
    "input_tokens_per_minute": (1, 0),
    "output_tokens_per_minute": (0, 1),
}


class Outcome(enum.Enum):
    """What became of a call, as far as the pace is concerned."""

    success = "success"
    success_after_retry = "success_after_retry"
    """Neutral: it says no more than the failure before it did."""
    rate_limited = "rate_limited"
    timed_out = "timed_out"
    busy = "busy"
    """Turned away, which may be for the load or a fault."""
    fault = "fault"
    refused = "refused"
    """Neutral: the request was at fault, or the call ended for reasons of our own."""


class Limiter:
    """The pace of one endpoint. Thread-safe.

    *limits* gives the rates, *concurrency* the calls in flight. A call is made between `acquire`
    and `release`; both are told the same estimate of its tokens.
    """

    def __init__(self, limits: Limits, concurrency: Concurrency, clock: Clock) -> None:
        self._clock = clock
        self._started = now = clock.now()
        self._lock = threading.Lock()
        self._line: deque[_Waiter] = deque()
        self._adaptive = Adaptive(concurrency, now)
        self._spacing = Spacing(now)
        self._in_flight = 0
        self._not_before = now
        self._held = 0.0
        self._names: dict[Bucket, str] = {}
        self._calls: list[Bucket] = []
        # Which of a call's (input, output) tokens each bucket counts.
        self._tokens: list[tuple[Bucket, tuple[int, int]]] = []
        for name, unit in _PER_CALL.items():
            if (amount := getattr(limits, name)) is not None:
                self._calls.append(bucket := Bucket(amount, unit, now))
                self._names[bucket] = name
        for name, counted in _PER_TOKEN.items():
            if (amount := getattr(limits, name)) is not None:
                self._tokens.append((bucket := Bucket(amount, MINUTE, now), counted))
                self._names[bucket] = name

    @property
    def started(self) -> float:
        """The moment, by the clock, that the history counts from."""
        return self._started

    @property
    def limit(self) -> int:
        """Calls that may be in flight now."""
        return self._adaptive.limit

    @property
    def in_flight(self) -> int:
        """Calls in flight."""
        return self._in_flight

    @property
    def held_for(self) -> float:
        """Seconds for which a `Retry-After` still holds everybody back."""
        return max(0.0, self._not_before - self._clock.now())

    @property
    def due(self) -> tuple[float, str] | None:
        """Where nothing is in flight because the next call waits for a rate of our own: the
        seconds until it may start, and the limit's name."""
        if self._in_flight or not self._line or not self._names:
            return None
        with self._lock:
            if self._in_flight or not self._line:
                return None
            now, tokens = self._clock.now(), self._line[0].tokens or (0, 0)
            waits = [(bucket.wait(now), self._names[bucket]) for bucket in self._calls]
            for bucket, counted in self._tokens:
                waits.append((bucket.wait(now, _counted(tokens, counted)), self._names[bucket]))
            return max(waits)

    @property
    def waited(self) -> float:
        """Seconds in which a `Retry-After` held everybody back, so far."""
        return self._held - self.held_for

    @property
    def history(self) -> list[tuple[float, int, str]]:
        """(seconds since the start, limit, reason) of every change of the limit."""
        with self._lock:
            return list(self._adaptive.history)

    def snapshot(self) -> dict[str, Any]:
        """The state as data, for progress and manifest."""
        return {
            "limit": self.limit,
            "in_flight": self.in_flight,
            "held_for": self.held_for,
            "waited": self.waited,
            "history": self.history,
        }

    def wait(self, tokens: tuple[int, int] | None = None) -> float:
        """Seconds after which it is worth a try to send a call of so many tokens; 0 for now,
        infinity while all slots are taken."""
        with self._lock:
            return self._wait(self._clock.now(), tokens)

    def take(self, stop: threading.Event, tokens: tuple[int, int] | None = None) -> Turn | None:
        """`acquire` where nobody needs to wait, which is the usual case; else None."""
        if self._line or stop.is_set():
            return None
        with self._lock:
            now = self._clock.now()
            if self._line or self._wait(now, tokens):
                return None
            return self._take(now, tokens)

    async def acquire(
        self, stop: threading.Event, tokens: tuple[int, int] | None = None
    ) -> Turn | None:
        """Wait for a slot, all rates and any `Retry-After`; None if *stop* was set.

        *tokens* is the estimate of (input, output) tokens; it is corrected by `release`.
        """
        if stop.is_set():
            return None
        with self._lock:
            if not self._line:
                now = self._clock.now()
                if self._wait(now, tokens) == 0:
                    return self._take(now, tokens)
            waiter = _Waiter(tokens)
            self._line.append(waiter)
        return await self._wait_in_line(waiter, stop)

    def release(
        self,
        turn: Turn,
        outcome: Outcome,
        *,
        retry_after: float | None = None,
        estimate: tuple[int, int] | None = None,
        tokens: tuple[int, int] | None = None,
    ) -> None:
        """Give the slot of *turn* back and say what became of the call.

        *retry_after* holds everybody back for so many seconds; *estimate* is what `acquire` was
        told, *tokens* the (input, output) tokens that the endpoint counted, where it tells. A
        call that was turned away counts for none; of others the estimate stands.
        """
        with self._lock:
            now = self._clock.now()
            self._in_flight -= 1
            if self._tokens:
                self._correct(now, outcome, estimate or (0, 0), tokens)
            if outcome is Outcome.success:
                self._adaptive.succeeded(now)
                self._spacing.succeeded(turn, now)
            elif outcome is Outcome.rate_limited or outcome is Outcome.timed_out:
                self._overloaded(now, turn, retry_after or 0.0, _REASONS[outcome])
            elif outcome is Outcome.busy:
                self._adaptive.turned_away(now, turn[0])
            elif outcome is Outcome.fault:
                self._adaptive.faulted(now)
            if retry_after:
                self._hold(now, retry_after)
            if self._line:
                self._serve(now)

    def _wait(self, now: float, tokens: tuple[int, int] | None) -> float:
        """Seconds until a call may start; 0 for now, infinity while all slots are taken."""
        if self._in_flight >= self._adaptive.limit:
            return math.inf
        wait = max(0.0, self._not_before - now)
        wait = max(wait, self._spacing.wait(now))
        for bucket in self._calls:
            wait = max(wait, bucket.wait(now))
        if tokens is not None:
            for bucket, counted in self._tokens:
                wait = max(wait, bucket.wait(now, _counted(tokens, counted)))
        return wait

    def _take(self, now: float, tokens: tuple[int, int] | None) -> Turn:
        self._in_flight += 1
        if self._in_flight >= self._adaptive.limit:
            self._adaptive.reached()
        for bucket in self._calls:
            bucket.take(now)
        if tokens is not None:
            for bucket, counted in self._tokens:
                bucket.take(now, _counted(tokens, counted))
        return self._spacing.take(now, self._in_flight, self._adaptive.limit)

    def _overloaded(self, now: float, turn: Turn, retry_after: float, reason: str) -> None:
        """Slow down: start fewer calls a second, or have fewer in flight."""
        # What was sent before the last wait was over was sent before a cut could show.
        cause = Cause.unknown
        if retry_after > 0 and turn[0] >= self._not_before:
            cause = self._spacing.refused(turn, retry_after, self._adaptive.may_be_cut)
        if cause is Cause.rate:
            pace = self._spacing.rate(now)
            self._adaptive.absolved(now, f"spaced out to {pace:.3g} calls a second")
        else:
            is_new = cause is Cause.number
            self._adaptive.overloaded(now, retry_after, reason, is_new)

    def _correct(
        self,
        now: float,
        outcome: Outcome,
        estimate: tuple[int, int],
        tokens: tuple[int, int] | None,
    ) -> None:
        """Replace the estimate of a call by what it really took."""
        if tokens is None:
            turned_away = outcome is Outcome.rate_limited or outcome is Outcome.refused
            tokens = (0, 0) if turned_away else estimate
        for bucket, counted in self._tokens:
            bucket.take(now, _counted(tokens, counted) - _counted(estimate, counted))

    def _hold(self, now: float, seconds: float) -> None:
        until = now + seconds
        if until > self._not_before:
            self._held += until - max(now, self._not_before)
            self._not_before = until

    def _serve(self, now: float) -> None:
        """Let those at the front of the line through, as far as it goes."""
        while self._line and not self._line[0].asleep:
            first = self._line[0]
            wait = self._wait(now, first.tokens)
            if wait == math.inf:
                break
            if wait > 0:
                first.gate.open()  # now that it is the first, it has to watch the clock
                break
            self._line.popleft()
            first.turn = self._take(now, first.tokens)
            first.gate.open()

    async def _wait_in_line(self, waiter: _Waiter, stop: threading.Event) -> Turn | None:
        try:
            while True:
                with self._lock:
                    now = self._clock.now()
                    waiter.asleep = False
                    if stop.is_set():
                        self._leave(waiter, now)
                        return None
                    self._serve(now)
                    if waiter.turn is not None:
                        return waiter.turn
                    wait = self._wait(now, waiter.tokens) if self._line[0] is waiter else math.inf
                    waiter.asleep = wait < math.inf
                    if waiter.asleep and self._tokens and self._in_flight:
                        wait = min(wait, _CORRECTED)
                    waiter.gate = gate = Gate(LOOK_UP)
                await (Pause(self._clock, wait, stop) if waiter.asleep else gate)
        except BaseException:
            with self._lock:
                self._leave(waiter, self._clock.now())
            raise

    def _leave(self, waiter: _Waiter, now: float) -> None:
        """Give up waiting, and what may have been granted at the last moment."""
        if waiter.turn is not None:
            self._in_flight -= 1
        else:
            self._line.remove(waiter)
        self._serve(now)


_REASONS = {Outcome.rate_limited: "rate limited", Outcome.timed_out: "timed out"}


def _counted(tokens: tuple[int, int], which: tuple[int, int]) -> int:
    return tokens[0] * which[0] + tokens[1] * which[1]


class _Waiter:
    """Somebody in line: a gate to sleep at, and what they wait for."""

    __slots__ = ("asleep", "gate", "tokens", "turn")

    def __init__(self, tokens: tuple[int, int] | None) -> None:
        self.tokens = tokens
        self.turn: Turn | None = None
        self.asleep = False
        self.gate = Gate(LOOK_UP)
