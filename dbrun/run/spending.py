"""What a run may spend: `limits.max_cost`, shared by all of its endpoints."""

from __future__ import annotations

import threading

from ..client.waiting import Pause
from ..clock import Clock
from ..errors import Interrupted, SpendCap

_LOOK_UP = 0.05  # seconds


class Purse:
    """Money for requests: taken before one is sent, by its estimated cost; settled after it.

    A request is let through while what was spent, what is in flight and the request itself stay
    within *cap*; else it waits for those in flight, whose estimates may have been too high. Once
    nothing is in flight and the next request would not fit, the money is used up.

    *run* names the run, which may go on in several processes one after the other; *spent* is
    what those before this one have spent. Safe for threads.
    """

    def __init__(
        self, cap: float, clock: Clock, *, run: str, spent: float = 0.0, currency: str = "USD"
    ) -> None:
        self.cap = cap
        self.run = run
        self.spent = spent
        self._clock = clock
        self._currency = currency
        self._lock = threading.Lock()
        self._reserved = 0.0
        self._in_flight = 0

    async def take(self, estimate: float, stop: threading.Event) -> None:
        """Reserve *estimate* for a request about to be sent; give it back with `settle`.

        Raises:
            SpendCap: there is not enough left for it.
            Interrupted: *stop* was set meanwhile.
        """
        while not self._reserve(estimate):
            if await Pause(self._clock, _LOOK_UP, stop):
                raise Interrupted("stopped before this request was sent")

    def settle(self, estimate: float, cost: float) -> None:
        """The request that *estimate* was reserved for has cost *cost* (0: it was not answered)."""
        with self._lock:
            self._reserved -= estimate
            self._in_flight -= 1
            self.spent += cost

    def _reserve(self, estimate: float) -> bool:
        with self._lock:
            # What floats add up to may miss the cap by their last digits.
            if self.spent + self._reserved + estimate <= self.cap * (1 + 1e-9):
                self._reserved += estimate
                self._in_flight += 1
                return True
            if self._in_flight:
                return False
        raise SpendCap(
            f"limits.max_cost is reached: of {self.cap:g} {self._currency} {self.spent:.6g} are "
            f"spent, and the next request may cost {estimate:.6g}",
            "raise limits.max_cost and run the same command again to go on",
        )
