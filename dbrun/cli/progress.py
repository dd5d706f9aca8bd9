"""How far a run has come, on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..clock import Clock
from ..report.words import counted, money, pace, seconds, tokens
from .session import Session

if TYPE_CHECKING:
    from ..run.options import Progress
    from ..spec.model import Price, Spec

_PACE = 10.0  # seconds between two plain lines
_WORTH_SAYING = 5.0  # seconds without a call


class Watch:
    """An observer that shows nothing and remembers how far the run came."""

    def __init__(self, spec: Spec) -> None:
        self.noun = "row" if spec.each == 1 else "record"
        self._last: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        """Take note of *progress*."""
        self._last = progress

    @property
    def done(self) -> str:
        """`1,200 rows`, or records where rows make several of them."""
        return counted(self._last.tally.rows if self._last else 0, self.noun)

    def close(self) -> None:
        """Show nothing more."""


class PlainWatch(Watch):
    """A line every ten seconds."""

    def __init__(self, session: Session, spec: Spec, clock: Clock) -> None:
        super().__init__(spec)
        self._session = session
        self._name = spec.name
        self._price = common_price(spec)
        self._clock = clock
        self._begun = self._said = clock.now()

    def __call__(self, progress: Progress) -> None:
        """Say how far the run is, if it is time."""
        super().__call__(progress)
        now = self._clock.now()
        if now - self._said >= _PACE:
            self._said = now
            facts = ", ".join(told(progress, now - self._begun, self._price, self.noun))
            self._session.say(f"{self._name}: {facts}")


@contextmanager
def watching(spec: Spec, session: Session, *, quiet: bool) -> Iterator[Watch]:
    """The observer that suits standard error; closed on leaving."""
    watch: Watch
    if quiet:
        watch = Watch(spec)
    elif sys.stderr.isatty():
        from .bar import BarWatch

        watch = BarWatch(spec, Clock())
    else:
        watch = PlainWatch(session, spec, Clock())
    try:
        yield watch
    finally:
        watch.close()


def told(
    progress: Progress, elapsed: float, price: Price | None, noun: str = "row"
) -> Iterator[str]:
    """The facts about *progress* after *elapsed* seconds, the most wanted first."""
    tally, counters = progress.tally, progress.counters
    done, total = tally.rows, progress.total
    yield counted(done, noun) if total is None else f"{done:,} of {counted(total, noun)}"
    yield pace(tally.rows, elapsed)
    yield f"{progress.in_flight} in flight (limit {progress.limit})"
    if tally.errors:
        yield f"{tally.errors:,} failed"
    if (used := tokens(counters.spent.to_json())) is not None:
        yield f"{used} tokens"
    if price is not None:
        yield money(price.of(counters.spent.usage), price.currency)
    if progress.held_for >= 1:
        yield f"held back for {seconds(progress.held_for)}"
    if (due := progress.due) is not None and due[0] >= _WORTH_SAYING:
        yield f"next call in {seconds(due[0])} by limits.{due[1]}"
        return  # what was done so far does not tell how long the rest takes
    left = _left(progress, elapsed)
    if left is not None:
        yield f"{seconds(left)} left"


def common_price(spec: Spec) -> Price | None:
    """The price of every endpoint that is asked, if they have one and the same."""
    prices = [step.endpoint.price for step in spec.asked]
    return prices[0] if all(price == prices[0] for price in prices) else None


def _left(progress: Progress, elapsed: float) -> float | None:
    done = progress.tally.rows
    if progress.total is None or not done:
        return None
    return max(0.0, elapsed / done * (progress.total - done))
