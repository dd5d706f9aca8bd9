"""Map a coroutine function over an iterator: in order, with a bounded window, stoppable.

It knows nothing of language models. An item that is slow holds up nobody until the window (items
taken but not yet handed out) is full. `run` has a thread of its own carry the calls that are under
way, while the caller takes the results in theirs: whatever a caller does, calls go on. `drive`
does both in the caller's thread, which is cheaper where neither side takes its time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Generic, TypeVar

from ..client.loop import Loop
from ..client.waiting import Wait
from ..errors import Interrupted
from .rows.readahead import ReadAhead

Item = TypeVar("Item")
Result = TypeVar("Result")

_TICK = 0.1  # seconds: how often the caller looks up while nothing is ready
_UNTAKEN = 1024  # results that may wait for the caller; more would only cost memory
_PACE = 0.01  # seconds: results that come in a burst are handed out together


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
        self._workers = workers
        self._window = max(window, group)
        self._halt = halt or threading.Event()
        self._source = ReadAhead(
            items, group=group, may_wait=may_wait, halt=self._halt, room=self._room
        )
        self._grace = grace
        self._commit = commit
        self._loop = Loop()
        self._thread = threading.Thread(target=self._carry, name="dbrun-loop", daemon=True)
        self._changed = threading.Condition()  # guards what both threads use:
        self._results: dict[int, Result] = {}
        self._given = 0
        self._error: BaseException | None = None
        self._deadline: float | None = None
        self._ended = False
        self._caller_waits = False
        # Of the loop's thread alone:
        self._fresh: list[tuple[int, Sequence[Result]]] = []
        self._finished = 0
        self._look_at = 1
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
            while True:
                ready, over = self._take_ready()
                yield from ready
                tick()
                if over:
                    break
                if ready:
                    time.sleep(_PACE)
                if self._is_out_of_time():
                    break
            error = self._interrupt or self._error
            if error is not None:
                raise error
        finally:
            self._halt.set()
            self._join()

    def drive(
        self, take: Callable[[Result], None], tick: Callable[[], None] = lambda: None
    ) -> None:
        """*take* the results in the order of the items, in this thread; see `run`.

        Raises:
            RunError, Interrupted: as `run` does.
            BaseException: what *take* or *tick* raised, after all that was in flight has ended
                (or the grace); nothing is taken from then on.
        """
        broken: list[BaseException] = []

        def attempt(step: Callable[[], None]) -> None:
            if not broken:
                try:
                    step()
                except BaseException as error:
                    broken.append(error)
                    self._fail(error)

        def take_ready() -> None:
            while self._given in self._results:
                result = self._results.pop(self._given)
                self._given += 1
                take(result)

        def hand_out() -> None:
            self._hand_in()
            if self._given in self._results:
                attempt(take_ready)
                self._source.let_on()

        def look_up() -> None:
            self._add_workers()
            attempt(tick)
            if self._is_out_of_time():
                self._loop.abandon()

        try:
            self._add_workers()
            self._loop.run(look_up, hand_out)
        finally:
            self._halt.set()
        error = broken[0] if broken else self._interrupt or self._error
        if error is not None:
            raise error

    def _is_out_of_time(self) -> bool:
        """Whether what is in flight is waited for no longer."""
        if not self._halt.is_set() or (self._interrupt or self._error) is None:
            return False
        if self._deadline is None:
            self._deadline = time.monotonic() + self._grace
        return time.monotonic() > self._deadline or self._abandoned.is_set()

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
        if ready:
            self._source.let_on()
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
            if self._source.is_reading and self._loop.tasks == 1:  # what it reads nobody will take
                self._loop.abandon()
        elif not self._source.is_over:
            for _ in range(max(1, self._workers()) - self._loop.tasks):
                self._loop.start(self._work())

    async def _work(self) -> None:
        try:
            while batch := self._source.next() or await self._source.pull():
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

    def _room(self, taken: int) -> int:
        """How many items more than *taken* there may be under way: reading waits for the oldest
        item, and for a caller who is slower."""
        ahead = taken - self._given
        if ahead >= _UNTAKEN and (self._fresh or self._given in self._results):
            return 0
        return self._window - ahead

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
        self._source.let_on()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if self._error is None:
                self._error = error
            self._changed.notify_all()
        self._halt.set()
