"""Ctrl-C and SIGTERM, for as long as a run lasts."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import Interrupted
from ..frames import at_work

_PATIENCE = 2.0  # seconds after which functions are named that are still at work
_MARGIN = 1.0  # seconds after the grace in which a run ends by itself, unless it is stuck
_HAS_TIMER = hasattr(signal, "setitimer")


@contextmanager
def stopping_on_signals(
    interrupt: Callable[[Interrupted], None],
    wanted: bool,
    grace: float,
    in_flight: Callable[[], int] = lambda: 1,
) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the run in good order within *grace* seconds; a second one leaves
    at once. So does the end of the grace, wherever the run may be stuck: writing to a pipe that
    nobody reads, say. Functions of the user's that go on are named, and left behind if no call is
    *in_flight*: every answer is in the journal, so nothing is lost that was paid for.

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
        _say(f"\n{name}: finishing what is in flight; once more leaves")
        interrupt(stopping)
        if _HAS_TIMER:
            first = look if grace > _PATIENCE else over
            signal.signal(signal.SIGALRM, first)
            left = _PATIENCE if first is look else max(0.0, grace) + _MARGIN
            signal.setitimer(signal.ITIMER_REAL, left)

    def look(number: int, frame: Any) -> None:
        found = at_work()
        leaves = bool(found) and in_flight() == 0
        if found:
            then = "left behind, no call is in flight" if leaves else "once more leaves"
            _say(f"still at work: {', '.join(found)}; {then}")
        if leaves:
            over(number, frame)
        signal.signal(signal.SIGALRM, over)
        signal.setitimer(signal.ITIMER_REAL, grace - _PATIENCE + _MARGIN)

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


def _say(text: str) -> None:
    with suppress(RuntimeError, OSError, ValueError):  # whatever was just being written
        print(text, file=sys.stderr)


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
