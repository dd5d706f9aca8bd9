"""Time as a dependency: the only module that reads the clock or sleeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone


class Clock:
    """The machine's clock. Tests pass a subclass whose time is a number."""

    now: Callable[[], float] = staticmethod(time.monotonic)
    """Seconds that only ever grow, from an arbitrary start. (Asked a dozen times for each
    request, so it is the system's function itself.)"""

    def wall(self) -> datetime:
        """The date and time in UTC."""
        return datetime.now(timezone.utc)

    def busy(self) -> float:
        """Seconds of CPU that this process has used, over all threads."""
        return time.process_time()

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> bool:
        """Sleep, waking early when *stop* is set; True if it was."""
        if stop is None:
            time.sleep(max(0.0, seconds))
            return False
        return stop.wait(max(0.0, seconds))
