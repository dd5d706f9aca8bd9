"""Where a worker process does its items: as many at once as its limits let it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from ...client.loop import Loop
from ...client.waiting import Gate, Pause, Wait
from ...clock import Clock
from ...errors import Interrupted
from ...types import Record
from ..rows.items import Item

_TICK = 0.1  # seconds
_TOGETHER = 32  # records
_PACE = 0.008  # seconds: what is done within them is handed over together


class Bench:
    """Does what `put` lays there, in no order, and hands it over by `hand_over`.

    *process* gives a record for each of the items it gets, *group* of them at the most; what it
    raises stops the bench and is in `error`. *workers* is asked again and again how many calls of
    it may be under way. *hand_over* gets the records that are done, by the numbers of their
    items, some ten times a second at the least.
    """

    def __init__(
        self,
        process: Callable[[list[Item]], Coroutine[Wait[Any], Any, Sequence[Record]]],
        *,
        workers: Callable[[], int],
        group: int,
        hand_over: Callable[[list[tuple[int, Record]]], None],
        halt: threading.Event,
        clock: Clock,
    ) -> None:
        self._process = process
        self._workers = workers
        self._group = group
        self._hand_over = hand_over
        self._halt = halt
        self._clock = clock
        self._loop = Loop()
        self._todo: deque[tuple[int, Item]] = deque()
        self._idle: deque[Gate] = deque()
        self._is_complete = False
        self._done: list[tuple[int, Record]] = []
        self._keeper = Gate(_TICK)
        self._hands = 0
        self.error: BaseException | None = None

    def put(self, items: Sequence[tuple[int, Item]]) -> None:
        """Lay *items* there, each with its number. From any thread, as all but `run`."""
        self._todo.extend(items)
        self._wake(-(-len(items) // self._group))

    def complete(self) -> None:
        """Nothing more will come."""
        self._is_complete = True
        self._wake(len(self._idle))

    def stop(self) -> None:
        """Begin nothing more."""
        self._halt.set()
        self._wake(len(self._idle))

    def fail(self, error: BaseException) -> None:
        """Begin nothing more, because of *error*."""
        self.error = self.error or error
        self._halt.set()

    def abandon(self) -> None:
        """Leave what is under way."""
        self._halt.set()
        self._loop.abandon()

    def run(self) -> None:
        """Work until all is done, or the bench is stopped."""
        self._add_hands()
        self._loop.start(self._keep())
        self._loop.run(self._add_hands)
        self._flush()

    def _wake(self, count: int) -> None:
        for _ in range(count):
            try:
                self._idle.popleft().open()
            except IndexError:
                return

    def _add_hands(self) -> None:
        if self._halt.is_set() or (self._is_complete and not self._todo):
            self._wake(len(self._idle))
            return
        for _ in range(max(1, self._workers()) - self._hands):
            self._hands += 1
            self._loop.start(self._work())

    async def _work(self) -> None:
        rounds = 0
        try:
            while not self._halt.is_set():
                batch = self._take()
                if batch:
                    records = await self._process([item for _, item in batch])
                    if not self._done:
                        self._keeper.open()
                    for (number, _), record in zip(batch, records, strict=True):
                        self._done.append((number, record))
                    if len(self._done) >= _TOGETHER:  # the keeper is late: there is much to do
                        self._flush()
                    rounds += 1
                    if rounds % 4 == 0 or self._hands < 4:
                        self._add_hands()  # the limit may have grown
                elif self._is_complete:
                    break
                else:
                    await self._rest()
        except GeneratorExit:  # abandoned
            raise
        except Interrupted:
            self._halt.set()
        except BaseException as error:
            self.fail(error)
        finally:
            self._hands -= 1

    async def _rest(self) -> None:
        """Wait for something to do, or to look up."""
        gate = Gate(_TICK)
        self._idle.append(gate)
        if not self._todo:  # else somebody put it there before the gate was
            await gate
        with suppress(ValueError):  # taken away by who opened it
            self._idle.remove(gate)

    def _take(self) -> list[tuple[int, Item]]:
        todo = self._todo
        batch: list[tuple[int, Item]] = []
        while todo and len(batch) < self._group:
            batch.append(todo.popleft())
        return batch

    async def _keep(self) -> None:
        """Hand over what is done as long as there is anybody who does anything."""
        while self._hands:
            if not self._done:
                gate = self._keeper = Gate(_TICK)
                await gate
            await Pause(self._clock, _PACE)
            self._flush()

    def _flush(self) -> None:
        done, self._done = self._done, []
        self._hand_over(done)
