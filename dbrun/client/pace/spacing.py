"""The pace at which calls start, where an endpoint turns calls away for their rate.

A limit on calls in flight cannot keep to a rate by itself: what a `Retry-After` held back starts
all at once when it is over, a server whose token bucket holds few turns most of that away, and
everybody waits again. So from the first wait on calls start at even distances. At first only so
that twice as many start in a second as can be answered with so many in flight: that spreads out
what was held back, and takes nothing from calls that follow answers. And where a call is refused
although as many were in flight before without trouble, at a pace that is looked for:

- The first pace lies between what the endpoint took since the refusal before, waiting
  included (it takes more, for its bucket may have run over meanwhile), and what it took while
  calls were sent (it takes less, for its bucket was full). It doubles every four seconds until
  the next refusal, which ends this search.
- A refusal for the rate takes a tenth off, one that ends the search a fifth; one that comes
  sooner than the wait before it takes a half, whatever it is for. The pace never falls below what
  the endpoint did take.
- In between it grows so slowly that the waits which probing costs stay below a tenth of the time;
  after a long time without a refusal faster, for the endpoint may take more by now.

Arithmetic on (state, event, now); times and waits are seconds, rates calls a second. Checked
against made-up servers in `tests/client/test_spacing.py`.
"""

from __future__ import annotations

import enum
import math

Turn = tuple[float, int, int]
"""A call that was let through: when, as the how-manieth, and how many were in flight with it."""

_LONG = 20.0
"""Seconds between refusals that are worth a wait of one second; for longer waits so many times
more, `_LONGEST` at the most. What grows is as much slower."""

_LONGEST = 600.0

_SEARCHING = math.log(2) / 4
_PROBING = 0.004
_HASTENING = 0.05
"""Growth a second: during the search, after it, and after a long time without a refusal."""

_MOST_GROWN = 30.0
_BEYOND = 1.5
"""A pace that is so many times what was sent was not tried, and is not known to be too fast."""

_HEADROOM = 2.0
"""Times the calls a second that can be answered with so many in flight."""

_OF_LATE = 0.1
"""How much one answer counts in what a call takes on the average."""

_LATE = 0.005
"""Seconds that somebody who waited may wake up late."""


class Cause(enum.Enum):
    """What a call was refused for."""

    rate = "rate"
    """Too many calls a second: as many were in flight before without trouble."""
    number = "number"
    """Too many calls in flight."""
    unknown = "unknown"
    """The endpoint takes no call at all: nothing can be told from that."""


class Spacing:
    """When the next call may start. Not thread-safe by itself."""

    def __init__(self, now: float) -> None:
        self._count = 0
        self._next = now
        self._rate = math.inf  # when calls went on after the last refusal
        self._is_searching = False
        self._waited = 0.0
        self._long = _LONG
        self._refused: float | None = None  # when the last call that was refused had started
        self._resumed: tuple[float, int] | None = None  # the first call after that
        self._latency = 0.0  # of calls on the average, those of late above all
        self._proven = 0  # as many were in flight without trouble

    @property
    def is_on(self) -> bool:
        """Whether calls start at a pace."""
        return self._rate < math.inf

    def rate(self, now: float) -> float:
        """The calls that may start in a second; infinity if there is no pace."""
        if not self.is_on or self._resumed is None:
            return self._rate
        passed = max(0.0, now - self._resumed[0])
        if self._is_searching:
            grown = passed * _SEARCHING
        else:
            grown = passed * _PROBING + max(0.0, passed - self._long) * _HASTENING
        return self._rate * math.exp(min(grown * _LONG / self._long, _MOST_GROWN))

    def wait(self, now: float) -> float:
        """Seconds until a call may start."""
        return max(0.0, self._next - now)

    def take(self, now: float, in_flight: int, limit: int) -> Turn:
        """A call starts, and so many are *in_flight* with it, of *limit* that may be."""
        turn = (now, self._count, in_flight)
        self._count += 1
        if self._resumed is None:
            self._resumed = turn[:2]
        if self._refused is not None:
            gap = max(1 / self.rate(now), self._latency / (limit * _HEADROOM))
            # Who waited as long as was asked may start one at least, however few were asked before.
            gap = min(gap, max(1.0, self._waited))
            # Who wakes up late makes up for that, but for no more: it would be a burst.
            self._next = max(self._next, now - min(gap, _LATE)) + gap
        return turn

    def succeeded(self, turn: Turn, now: float) -> None:
        """The call of *turn* was answered."""
        took = now - turn[0]
        self._latency += (took - self._latency) * _OF_LATE if self._latency else took
        if turn[2] > self._proven and (self._refused is None or turn[0] > self._refused):
            self._proven = turn[2]

    def refused(self, turn: Turn, retry_after: float, may_be_cut: bool = True) -> Cause:
        """The call of *turn* was refused, the first of those that started after the last wait,
        and everybody waits for *retry_after* now.

        *may_be_cut* says whether there may be fewer in flight; if not, a slower pace has to do.
        """
        cause = self._cause(turn, may_be_cut)
        if self.is_on or cause is Cause.rate:
            self._correct(turn, cause)
        if cause is not Cause.unknown:
            self._proven = min(self._proven, turn[2] - 1)
        self._refused, self._resumed = turn[0], None
        self._next = turn[0]
        self._waited = retry_after
        self._long = min(_LONG * max(1.0, retry_after), _LONGEST)
        return cause

    def _cause(self, turn: Turn, may_be_cut: bool) -> Cause:
        _, number, in_flight = turn
        if self._resumed is None or number == self._resumed[1]:
            return Cause.unknown
        if in_flight > self._proven and may_be_cut:
            return Cause.number
        return Cause.rate if self._refused is not None else Cause.number

    def _correct(self, turn: Turn, cause: Cause) -> None:
        """Set the pace to go on with after a refusal."""
        started, number, _ = turn
        if cause is Cause.unknown or self._refused is None or self._resumed is None:
            self._rate = self.rate(started)
            return
        begun, first = self._resumed
        taken = number - first
        passed = max(started - begun, 1e-3)
        took = taken / max(started - self._refused, 1e-3)
        sent = taken / passed
        if not self.is_on:
            self._rate, self._is_searching = math.sqrt(took * sent), True
            return
        rate = min(self.rate(started), sent * _BEYOND)
        if passed < self._waited:
            rate *= 0.5
        elif cause is Cause.rate:
            rate *= 0.8 if self._is_searching else 0.9
            self._is_searching = False
        self._rate = max(took, rate)
