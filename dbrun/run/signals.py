"""Ctrl-C and SIGTERM, for as long as a run lasts."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import Interrupted


@contextmanager
def stopping_on_signals(interrupt: Callable[[Interrupted], None], wanted: bool) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the run in good order; a second one leaves at once."""
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield
        return

    stopping = False

    def stop(number: int, frame: Any) -> None:
        nonlocal stopping
        code = 130 if number == signal.SIGINT else 143
        name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
        if not stopping:
            with suppress(RuntimeError, OSError, ValueError):  # whatever was just being written
                print(f"\n{name}: finishing what is in flight; once more leaves", file=sys.stderr)
        stopping = True
        interrupt(Interrupted(f"interrupted by {name}", code))

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
