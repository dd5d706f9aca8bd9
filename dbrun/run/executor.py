"""Map a coroutine function over an iterator: in order, with a bounded window, stoppable.

It knows nothing of language models. One thread of its own carries the calls that are under way;
the caller's thread takes the results in order. An item that is slow holds up nobody until the
window (items taken but not yet handed out) is full.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from ..client.loop import Loop
from ..client.waiting import Aside, Gate, Wait
from ..errors import Interrupted

Item = TypeVar("Item")
Result = TypeVar("Result")

_TICK = 0.1  # seconds: how often the caller looks up while nothing is ready
_UNTAKEN = 1024  # results that may wait for the caller; more would only cost memory
_PACE = 0.01  # seconds: results that come in a burst are handed out together
_AT_ONCE = 64  # items read aside together
_AHEAD = 16  # items read at a time where that takes no time
_PATIENCE = 0.005  # seconds for which reading aside collects them


class Executor(Generic[Item, Result]):
    """One pass of *function* over *items*.

    Args:
        function: takes a list of items, gives as many results. It may raise only for trouble
            that concerns every item (`RunError`): feeding stops, and the first such error is
            raised once what is in flight has ended.
        items: read lazily, one reader at a time.
        workers: how many calls of *function* may be under way; asked again and again.
        window: how far reading may run ahead of the oldest unfinished item.
        group: how many items one call of *function* takes at the most.
        may_wait: whether the next item may take its time, so that it is read in a thread aside.
        halt: set by this executor when feeding must stop; waiting in *function* should wake.
        commit: called whenever all that could go on has gone on, and before results that came
            of it are handed out.
    """

    def __init__(
        self,
        function: Callable[[list[Item]], Coroutine[Wait[Any], Any, Sequence[Result]]],
        items: Iterator[Item],
        *,
        workers: Callable[[], int],
        window: int,
        group: int = 1,
        may_wait: bool = True,
        halt: threading.Event | None = None,
        grace: float = 30.0,
        commit: Callable[[], None] = lambda: None,
    ) -> None:
        self._function = function
        self._items = items
        self._workers = workers
        self._window = max(window, group)
        self._group = group
        self._may_wait = may_wait
        self._halt = halt or threading.Event()
        self._grace = grace
        self._commit = commit
        self._loop = Loop()
        self._thread = threading.Thread(target=self._carry, name="dbrun-loop", daemon=True)
        self._changed = threading.Condition()  # guards what both threads use:
        self._results: dict[int, Result] = {}
        self._given = 0
        self._error: BaseException | None = None
        self._ended = False
        self._caller_waits = False
        self._held: deque[Gate] = deque()  # opened by either
        # Of the loop's thread alone:
        self._fresh: list[tuple[int, Sequence[Result]]] = []
        self._taken = 0
        self._finished = 0
        self._look_at = 1
        self._read: deque[Item] = deque()
        self._reading = False
        self._read_error: BaseException | None = None
        self._exhausted = False
        self._interrupt: Interrupted | None = None
        self._abandoned = threading.Event()

    def interrupt(self, reason: Interrupted) -> None:
        """Stop feeding; let what is in flight finish for the grace, then raise *reason*.

        A second call stops waiting at once. Safe to call from a signal handler.
        """
        if self._interrupt is not None:
            self._abandoned.set()
        self._interrupt = self._interrupt or reason
        self._halt.set()

    def run(self, tick: Callable[[], None] = lambda: None) -> Iterator[Result]:
        """The results in the order of the items; *tick* is called some ten times a second.

        Raises:
            RunError: what *function* or *items* raised, after all that was in flight has ended
                (or the grace) and every result before the first gap was handed out.
            Interrupted: after `interrupt`.
        """
        self._thread.start()
        try:
            deadline: float | None = None
            while True:
                ready, over = self._take_ready()
                yield from ready
                tick()
                if over:
                    break
                if ready:
                    time.sleep(_PACE)
                if self._halt.is_set() and (self._interrupt or self._error) is not None:
                    deadline = deadline or time.monotonic() + self._grace
                    if time.monotonic() > deadline or self._abandoned.is_set():
                        break
            if self._error is not None and self._interrupt is None:
                raise self._error
            if self._interrupt is not None:
                raise self._interrupt
        finally:
            self._halt.set()
            self._join()

    def _take_ready(self) -> tuple[list[Result], bool]:
        with self._changed:
            if self._given not in self._results and not self._ended:
                self._caller_waits = True
                self._changed.wait(_TICK)
                self._caller_waits = False
            ready: list[Result] = []
            while self._given in self._results:
                ready.append(self._results.pop(self._given))
                self._given += 1
        if ready and self._held:
            self._let_on()
        return ready, self._ended and not ready

    def _join(self) -> None:
        if self._interrupt is None and self._error is None:  # else the grace is over
            self._thread.join(self._grace)
        self._loop.abandon()
        self._thread.join(1.0)

    def _carry(self) -> None:
        """The loop's thread."""
        try:
            self._add_workers()
            self._loop.run(self._add_workers, self._hand_in)
        except BaseException as error:
            self._fail(error)
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _add_workers(self) -> None:
        """Have as many workers as are wanted now; they live until there is nothing left."""
        if self._halt.is_set():
            if self._reading and self._loop.tasks == 1:  # what it reads nobody will take
                self._loop.abandon()
        elif self._read or not self._exhausted:
            for _ in range(max(1, self._workers()) - self._loop.tasks):
                self._loop.start(self._work())

    async def _work(self) -> None:
        try:
            while batch := self._next() or await self._pull():
                start, items = batch
                self._fresh.append((start, await self._function(items)))
                self._finished += 1
                if self._finished >= self._look_at:
                    # Once a round is enough: the limit moves with rounds.
                    self._look_at = self._finished + self._loop.tasks
                    self._add_workers()
        except GeneratorExit:  # abandoned
            raise
        except BaseException as error:
            self._fail(error)

    def _next(self) -> tuple[int, list[Item]] | None:
        """The next items if they are read already, which is the usual case."""
        read = self._read
        if self._group > 1 or not read or self._reading or self._is_full() or self._halt.is_set():
            return None
        start = self._taken
        self._taken += 1
        return start, [read.popleft()]

    async def _pull(self) -> tuple[int, list[Item]] | None:
        """The next items and the number of the first; None if there are no more."""
        late = False  # whether the reader has kept us waiting for longer than a moment
        while not self._halt.is_set():
            if self._is_full():
                await self._hold()
            elif self._read and (late or not self._reading or len(self._read) >= self._group):
                return self._take()
            elif self._reading:
                late = not await self._hold()
            elif self._exhausted:
                return None
            elif self._read_error is not None:
                raise self._read_error
            elif self._may_wait:
                await self._read_aside()
            else:
                room = self._window - (self._taken - self._given)
                self._exhausted = self._read_on(max(self._group, min(_AHEAD, room)))
        return None

    def _take(self) -> tuple[int, list[Item]]:
        items = [self._read.popleft() for _ in range(min(self._group, len(self._read)))]
        start = self._taken
        self._taken += len(items)
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

    async def _read_aside(self) -> None:
        room = self._window - (self._taken - self._given)
        groups = max(1, min(_AT_ONCE, room) // self._group)
        self._reading = True
        try:
            self._exhausted = await Aside(lambda: self._read_on(groups * self._group, _PATIENCE))
        finally:
            self._reading = False
            self._let_on()

    def _read_on(self, most: int, seconds: float = math.inf) -> bool:
        """Read items, one at least, for so many seconds; True at the end of all."""
        until = time.monotonic() + seconds
        try:
            for count, item in enumerate(self._items, 1):
                self._read.append(item)
                if count >= most or time.monotonic() > until:
                    return False
        except BaseException as error:  # raised once what came before it is taken
            self._read_error = error
            return False
        return True

    def _let_on(self) -> None:
        """Have those look again who wait for room, or for the reader."""
        for _ in range(len(self._held)):
            try:
                gate = self._held.popleft()
            except IndexError:  # the other thread was faster
                return
            gate.open()

    def _is_full(self) -> bool:
        """Whether reading must wait: for the oldest item, or for a caller who is slower."""
        ahead = self._taken - self._given
        is_waited_for = bool(self._fresh) or self._given in self._results
        return ahead >= self._window or (ahead >= _UNTAKEN and is_waited_for)

    def _hand_in(self) -> None:
        """Give the caller what has come since the last time."""
        try:
            self._commit()  # also what is no result yet: one step's answer of several
        except BaseException as error:
            self._fresh.clear()
            self._fail(error)
            return
        if not self._fresh:
            return
        with self._changed:
            for start, results in self._fresh:
                for offset, result in enumerate(results):
                    self._results[start + offset] = result
            self._fresh.clear()
            if self._caller_waits and self._given in self._results:
                self._caller_waits = False
                self._changed.notify_all()
        if self._held and not self._is_full():
            self._let_on()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if self._error is None:
                self._error = error
            self._changed.notify_all()
        self._halt.set()
