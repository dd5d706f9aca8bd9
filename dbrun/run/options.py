"""What one run is asked to do beyond its spec, and how it tells of its progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import IO

from ..frozen import frozen
from .asking.asker import Asker
from .asking.counters import Counters
from .judging.tally import Tally
from .rows.items import Selection

EXCLUDE = (
    ("fresh", "replay", "one asks for everything, the other sends nothing"),
    ("only_errors", "replay", "one asks again, the other sends nothing"),
    ("only_errors", "fresh", "fresh asks again for every row"),
)
"""Fields of `RunOptions` that contradict each other, and why."""


@frozen
class RunOptions:
    """What one run is asked to do beyond the spec.

    *out* is a path, or `-` for *stream*; *grace* the seconds that what is in flight may take
    after an interrupt; *handle_signals* makes Ctrl-C and SIGTERM stop the run in good order.
    """

    selection: Selection = field(default_factory=Selection)
    only_errors: bool = False
    out: str | None = None
    stream: IO[bytes] | None = None
    fresh: bool = False
    replay: bool = False
    grace: float = 30.0
    handle_signals: bool = False


@frozen
class Progress:
    """How far a run has come, for whoever shows it. *count* tells the rows to do, where known."""

    tally: Tally
    counters: Counters
    askers: Sequence[Asker]
    count: Callable[[], int | None] = lambda: None

    @property
    def total(self) -> int | None:
        """The rows to do, where known."""
        return self.count()

    @property
    def in_flight(self) -> int:
        """Calls under way."""
        return sum(asker.limiter.in_flight for asker in self.askers)

    @property
    def limit(self) -> int:
        """Calls allowed at a time, over all endpoints."""
        return sum(asker.limiter.limit for asker in self.askers)

    @property
    def held_for(self) -> float:
        """Seconds for which an endpoint asked everybody to wait; 0 if none does."""
        return max((asker.limiter.held_for for asker in self.askers), default=0.0)

    @property
    def due(self) -> tuple[float, str] | None:
        """Where nothing is in flight for a rate that the spec sets: the seconds until the next
        call, and the name of that limit."""
        if self.in_flight:
            return None
        dues = [due for asker in self.askers if (due := asker.limiter.due) is not None]
        return min(dues, default=None)


Observer = Callable[[Progress], None]
"""Called some ten times a second, in the thread that runs the pipeline."""
