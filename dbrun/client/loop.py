"""Many coroutines in one thread: the driver for runs with many calls in flight.

It knows the waits of `waiting.py` and no others, which is what makes it small, and cheap per
wake-up: a socket stays registered with the selector from call to call, and deadlines of sockets
are looked through ten times a second rather than kept in order.
"""

from __future__ import annotations

import contextlib
import heapq
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from queue import SimpleQueue
from typing import Any

from ..clock import Clock
from .waiting import Descriptor, Wait

_TICK = 0.1
"""Seconds between looks at deadlines and stop events."""

_READ = selectors.EVENT_READ
_WRITE = selectors.EVENT_WRITE


class Task:
    """A coroutine on its way. *turn* counts its waits: what is late for one wakes no other."""

    __slots__ = ("coroutine", "turn")

    def __init__(self, coroutine: Coroutine[Wait[Any], Any, None]) -> None:
        self.coroutine = coroutine
        self.turn = 0


class _Watch:
    """What is registered of a socket, and who waits for it."""

    __slots__ = ("mask", "number", "sock", "task", "until")

    def __init__(self, sock: Descriptor, number: int, mask: int) -> None:
        self.sock = sock
        self.number = number
        self.mask = mask
        self.task: Task | None = None
        self.until = 0.0


class Loop:
    """Carries coroutines to their ends in the thread that calls `run`.

    `resume` may be called from any thread, everything else from the loop's own.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._now = (clock or Clock()).now
        self._selector = selectors.DefaultSelector()
        self._tasks: set[Task] = set()
        self._ready: deque[tuple[Task, int, Any, BaseException | None]] = deque()
        self._watches: dict[int, _Watch] = {}
        self._timers: list[tuple[float, int, Task, int]] = []
        self._timer_count = 0
        self._stops: dict[Task, tuple[int, threading.Event]] = {}
        self._helpers = _Helpers()
        self._asleep = False
        self._abandoned = False
        self._bell, self._ringer = socket.socketpair()
        for end in (self._bell, self._ringer):
            end.setblocking(False)
        self._selector.register(self._bell, _READ, None)

    @property
    def tasks(self) -> int:
        """How many coroutines are on their way."""
        return len(self._tasks)

    def start(self, coroutine: Coroutine[Wait[Any], Any, None]) -> None:
        """Take up *coroutine*; it runs until its first wait when its turn comes."""
        task = Task(coroutine)
        self._tasks.add(task)
        self._ready.append((task, 0, None, None))

    def run(
        self, tick: Callable[[], None] = lambda: None, after: Callable[[], None] = lambda: None
    ) -> None:
        """Carry on until every coroutine has ended.

        *tick* is called some ten times a second, *after* each time that all who could go on have
        gone on.

        Raises:
            BaseException: what a coroutine raised; the others are closed then.
        """
        ready, select = self._ready, self._selector.select
        look_up = self._now() + _TICK
        try:
            while self._tasks and not self._abandoned:
                for _ in range(len(ready)):
                    self._step(*ready.popleft())
                after()
                now = self._now()
                try:
                    events = select(self._patience(now, look_up))
                except OSError:  # a system that looks at closed sockets, too
                    if not self._forget_closed():
                        raise
                    events = []
                for key, _ in events:
                    self._noticed(key.data)
                self._asleep = False
                if self._timers:
                    self._ring_timers()
                if now >= look_up:  # after the selector: what came in time is no time-out
                    look_up = now + _TICK
                    self._look_up(now)
                    tick()
        finally:
            self._close()

    def abandon(self) -> None:
        """Have `run` return soon, whatever is under way. Safe from any thread."""
        self._abandoned = True
        self._ring()

    def resume(self, task: Task, turn: int, value: Any, error: BaseException | None = None) -> None:
        """Let *task* go on from its wait number *turn*, if it is still at that."""
        self._ready.append((task, turn, value, error))
        if self._asleep:
            self._ring()

    def watch(self, task: Task, sock: Descriptor, writing: bool, until: float) -> None:
        """Resume *task* when *sock* is ready, with False at the time *until*."""
        mask = _WRITE if writing else _READ
        number = sock.fileno()
        watch = self._watches.get(number)
        if watch is None or watch.sock is not sock:
            if watch is not None:  # a closed socket, whose number this one got
                self._forget(watch)
            watch = _Watch(sock, number, mask)
            self._selector.register(number, mask, watch)
            self._watches[number] = watch
        elif watch.mask != mask:
            self._selector.modify(number, mask, watch)
            watch.mask = mask
        watch.task = task
        watch.until = until

    def later(self, task: Task, seconds: float, stop: threading.Event | None) -> None:
        """Resume *task* with False after so many seconds, or with True once *stop* is set."""
        self._timer_count += 1
        timer = (self._now() + max(0.0, seconds), self._timer_count, task, task.turn)
        heapq.heappush(self._timers, timer)
        if stop is not None:
            self._stops[task] = (task.turn, stop)

    def beside(self, task: Task, function: Callable[[], Any]) -> None:
        """Resume *task* with what *function* gives or raises, called in another thread."""
        turn = task.turn

        def call() -> None:
            try:
                value = function()
            except BaseException as error:
                self.resume(task, turn, None, error)
            else:
                self.resume(task, turn, value)

        self._helpers.have(call)

    def _step(self, task: Task, turn: int, value: Any, error: BaseException | None) -> None:
        """Run *task* up to its next wait."""
        if turn != task.turn or task not in self._tasks:
            return
        task.turn += 1
        if self._stops:
            self._stops.pop(task, None)
        try:
            wait = task.coroutine.send(value) if error is None else task.coroutine.throw(error)
        except StopIteration:
            self._tasks.discard(task)
        except BaseException:
            self._tasks.discard(task)
            raise
        else:
            try:
                wait.arm(self, task)
            except Exception as error:  # a socket that is closed, no thread to be had
                self.resume(task, task.turn, None, error)

    def _patience(self, now: float, look_up: float) -> float:
        """The seconds that the selector may wait."""
        if self._timers:
            look_up = min(look_up, self._timers[0][0])
        # Others look at the flag after they made something ready: set it before looking at that.
        self._asleep = True
        busy = self._ready or self._abandoned or not self._tasks
        return 0.0 if busy else max(0.0, look_up - now)

    def _noticed(self, watch: _Watch | None) -> None:
        if watch is None:
            with contextlib.suppress(BlockingIOError):
                while len(self._bell.recv(4096)) == 4096:
                    pass
        elif watch.task is None:  # hung up, or an answer that nobody asked for
            self._forget(watch)
        else:
            task, watch.task = watch.task, None
            self._ready.append((task, task.turn, True, None))

    def _ring_timers(self) -> None:
        now = self._now()
        while self._timers and self._timers[0][0] <= now:
            _, _, task, turn = heapq.heappop(self._timers)
            waits_for = self._stops.get(task)
            stopped = waits_for is not None and waits_for[1].is_set()
            self._ready.append((task, turn, stopped, None))

    def _look_up(self, now: float) -> None:
        """What the selector does not tell: deadlines of sockets, and stop events."""
        for watch in self._watches.values():
            if watch.task is not None and now >= watch.until:
                task, watch.task = watch.task, None
                self._ready.append((task, task.turn, False, None))
        for task, (turn, stop) in list(self._stops.items()):
            if stop.is_set():
                self._ready.append((task, turn, True, None))

    def _forget(self, watch: _Watch) -> None:
        del self._watches[watch.number]
        with contextlib.suppress(KeyError, OSError):  # closed: the system has forgotten it, too
            self._selector.unregister(watch.number)

    def _forget_closed(self) -> bool:
        """Forget what was closed, if there is anything; whoever waits for it finds out."""
        closed = [watch for watch in self._watches.values() if watch.sock.fileno() != watch.number]
        for watch in closed:
            if watch.task is not None:
                self._noticed(watch)
            self._forget(watch)
        return bool(closed)

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # full of rings already, or the loop is closed
            self._ringer.send(b"!")

    def _close(self) -> None:
        self._asleep = False
        tasks, self._tasks = self._tasks, set()
        with contextlib.ExitStack() as closing:  # every one of them, whatever one of them raises
            closing.callback(self._ringer.close)
            closing.callback(self._bell.close)
            closing.callback(self._selector.close)
            closing.callback(self._helpers.close)
            for task in tasks:
                closing.callback(task.coroutine.close)


class _Helpers:
    """Threads for calls that wait in ways of their own; as many as there are calls at once.

    They are daemons: a call that hangs must not keep the process from ending.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._free = 0
        self._threads = 0

    def have(self, call: Callable[[], None]) -> None:
        """Have a thread make *call*, which raises nothing."""
        with self._lock:
            self._free -= 1
            if self._free < 0:
                self._add_thread()
        self._calls.put(call)

    def close(self) -> None:
        """Let the threads end when they have nothing to do."""
        for _ in range(self._threads):
            self._calls.put(None)

    def _add_thread(self) -> None:
        name = f"dbrun-aside-{self._threads + 1}"
        try:
            threading.Thread(target=self._work, name=name, daemon=True).start()
        except RuntimeError:  # no more are to be had: the call waits for one of those there are
            if self._threads:
                return
            self._free += 1
            raise
        self._threads += 1
        self._free += 1

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            with self._lock:
                self._free += 1
