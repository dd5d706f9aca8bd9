"""How many threads should be asking."""

from __future__ import annotations

from collections.abc import Sequence

from ..clock import Clock
from .asking import Asker


class Workers:
    """How many threads should ask: `Workers(...)(threads)` tells it for *threads* there are.

    Twice as many when all of them are waiting for an endpoint, up to what the limits let through
    at a time. But none is added while this process keeps just one core busy: Python computes in
    one thread at a time, and threads that only compute stand in each other's way. (A process
    that keeps more than one busy does so in code that lets others run.)
    """

    _ONE_CORE = (0.6, 1.15)  # seconds of CPU a second: twice the threads could not double it
    _WINDOW = 0.03  # seconds over which it is measured

    def __init__(self, askers: Sequence[Asker], clock: Clock) -> None:
        self._askers = askers
        self._clock = clock
        self._since = clock.now()
        self._busy_then = clock.busy()
        self._saturated = False

    def __call__(self, threads: int) -> int:
        self._measure()
        most = sum(asker.limiter.limit for asker in self._askers)
        waiting = sum(asker.limiter.in_flight for asker in self._askers)
        if threads and (waiting < threads or (self._saturated and threads >= 4)):
            return threads
        return min(max(1, 2 * threads), most)

    def _measure(self) -> None:
        now = self._clock.now()
        if (passed := now - self._since) >= self._WINDOW:
            busy = self._clock.busy()
            low, high = self._ONE_CORE
            self._saturated = low <= (busy - self._busy_then) / passed <= high
            self._since, self._busy_then = now, busy
