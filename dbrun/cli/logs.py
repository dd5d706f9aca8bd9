"""Showing on standard error what dbrun logs. The library itself never configures logging."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from ..storage import spoken


class _Handler(logging.Handler):
    """Writes to what standard error is at the time, so that lines go above a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        said = spoken(f"{record.levelname.lower()}: {record.getMessage()}")
        print(said, file=sys.stderr, flush=True)


def start(level: str) -> Callable[[], None]:
    """Show records of *level* and above; the function given back ends it."""
    logger = logging.getLogger("dbrun")
    before = logger.level, logger.propagate
    handler = _Handler(level)
    for other in logger.handlers:
        if isinstance(other, _Handler):  # -v and --debug together: each record is said once
            other.setLevel(min(other.level, handler.level))
            logger.setLevel(other.level)
            return lambda: None
    logger.addHandler(handler)
    logger.setLevel(min(handler.level, before[0] or handler.level))
    logger.propagate = False

    def stop() -> None:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]

    return stop
