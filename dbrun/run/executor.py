"""Map a function over an iterator with threads: in order, with a bounded window, stoppable.

It knows nothing of language models. Workers take their next items themselves, so that no item
waits in a queue between threads; the caller's thread takes the results in order. An item that
is slow holds up nobody until the window (items taken but not yet handed out) is full.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Generic, TypeVar

from ..errors import Interrupted

Item = TypeVar("Item")
Result = TypeVar("Result")

_TICK = 0.1  # seconds: how often the caller looks up while nothing is ready
_RAMP = 0.005  # seconds: the same, while threads may still be added
_UNTAKEN = 1024  # results that may wait for the caller; more would only cost memory
_PACE = 0.002  # seconds: results that come in a burst are handed out together


class Executor(Generic[Item, Result]):
    """One pass of *function* over *items*.

    Args:
        function: takes a list of items, gives as many results. It may raise only for trouble
            that concerns every item (`RunError`): feeding stops, and the first such error is
            raised once what is in flight has ended.
        items: read lazily, under a lock, from several threads.
        workers: how many threads there should be, given how many there are; asked again and
            again, so that threads come when there is waiting for them to do. Threads that only
            compute stand in each other's way.
        window: how far reading may run ahead of the oldest unfinished item.
        group: how many items one call of *function* takes at the most.
        halt: set by this executor when feeding must stop; waiting in *function* should wake.
    """

    def __init__(
        self,
        function: Callable[[list[Item]], Sequence[Result]],
        items: Iterator[Item],
        *,
        workers: Callable[[int], int],
        window: int,
        group: int = 1,
        halt: threading.Event | None = None,
        grace: float = 30.0,
    ) -> None:
        self._function = function
        self._items = items
        self._workers = workers
        self._window = max(window, group)
        self._group = group
        self._halt = halt or threading.Event()
        self._grace = grace
        self._pull_lock = threading.Lock()
        self._changed = threading.Condition()  # guards everything below
        self._results: dict[int, Result] = {}
        self._taken = 0
        self._given = 0
        self._alive = 0
        self._exhausted = False
        self._error: BaseException | None = None
        self._ramping = True
        self._caller_waits = False
        self._window_waits = False
        self._threads: list[threading.Thread] = []
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
                and every result before the first gap was handed out.
            Interrupted: after `interrupt`.
        """
        try:
            self._spawn()
            deadline: float | None = None
            while True:
                ready, over = self._take_ready()
                yield from ready
                tick()
                if over:
                    break
                if ready:
                    time.sleep(_PACE)
                self._spawn()
                if self._halt.is_set() and self._interrupt is not None:
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
            if self._given not in self._results and not self._over():
                self._caller_waits = True
                self._changed.wait(_RAMP if self._ramping else _TICK)
                self._caller_waits = False
            ready = []
            while (result := self._results.pop(self._given, self)) is not self:
                ready.append(result)
                self._given += 1
            if ready and self._window_waits:
                self._window_waits = False
                self._changed.notify_all()
            return ready, self._over() and not ready  # type: ignore[return-value]

    def _over(self) -> bool:
        stopped = self._exhausted or self._error is not None or self._halt.is_set()
        return stopped and not self._alive and self._given not in self._results

    def _spawn(self) -> None:
        """Start threads up to what is wanted now; they live until there is nothing left."""
        wanted = max(1, self._workers(len(self._threads)))
        self._ramping = wanted > len(self._threads) > 0
        while len(self._threads) < wanted:
            if self._exhausted or self._halt.is_set():
                return
            name = f"dbrun-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            with self._changed:
                # Counted before it runs, so that the caller does not think all is done
                # before the thread has taken its first item.
                self._alive += 1
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        try:
            while batch := self._pull():
                start, items = batch
                try:
                    results = self._function(items)
                except BaseException as error:
                    self._fail(error)
                    return
                self._hand_in(start, results)
        finally:
            with self._changed:
                self._alive -= 1
                self._changed.notify_all()

    def _pull(self) -> tuple[int, list[Item]] | None:
        with self._pull_lock:
            while self._is_full() and not self._halt.is_set():
                with self._changed:
                    if self._is_full():
                        self._window_waits = True
                        self._changed.wait(_TICK)
            if self._exhausted or self._halt.is_set():
                return None
            try:
                items = list(islice(self._items, self._group))
            except BaseException as error:
                self._fail(error)
                return None
            if len(items) < self._group:
                self._exhausted = True
            if not items:
                return None
            start = self._taken
            self._taken += len(items)
            return start, items

    def _is_full(self) -> bool:
        """Whether reading must wait: for the oldest item, or for a caller who is slower."""
        ahead = self._taken - self._given
        return ahead >= self._window or (ahead >= _UNTAKEN and self._given in self._results)

    def _hand_in(self, start: int, results: Sequence[Result]) -> None:
        with self._changed:
            for offset, result in enumerate(results):
                self._results[start + offset] = result
            if self._caller_waits and self._given in self._results:
                self._caller_waits = False
                self._changed.notify_all()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if self._error is None:
                self._error = error
            self._changed.notify_all()
        self._halt.set()

    def _join(self) -> None:
        if self._interrupt is not None:
            return  # the grace is over; daemon threads end with the process
        deadline = time.monotonic() + self._grace
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
