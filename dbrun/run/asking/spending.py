"""What a run may spend: `limits.max_cost`, shared by all of its endpoints."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ...client.waiting import Aside, Pause
from ...clock import Clock
from ...errors import Interrupted, SpendCap
from ...spec.model import Spec

Bid = Callable[[], tuple[float, float]]
"""What a call may cost at the most, and beside how many others that is safe to say (infinity
where it is sure). Asked again while the call waits: answers tell more meanwhile."""

LOOK_UP = 0.05
"""Seconds after which a call that waits for others to end asks for money again."""

_SLICE = 0.02  # of the cap
_ROUNDING = 1 + 1e-9  # what floats add up to may miss a sum by its last digits


class Purse:
    """Money for calls: taken before one is made, by what it may cost; settled after it.

    A call is let through while what was spent, what is in flight and the call itself stay
    within *cap*; else it waits for those in flight, which may have cost less than they might.
    Once nothing is in flight and the next call would not fit, the money is used up.

    *spent* is what earlier parts of the same run have spent. The purse is filled by slices:
    *keep* puts on record how much is drawn so far, before any of it is spent. After a kill, when
    nobody knows what became of the calls in flight, all that was drawn counts as spent. Safe for
    threads.
    """

    def __init__(
        self,
        cap: float,
        clock: Clock,
        *,
        spent: float = 0.0,
        currency: str = "USD",
        keep: Callable[[float], None] | None = None,
    ) -> None:
        self.cap = cap
        self.spent = spent
        self._clock = clock
        self._currency = currency
        self._keep = keep
        self._drawn = spent if keep is not None else cap
        self._drawing = False
        self._lock = threading.Lock()
        self._reserved = 0.0
        self._in_flight = 0
        self._is_fresh = True

    @property
    def gone(self) -> float:
        """What is spent, and what may be by the calls in flight."""
        with self._lock:
            return self.spent + self._reserved

    async def take(self, bid: Bid, stop: threading.Event) -> float:
        """Reserve what *bid* asks for a call about to be made; give it back with `settle`.

        Raises:
            SpendCap: there is not enough left for it.
            SinkError: it cannot be put on record.
            Interrupted: *stop* was set meanwhile.
        """
        while True:
            taken, has_drawn = await self.try_take(*bid())
            if taken is not None:
                return taken
            if not has_drawn and await Pause(self._clock, LOOK_UP, stop):
                raise Interrupted("stopped before this request was sent")

    async def try_take(self, amount: float, beside: float) -> tuple[float | None, bool]:
        """What was reserved, None where others have to end first; and whether more was drawn,
        so that it is worth another try at once. Raises as `take` does."""
        with self._lock:
            amount = self._fitting(amount, beside)
            taken = self._reserve(amount, beside)
            wanted = self._to_draw(amount if taken is None else 0.0)
        if wanted is not None:
            await self._draw(wanted, taken)
        return taken, wanted is not None

    def settle(self, taken: float, cost: float) -> None:
        """The call that *taken* was reserved for has cost *cost* (0: it was not answered)."""
        with self._lock:
            self._reserved -= taken
            self._in_flight -= 1
            self.spent += cost

    def _fitting(self, amount: float, beside: float) -> float:
        """*amount*, or what is left for a call that is to find out how long answers are."""
        left = self.cap - self.spent
        if not self._in_flight and not beside and left > 0:
            return min(amount, left)
        return amount

    def _reserve(self, amount: float, beside: float) -> float | None:
        """What was reserved; None while others have to end first."""
        left = self.cap * _ROUNDING - self.spent - self._reserved
        if amount > left and not self._in_flight:
            raise self.used_up(amount)
        if amount > left or self._in_flight > beside:
            return None
        if self.spent + self._reserved + amount > self._drawn * _ROUNDING:
            return None
        self._reserved += amount
        self._in_flight += 1
        self._is_fresh = False
        return amount

    def _to_draw(self, amount: float) -> float | None:
        """What to put on record as drawn, for *amount* more to be taken, and a little ahead."""
        wanted = self.spent + self._reserved + amount
        ahead = self.cap * _SLICE
        if self._drawing or self._drawn >= self.cap or wanted > self.cap * _ROUNDING:
            return None
        if wanted <= self._drawn - ahead / 2:
            return None
        self._drawing = True
        return min(self.cap, wanted + ahead)

    async def _draw(self, wanted: float, taken: float | None) -> None:
        keep = self._keep
        assert keep is not None
        try:
            await Aside(lambda: keep(wanted))
        except BaseException:
            if taken is not None:
                self.settle(taken, 0.0)
            raise
        else:
            with self._lock:
                self._drawn = wanted
        finally:
            with self._lock:
                self._drawing = False

    def used_up(self, amount: float) -> SpendCap:
        """The error that a call of *amount* is more than is left."""
        nothing = "; nothing was sent" if self._is_fresh else ""
        return SpendCap(
            f"limits.max_cost is reached: of {self.cap:g} {self._currency} {self.spent:.6g} are "
            f"spent, and the next request may cost {amount:.6g}{nothing}",
            "raise limits.max_cost and run the same command again to go on",
        )


def make_purse(
    spec: Spec, clock: Clock, *, spent: float = 0.0, keep: Callable[[float], None] | None = None
) -> Purse | None:
    """What a run of *spec* may spend; None without `limits.max_cost`. See `Purse`."""
    cap = spec.limits.max_cost
    if cap is None:
        return None
    prices = (step.endpoint.price for step in spec.asked)
    currency = next(price.currency for price in prices if price is not None)
    return Purse(cap, clock, spent=spent, currency=currency, keep=keep)
