"""Items read ahead of those who work on them, and numbered in the order in which they come."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

from ...client.waiting import Aside, Gate

Item = TypeVar("Item")

_TICK = 0.1  # seconds: how often those look up who wait for room
_AT_ONCE = 64  # items read aside together
_AHEAD = 16  # items read at a time where that takes no time
_PATIENCE = 0.005  # seconds for which reading aside collects them


class ReadAhead(Generic[Item]):
    """*items* for coroutines of one loop, of which each takes up to *group* at a time.

    Args:
        may_wait: whether the next item may take its time, so that it is read in a thread aside.
        halt: once it is set nothing more is given out.
        room: how many items may be taken beyond as many as it is told; below 1 all must wait,
            until `let_on`.
    """

    def __init__(
        self,
        items: Iterator[Item],
        *,
        group: int,
        may_wait: bool,
        halt: threading.Event,
        room: Callable[[int], int],
    ) -> None:
        self._items = items
        self._group = group
        self._may_wait = may_wait
        self._halt = halt
        self._room = room
        self._read: deque[Item] = deque()
        self._error: BaseException | None = None
        self._exhausted = False
        self._held: deque[Gate] = deque()  # opened by any thread
        self.taken = 0
        """How many items were given out."""
        self.is_reading = False
        """Whether the next items are being read aside."""

    @property
    def is_over(self) -> bool:
        """Whether all items were given out."""
        return self._exhausted and not self._read

    def next(self) -> tuple[int, list[Item]] | None:
        """The next items if they are read already, which is the usual case; see `pull`."""
        read = self._read
        if self._group > 1 or not read or self.is_reading or self._halt.is_set():
            return None
        start = self.taken
        if self._room(start) < 1:
            return None
        self.taken += 1
        return start, [read.popleft()]

    async def pull(self) -> tuple[int, list[Item]] | None:
        """The number of the first and the next items; None if there are no more.

        Raises:
            BaseException: what the items raised, once what came before it is taken.
        """
        late = False  # whether the reader has kept us waiting for longer than a moment
        while not self._halt.is_set():
            room = self._room(self.taken)
            if room < 1:
                await self._hold()
            elif self._read and (late or not self.is_reading or len(self._read) >= self._group):
                return self._take()
            elif self.is_reading:
                late = not await self._hold()
            elif self._exhausted:
                return None
            elif self._error is not None:
                raise self._error
            elif self._may_wait:
                await self._read_aside(room)
            else:
                self._exhausted = self._read_on(max(self._group, min(_AHEAD, room)))
        return None

    def let_on(self) -> None:
        """Have those look again who wait, if there is room. Safe from any thread."""
        if not self._held or self._room(self.taken) < 1:
            return
        for _ in range(len(self._held)):
            try:
                gate = self._held.popleft()
            except IndexError:  # another thread was faster
                return
            gate.open()

    def _take(self) -> tuple[int, list[Item]]:
        items = [self._read.popleft() for _ in range(min(self._group, len(self._read)))]
        start = self.taken
        self.taken += len(items)
        return start, items

    async def _hold(self) -> bool:
        """Wait for room, or for the reader; False when it is time to look again."""
        gate = Gate(_TICK)
        self._held.append(gate)
        if await gate:
            return True
        with suppress(ValueError):  # opened at this very moment
            self._held.remove(gate)
        return False

    async def _read_aside(self, room: int) -> None:
        groups = max(1, min(_AT_ONCE, room) // self._group)
        self.is_reading = True
        try:
            self._exhausted = await Aside(lambda: self._read_on(groups * self._group, _PATIENCE))
        finally:
            self.is_reading = False
            self.let_on()

    def _read_on(self, most: int, seconds: float = math.inf) -> bool:
        """Read items, one at least, for so many seconds; True at the end of all."""
        until = time.monotonic() + seconds
        try:
            for count, item in enumerate(self._items, 1):
                self._read.append(item)
                if count >= most or time.monotonic() > until:
                    return False
        except BaseException as error:  # raised once what came before it is taken
            self._error = error
            return False
        return True
