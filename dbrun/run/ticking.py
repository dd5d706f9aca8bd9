"""What is done now and then in a run: telling how far it has come, syncing its journal."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from ..client.journal import Journal
from ..clock import Clock
from ..sources.base import Source
from ..spec.model import Spec
from .opening import Opened
from .options import Observer, Progress
from .rows.items import Selection

_SHOWN_EVERY = 0.1  # seconds
_SYNCED_EVERY = 1.0  # seconds
_COUNTED_AT_ONCE = 0.05  # seconds


def ticker(
    journal: Journal, clock: Clock, progress: Progress, observe: Observer
) -> Callable[[], None]:
    """A function to be called often, which has *observe* see the *progress* ten times a second."""
    synced = seen = clock.now()

    def tick() -> None:
        nonlocal synced, seen
        now = clock.now()
        if now - seen >= _SHOWN_EVERY:
            seen = now
            journal.heed()
            observe(progress)
        if now - synced >= _SYNCED_EVERY:
            # A power cut loses a second of answers at the most; a killed process none.
            journal.sync()
            synced = now

    return tick


def records_to_come(spec: Spec, selection: Selection, parts: Opened, source: Source) -> int | None:
    """How many records a run makes, where that can be told before the rows are read."""
    wanted = spec.source
    if (
        wanted.filter is not None
        or any(branch.row for branch in parts.branches)
        or selection.ids is not None
    ):
        return None
    rows = source.count()
    if rows is None:
        return None
    most = (wanted.limit, selection.sample, selection.limit)
    taken = min([rows, *(limit for limit in most if limit is not None)])
    return taken * len(parts.branches) * spec.repeats


def counted_aside(count: Callable[[], int | None]) -> Callable[[], int | None]:
    """*count* as something that can be asked often and keeps nobody waiting: None until it is
    known. It is called once, when somebody first wants to know, for it may look through all rows.
    """
    found: list[int | None] = []

    def look() -> None:
        with suppress(Exception):  # whoever reads the rows for good says what is wrong with them
            found.append(count())

    counter = threading.Thread(target=look, name="dbrun-count", daemon=True)

    def known() -> int | None:
        if counter.ident is None:
            counter.start()
            counter.join(_COUNTED_AT_ONCE)  # most sources are small
        return found[0] if found else None

    return known
