"""Ctrl-C and SIGTERM, for as long as a run lasts."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import Interrupted

_MARGIN = 1.0  # seconds after the grace in which a run ends by itself, unless it is stuck
_HAS_TIMER = hasattr(signal, "setitimer")


@contextmanager
def stopping_on_signals(
    interrupt: Callable[[Interrupted], None], wanted: bool, grace: float
) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the run in good order within *grace* seconds; a second one leaves
    at once. So does the end of the grace, wherever the run may be stuck: writing to a pipe that
    nobody reads, say.

    Raises:
        Interrupted: at whatever is being done, in these two cases.
    """
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield
        return

    stopping: Interrupted | None = None

    def stop(number: int, frame: Any) -> None:
        nonlocal stopping
        code = 130 if number == signal.SIGINT else 143
        name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
        if stopping is not None:
            interrupt(stopping)
            raise stopping
        stopping = Interrupted(f"interrupted by {name}", code)
        with suppress(RuntimeError, OSError, ValueError):  # whatever was just being written
            print(f"\n{name}: finishing what is in flight; once more leaves", file=sys.stderr)
        interrupt(stopping)
        if _HAS_TIMER:
            signal.setitimer(signal.ITIMER_REAL, max(0.0, grace) + _MARGIN)

    def over(number: int, frame: Any) -> None:
        if stopping is not None:
            interrupt(stopping)
            raise stopping

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    if _HAS_TIMER:
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, over)
    try:
        yield
    finally:
        if _HAS_TIMER:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """SIGTERM ends the block by an exception, as Ctrl-C does, so that it is left in good order.

    Raises:
        Interrupted: at whatever is being done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    ended = False

    def end(number: int, frame: Any) -> None:
        nonlocal ended
        ended = True
        raise KeyboardInterrupt  # no function of the user's takes it for an error of its own

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        if ended:
            raise Interrupted("interrupted by SIGTERM", 143) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
