"""Rates per unit of time: token buckets, as arithmetic on (level, event, now)."""

from __future__ import annotations

SECOND, MINUTE, HOUR = 1.0, 60.0, 3600.0

_BURST = 1 / 60


class Bucket:
    """Lets at most *amount* through in any stretch of *unit* seconds.

    A plain bucket of *amount* that refills at *amount* a unit lets twice that through in its
    first unit. So this one holds a sixtieth of it (a second's worth of a rate per minute, enough
    to make up for waking late) and refills slower by that sixtieth: what it holds and what flows
    in make up *amount*. Up to sixty a unit, the holding is one and the rate is exact.

    What is taken at once may exceed the holding (tokens of a long request): it passes when the
    bucket is full and leaves a debt, which delays those who come next.
    """

    __slots__ = ("_at", "_holds", "_level", "_rate")

    def __init__(self, amount: float, unit: float, now: float) -> None:
        self._holds = max(1.0, amount * _BURST)
        # One call may start at each end of a stretch, so one more than `amount` spans it.
        self._rate = (amount + 1.0 - self._holds) / unit
        self._level = self._holds
        self._at = now

    def wait(self, now: float, need: float = 1.0) -> float:
        """Seconds from *now* until *need* may be taken; 0 for at once."""
        self._refill(now)
        short = min(need, self._holds) - self._level
        # Rounding must not leave a waiter short by a hair when it wakes on time.
        return short / self._rate if short > 1e-9 else 0.0

    def take(self, now: float, amount: float = 1.0) -> None:
        """Take *amount*, or with a negative one give back what was not used after all."""
        self._refill(now)
        self._level = min(self._holds, self._level - amount)

    def _refill(self, now: float) -> None:
        if now > self._at:
            self._level = min(self._holds, self._level + (now - self._at) * self._rate)
            self._at = now
