"""What partitions may spend of `limits.max_cost`: asked of the driver through the exchange.

A partition spends what it was granted. For more it asks, giving up what is left of its grant and
saying what it has spent and what its calls in flight may cost. So the driver always knows what
everybody can have spent at the most; it puts that on record before it grants more, as a run on one
machine does. The cap is reached when everybody who is at work asks in vain and has nothing in
flight that may turn out cheaper.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...client.waiting import Aside, Pause
from ...clock import Clock
from ...errors import Interrupted, SpendCap
from ..asking.spending import Bid, Purse
from ..keeping.recording import Recorder
from .exchange import Exchange

_PAUSE = 0.1  # seconds between two looks for a grant
_ROUNDING = 1e-9  # of the cap: what floats add up to may miss a sum by its last digits
_AHEAD = 16  # a grant goes this part of a partition's share of what is left beyond what is asked

Ask = Mapping[str, Any]
"""What a partition says: its *round* and *part*, who it is (*attempt*) and since when (*at*); the
*number* of the question and that of the last grant that it has *seen*; what is *spent* and
*reserved*, how many calls are *flying*; the *amount* that it wants, and whether for a call that is
made *alone*. Once it is *over*, only what was spent."""

Grant = Mapping[str, Any]
"""What the driver answers to question *number*: the *total* that may be spent and in flight, and
whether it *is_all* there is; or in *refused* why there is no more."""


class Allowance(Purse):
    """The purse of a partition. *ask* tells the driver, *look* reads its last answer."""

    def __init__(
        self,
        cap: float,
        clock: Clock,
        ask: Callable[[Ask], None],
        look: Callable[[], Grant | None],
    ) -> None:
        super().__init__(cap, clock)
        self._ask = ask
        self._look = look
        self._granted = 0.0
        self._is_all = False
        self._asked: tuple[Any, ...] = ()
        self._number = 0
        self._seen = 0
        self._talking = False

    async def take(self, bid: Bid, stop: threading.Event) -> float:
        """As `Purse.take`; the driver is asked where the grant does not suffice."""
        while True:
            amount, beside = bid()
            taken, is_short = self._try(amount, beside)
            if taken is not None:
                return taken
            if is_short and not self._talking:
                self._talking = True
                try:
                    has_news = await Aside(functools.partial(self._talk, amount, not beside))
                finally:
                    self._talking = False
                if has_news:
                    continue
            if await Pause(self._clock, _PAUSE, stop):
                raise Interrupted("stopped before this request was sent")

    def close(self) -> None:
        """Tell the driver what was spent; calls that nobody waits for any more may be paid."""
        with self._lock:
            self._ask({"over": True, "spent": self.spent + self._reserved})

    def _try(self, amount: float, beside: float) -> tuple[float | None, bool]:
        """What was reserved of the grant; else None, and whether more of it would help."""
        with self._lock:
            if self._in_flight > beside:
                return None, False
            left = self._granted - self.spent - self._reserved
            if self._is_all and not beside and left > 0:
                amount = min(amount, left)  # it is to find out how long answers are
            if amount > left + _ROUNDING * self.cap:
                return None, True
            self._is_all = False
            self._reserved += amount
            self._in_flight += 1
            return amount, False

    def _talk(self, amount: float, alone: bool) -> bool:
        """Ask for *amount*, or look for the answer; whether there is one. Raises `SpendCap`."""
        with self._lock:
            state = (self.spent, self._reserved, self._in_flight, amount, alone)
            is_new = state != self._asked
            if is_new:
                self._number += 1
                self._asked = state
                self._granted, self._is_all = self.spent + self._reserved, False
        if is_new:
            names = ("spent", "reserved", "flying", "amount", "alone")
            said = dict(zip(names, state, strict=True))
            self._ask({"number": self._number, "seen": self._seen, **said})
        grant = self._look()
        if grant is None or grant["number"] <= self._seen:
            return False
        if "refused" in grant:
            raise SpendCap(*grant["refused"])
        with self._lock:
            self._seen, self._asked = grant["number"], ()
            self._granted, self._is_all = grant["total"], grant["is_all"]
        return True


class Bank:
    """What the driver grants of *purse* to so many *parts*.

    *asks* are the last words of every worker, *grant* tells one of them, *keep* puts on record
    what may have been spent at the most.
    """

    def __init__(
        self,
        purse: Purse,
        parts: int,
        asks: Callable[[], Iterable[Ask]],
        grant: Callable[[Ask, Grant], None],
        keep: Callable[[float], None],
    ) -> None:
        self._purse = purse
        self._parts = parts
        self._asks = asks
        self._grant = grant
        self._keep = keep
        self._before = purse.spent
        self._kept = purse.spent
        self._granted: dict[str, tuple[int, float]] = {}

    def look(self) -> None:
        """Answer whoever asks. Raises what *keep* raises."""
        asks = list(self._asks())
        newest = {(ask["round"], ask["part"]): ask["attempt"] for ask in sorted(asks, key=_age)}
        live = [
            ask
            for ask in asks
            if "over" not in ask and newest[ask["round"], ask["part"]] == ask["attempt"]
        ]
        gone = {ask["attempt"]: self._committed(ask) for ask in asks}
        left = self._purse.cap - self._before - sum(gone.values())
        grants: list[tuple[Ask, Grant]] = []
        idle = all(self._is_open(ask) and not ask["flying"] for ask in live)
        for ask in filter(self._is_open, live):
            amount = ask["amount"]
            if amount <= left + _ROUNDING * self._purse.cap:
                ahead = max(0.0, min(left - amount, left / self._parts / _AHEAD))
                grants.append((ask, self._made(ask, amount + ahead)))
                left -= amount + ahead
            elif idle and ask["alone"] and left > 0 and not grants:
                grants.append((ask, {**self._made(ask, left), "is_all": True}))
                left = 0.0
        if live and idle and not grants:
            self._refuse(live, left)
            return
        if grants:
            self._keep_on_record(self._purse.cap - left)
        for ask, grant in grants:
            self._granted[ask["attempt"]] = (grant["number"], grant["total"])
            self._grant(ask, grant)

    def close(self) -> None:
        """Have the purse know what all have spent: what is not known, at the most."""
        self._purse.spent = self._before + sum(map(self._committed, self._asks()))

    def _is_open(self, ask: Ask) -> bool:
        """Whether the question of *ask* was not answered yet; it then has no grant any more."""
        return "over" not in ask and ask["seen"] == self._last(ask)[0]

    def _committed(self, ask: Ask) -> float:
        """What a worker may have spent when its calls in flight have ended."""
        if "over" in ask:
            return float(ask["spent"])
        if self._is_open(ask):
            return float(ask["spent"] + ask["reserved"])
        return self._last(ask)[1]

    def _last(self, ask: Ask) -> tuple[int, float]:
        return self._granted.get(ask["attempt"], (0, 0.0))

    def _made(self, ask: Ask, more: float) -> dict[str, Any]:
        total = ask["spent"] + ask["reserved"] + more
        return {"number": ask["number"], "total": total, "is_all": False}

    def _keep_on_record(self, drawn: float) -> None:
        if drawn > self._kept:
            self._keep(drawn)
            self._kept = drawn

    def _refuse(self, asks: Iterable[Ask], left: float) -> None:
        least = min(asks, key=lambda ask: float(ask["amount"]))
        self._purse.spent = self._purse.cap - left
        why = self._purse.used_up(least["amount"])
        for ask in asks:
            said = {"number": ask["number"], "refused": [why.message, why.hint]}
            self._grant(ask, said)


def open_bank(recorder: Recorder, exchange: Exchange, parts: int) -> Bank | None:
    """The bank of a run in so many *parts*; None if spending is not limited."""
    if recorder.purse is None:
        return None

    def grant(ask: Ask, said: Grant) -> None:
        exchange.say("grant", ask["round"], ask["part"], ask["attempt"], said)

    asks = functools.partial(exchange.said, "ask")
    return Bank(recorder.purse, parts, asks, grant, recorder.keep_spending)


def _age(ask: Ask) -> Any:
    return ask["at"]
