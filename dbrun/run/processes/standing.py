"""An endpoint's limits in all worker processes together, for progress and the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from .messages import Pace


class Standing:
    """The limiters of one endpoint in all processes, each as it was told last.

    To whoever only looks at it it looks like a limiter itself.
    """

    def __init__(self) -> None:
        self._paces: dict[int, Pace] = {}
        self._histories: dict[int, tuple[float, tuple[tuple[float, int, str], ...]]] = {}

    def told(self, worker: int, pace: Pace) -> None:
        """How it stands in process number *worker*."""
        self._paces[worker] = pace
        if pace.history:
            self._histories[worker] = (pace.started, pace.history)

    def gone(self, worker: int) -> None:
        """Process number *worker* makes no calls any more."""
        if (pace := self._paces.get(worker)) is not None:
            self._paces[worker] = replace(pace, limit=0, in_flight=0, held_for=0.0)

    def lost(self, worker: int) -> None:
        """Process number *worker* is gone, and another takes its place with its share."""
        self._paces.pop(worker, None)
        self._histories.pop(worker, None)

    @property
    def due(self) -> tuple[float, str] | None:
        """None: processes do not tell what they wait for."""
        return None

    @property
    def limit(self) -> int:
        """Calls that may be in flight now."""
        return sum(pace.limit for pace in self._paces.values())

    @property
    def in_flight(self) -> int:
        """Calls in flight."""
        return sum(pace.in_flight for pace in self._paces.values())

    @property
    def held_for(self) -> float:
        """Seconds for which a `Retry-After` still holds calls back."""
        return max((pace.held_for for pace in self._paces.values()), default=0.0)

    @property
    def waited(self) -> float:
        """Seconds in which a `Retry-After` held calls back, so far."""
        return max((pace.waited for pace in self._paces.values()), default=0.0)

    @property
    def history(self) -> list[tuple[float, int, str]]:
        """(seconds since the start, limit, reason) of every change of the sum of all limits."""
        return list(_joined(list(self._histories.values())))


def _joined(
    histories: Sequence[tuple[float, Sequence[tuple[float, int, str]]]],
) -> Iterator[tuple[float, int, str]]:
    """The changes of the sum of several limits, each known from its start on."""
    if not histories:
        return
    begun = min(started for started, _ in histories)
    limits = [history[0][1] for _, history in histories]
    yield 0.0, sum(limits), "start"
    changes = sorted(
        (started - begun + seconds, number, limit, reason)
        for number, (started, history) in enumerate(histories)
        for seconds, limit, reason in history[1:]
    )
    for seconds, number, limit, reason in changes:
        limits[number] = limit
        yield seconds, sum(limits), reason
