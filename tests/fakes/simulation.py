"""A limiter at work on a made-up server, in made-up time: no threads, no sleep."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
from collections.abc import Callable

from dbrun.client.limits import Limiter, Outcome
from dbrun.client.pace.spacing import Turn
from dbrun.client.retry import RetryPolicy
from dbrun.clock import Clock
from dbrun.errors import EndpointError, RateLimited, Unavailable
from dbrun.run.asking.trying import outcome_of


class Hand(Clock):
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> bool:
        self.time += seconds
        return stop is not None and stop.is_set()


_FAULT = Unavailable("oops", 500)


class Server:
    """Answers after some *latency* seconds, give or take a *spread*; above *cap* calls at once,
    or *rate* calls a second (whose bucket holds *burst*, a second's worth unless given), with a
    rate limit, or with *shed*; a share *faults* of calls with a *fault*. *serial* seconds of each
    call are work of which only one is done at a time."""

    def __init__(
        self,
        *,
        latency: float = 1.0,
        cap: float = float("inf"),
        rate: float = float("inf"),
        burst: float | None = None,
        retry_after: float | None = None,
        spread: float = 0.5,
        serial: float = 0.0,
        faults: float = 0.0,
        fault: EndpointError = _FAULT,
        shed: EndpointError | None = None,
        seed: int = 1,
    ) -> None:
        self.latency, self.cap, self.rate, self.retry_after = latency, cap, rate, retry_after
        self.burst, self.spread = burst, spread
        self.serial, self.faults = serial, faults
        self.fault, self.shed = fault, shed
        self.active = 0
        self._level = burst or rate
        self._at = 1000.0
        self._free_at = 0.0
        self.random = random.Random(seed)

    def call(self, now: float) -> tuple[float, EndpointError | None]:
        """When the answer comes, and what is wrong with it."""
        self.active += 1
        self._level = min(self.burst or self.rate, self._level + (now - self._at) * self.rate)
        self._at = now
        if self.active > self.cap or self._level < 1:
            return now + 0.05, self.shed or RateLimited("slow down", 429, self.retry_after)
        self._level -= 1
        if self.random.random() < self.faults:
            return now + 0.1, self.fault
        # Answers of models differ in length: most are short, some are several times as long.
        took = self.latency * self.random.lognormvariate(-(self.spread**2) / 2, self.spread)
        if self.serial:
            self._free_at = max(now, self._free_at) + self.serial
            took = max(took, self._free_at - now)
        return now + took, None


class Simulation:
    """*workers* that ask as fast as *limiter* lets them, and wait as `RetryPolicy` says."""

    def __init__(self, clock: Hand, limiter: Limiter, server: Server, workers: int) -> None:
        self.clock, self.limiter, self.server = clock, limiter, server
        self.sent: list[float] = []
        self.done: list[float] = []
        self.limited: list[float] = []
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._stop = threading.Event()  # which nobody sets
        self._line = [0] * workers  # the failures so far of each request that waits
        self._policy = RetryPolicy(retry_for=1e9)
        self._look_at = float("inf")

    def run(self, seconds: float) -> None:
        """Let so many seconds pass."""
        end = self.clock.time + seconds
        self._admit()
        while self._events and self._events[0][0] <= end:
            self.clock.time, _, happen = heapq.heappop(self._events)
            happen()
            self._admit()
        self.clock.time = end

    def rate(self, seconds: float) -> float:
        """Answers a second over the last *seconds*."""
        since = self.clock.time - seconds
        return sum(moment >= since for moment in self.done) / seconds

    def settled(self, seconds: float) -> float:
        """The limit over the last *seconds*, weighted by time."""
        end = self.clock.time - 1000.0
        changes = [*((at, limit) for at, limit, _ in self.limiter.history), (end, 0)]
        total = 0.0
        for (begun, limit), (over, _) in itertools.pairwise(changes):
            total += limit * max(0.0, over - max(begun, end - seconds))
        return total / seconds

    def _at(self, moment: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), happen))

    def _admit(self) -> None:
        now = self.clock.time
        while self._line:
            turn = self.limiter.take(self._stop)
            if turn is None:
                wait = self.limiter.wait()
                if wait < float("inf") and not now < self._look_at <= now + wait:
                    self._look_at = now + wait
                    self._at(self._look_at, lambda: None)
                return
            failures = self._line.pop(0)
            self.sent.append(now)
            moment, error = self.server.call(now)
            self._at(
                moment,
                lambda failures=failures, error=error, turn=turn: self._answer(
                    turn, failures, error
                ),
            )

    def _answer(self, turn: Turn, failures: int, error: EndpointError | None) -> None:
        self.server.active -= 1
        now = self.clock.time
        if error is None:
            self.done.append(now)
            outcome = Outcome.success_after_retry if failures else Outcome.success
            self.limiter.release(turn, outcome)
            self._line.append(0)
            return
        if isinstance(error, RateLimited):
            self.limited.append(now)
        self.limiter.release(turn, outcome_of(error), retry_after=error.retry_after)
        wait = self._policy.delay(error, min(failures + 1, 5), 0.0, self.server.random.random)
        assert wait is not None
        self._at(now + wait, lambda: self._line.append(failures + 1))
