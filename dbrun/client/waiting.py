"""What code waits for, apart from how the waiting is done.

The coroutines of dbrun await the waits of this module and nothing else: a socket, a pause, a
gate that somebody opens, a call that takes its time. Two drivers carry them out. `blocking`
waits in the thread that calls it, one coroutine at a time; a `Loop` (`loop.py`) keeps thousands
waiting in one thread, which costs half the CPU that as many threads take from each other. The
HTTP client, the limits and the retry loop are thereby written once for both.
"""

from __future__ import annotations

import select
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ..clock import Clock

if TYPE_CHECKING:
    from .loop import Loop, Task

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Wait(ABC, Generic[T_co]):
    """Something to await: carried out by `block` in this thread, or by `arm` in a loop."""

    __slots__ = ()

    def __await__(self) -> Generator[Wait[Any], Any, T_co]:
        result: T_co = yield self
        return result

    @abstractmethod
    def block(self) -> T_co:
        """Wait here and now."""

    @abstractmethod
    def arm(self, loop: Loop, task: Task) -> None:
        """Have *loop* resume *task* when it is over."""


def blocking(coroutine: Coroutine[Wait[Any], Any, T]) -> T:
    """What *coroutine* returns or raises, waiting in this thread."""
    step: Callable[[Any], Wait[Any]] = coroutine.send
    given: Any = None
    try:
        while True:
            wait = step(given)
            try:
                given, step = wait.block(), coroutine.send
            except BaseException as error:
                given, step = error, coroutine.throw
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        coroutine.close()


class Descriptor(Protocol):
    """A socket, or what stands for one."""

    def fileno(self) -> int:
        """Its number, below 0 once it is closed."""


class Readiness(Wait[bool]):
    """*sock*, which does not block, can be read (or written); False at the time *until*.

    One object serves a socket for all its life: set *until* and *writing* before each wait.
    """

    __slots__ = ("_now", "sock", "until", "writing")

    def __init__(self, sock: Descriptor, now: Callable[[], float]) -> None:
        self.sock = sock
        self.until = 0.0
        self.writing = False
        self._now = now

    def block(self) -> bool:
        """Wait with `poll`."""
        return is_ready(self.sock, self.writing, max(0.0, self.until - self._now()))

    def arm(self, loop: Loop, task: Task) -> None:
        """Have the loop watch the socket."""
        loop.watch(task, self.sock, self.writing, self.until)


def is_ready(sock: Descriptor, writing: bool, seconds: float) -> bool:
    """Whether *sock* can be read (or written) within so many seconds."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLOUT if writing else select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    reads, writes = ([], [sock]) if writing else ([sock], [])
    return any(select.select(reads, writes, writes, seconds))


class Turn(Wait[None]):
    """Until all who can go on have gone on, and what is done `after` that in a loop was done."""

    __slots__ = ()

    def block(self) -> None:
        """There is nobody else."""

    def arm(self, loop: Loop, task: Task) -> None:
        """Go on in the next round."""
        loop.resume(task, task.turn, None)


class Pause(Wait[bool]):
    """Some seconds, or until *stop* is set: True if it was."""

    __slots__ = ("_clock", "_seconds", "_stop")

    def __init__(self, clock: Clock, seconds: float, stop: threading.Event | None = None) -> None:
        self._clock = clock
        self._seconds = seconds
        self._stop = stop

    def block(self) -> bool:
        """Sleep by the clock."""
        return self._clock.sleep(self._seconds, self._stop)

    def arm(self, loop: Loop, task: Task) -> None:
        """Have the loop look at its timers."""
        loop.later(task, self._seconds, self._stop)


class Gate(Wait[bool]):
    """Shut until somebody opens it, from any thread; one waits. False after *seconds*."""

    __slots__ = ("_wake", "is_open", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.is_open = False
        self._wake: Callable[[], None] | None = None

    def open(self) -> None:
        """Let whoever waits go on, now or when they come."""
        # The flag is set before the waker is looked at, and looked at after it was set: one of
        # the two sees the other, and being woken twice does no harm.
        self.is_open = True
        wake = self._wake
        if wake is not None:
            wake()

    def block(self) -> bool:
        """Wait for the opener's signal."""
        opened = threading.Event()
        self._wake = opened.set
        return self.is_open or opened.wait(self.seconds) or self.is_open

    def arm(self, loop: Loop, task: Task) -> None:
        """Have the opener resume the task, or the loop when the seconds are over."""
        turn = task.turn
        self._wake = lambda: loop.resume(task, turn, True)
        if self.is_open:
            loop.resume(task, turn, True)
        else:
            loop.later(task, self.seconds, None)


class Aside(Wait[T]):
    """A call that waits in ways of its own: a loop has a thread make it."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function

    def block(self) -> T:
        """Make the call."""
        return self._function()

    def arm(self, loop: Loop, task: Task) -> None:
        """Have a thread make the call."""
        loop.beside(task, self._function)
