"""The waits of `waiting.py` on an event loop of asyncio, which meanwhile does other things.

It is the third driver, beside `blocking` and `Loop`: the same coroutines, awaited in a program
that has a loop of its own, such as a notebook or a web server.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from ..clock import Clock
from .loop import Loop, Task
from .waiting import Descriptor, Wait, is_ready

T = TypeVar("T")

_TICK = 0.1
"""Seconds between looks at a stop event."""


async def carried(coroutine: Coroutine[Wait[Any], Any, T]) -> T:
    """What *coroutine* returns or raises, waiting on the running event loop.

    Cancelling the task that awaits it throws the cancellation into *coroutine*, which lets go of
    its connection.
    """
    step: Callable[[Any], Wait[Any]] = coroutine.send
    given: Any = None
    try:
        while True:
            wait = step(given)
            try:
                given, step = await _carried_out(wait), coroutine.send
            except BaseException as error:
                given, step = error, coroutine.throw
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        coroutine.close()


async def _carried_out(wait: Wait[Any]) -> Any:
    turn = _Turn(asyncio.get_running_loop())
    try:
        # To a wait, a loop is what watches sockets and clocks for it.
        wait.arm(cast(Loop, turn), cast(Task, turn))
        return await turn.future
    finally:
        turn.over()


class _Turn:
    """One wait of one coroutine: what `Loop` is to its tasks, for as long as it lasts."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.turn = 0
        self.future: asyncio.Future[Any] = loop.create_future()
        self._loop = loop
        self._now = Clock().now
        self._undo: list[Callable[[], object]] = []

    def watch(self, task: Task, sock: Descriptor, writing: bool, until: float) -> None:
        """As `Loop.watch`."""
        number = sock.fileno()
        add = self._loop.add_writer if writing else self._loop.add_reader
        remove = self._loop.remove_writer if writing else self._loop.remove_reader
        try:
            add(number, self._settle, True, None)
        except NotImplementedError:  # the usual loop of Windows watches no sockets for others
            self.beside(task, lambda: is_ready(sock, writing, max(0.0, until - self._now())))
            return
        self._undo.append(lambda: remove(number))
        self._after(until, False)

    def later(self, task: Task, seconds: float, stop: threading.Event | None) -> None:
        """As `Loop.later`."""
        until = self._now() + max(0.0, seconds)
        self._after(until, False)
        if stop is not None:
            self._look_at(stop)

    def beside(self, task: Task, function: Callable[[], Any]) -> None:
        """As `Loop.beside`: a daemon, for a call that hangs must not keep the process alive."""

        def call() -> None:
            try:
                value = function()
            except BaseException as error:
                self.resume(task, 0, None, error)
            else:
                self.resume(task, 0, value)

        threading.Thread(target=call, name="dbrun-aside", daemon=True).start()

    def resume(self, task: Task, turn: int, value: Any, error: BaseException | None = None) -> None:
        """As `Loop.resume`: from any thread."""
        with contextlib.suppress(RuntimeError):  # the event loop was closed: nobody waits
            self._loop.call_soon_threadsafe(self._settle, value, error)

    def over(self) -> None:
        """The wait has ended, one way or another."""
        for undo in self._undo:
            undo()
        if not self.future.cancel() and not self.future.cancelled():
            self.future.exception()  # nobody may be left to be told

    def _settle(self, value: Any, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(value)
        elif isinstance(error, StopIteration):  # no future takes it
            self.future.set_exception(RuntimeError(f"a call raised StopIteration: {error}"))
        else:
            self.future.set_exception(error)

    def _after(self, until: float, value: Any) -> None:
        handle = self._loop.call_later(max(0.0, until - self._now()), self._settle, value, None)
        self._undo.append(handle.cancel)

    def _look_at(self, stop: threading.Event) -> None:
        if stop.is_set():
            self._settle(True, None)
        elif not self.future.done():
            handle = self._loop.call_later(_TICK, self._look_at, stop)
            self._undo.append(handle.cancel)
