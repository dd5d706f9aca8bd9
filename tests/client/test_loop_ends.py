"""How a loop ends: by itself, by an error, abandoned; whatever was under way gives back its own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest
from fakes.driving import all_looping, looping, soon
from fakes.origin import Origin, ok
from fakes.origin import Pause as Silence
from fakes.sending import post

from dbrun.client import loop as loop_module
from dbrun.client.limits import Limiter, Outcome
from dbrun.client.loop import Loop
from dbrun.client.transport import Transport
from dbrun.client.waiting import Aside, Gate, Pause, Readiness, Wait
from dbrun.clock import Clock
from dbrun.errors import TimedOut
from dbrun.spec.model import Concurrency, Limits

CLOCK = Clock()
LONG = 30.0  # what takes as long has failed


def sockets() -> tuple[socket.socket, socket.socket]:
    near, far = socket.socketpair()
    near.setblocking(False)
    return near, far


def wait_for_nothing(near: socket.socket) -> dict[str, Wait[object]]:
    never = threading.Event()
    readiness = Readiness(near, time.monotonic)
    readiness.until = time.monotonic() + LONG
    return {
        "a socket": readiness,
        "a pause": Pause(CLOCK, LONG, never),
        "a gate": Gate(LONG),
        "a call": Aside(lambda: never.wait(5)),
    }


def test_an_empty_loop_ends_at_once() -> None:
    ticks: list[int] = []
    Loop().run(lambda: ticks.append(1))
    assert not ticks


def test_the_end_of_the_last_coroutine_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for when there is nothing to wait for."""
    monkeypatch.setattr(loop_module, "_TICK", LONG)

    async def work() -> int:
        await Pause(CLOCK, 0.001)
        return 1

    assert looping(work()) == 1


def test_coroutines_may_be_added_on_the_way() -> None:
    loop = Loop()
    done: list[int] = []

    async def work(number: int) -> None:
        if number < 5:
            loop.start(work(number + 1))
            loop.start(work(number + 1))
        await Pause(CLOCK, 0)
        done.append(number)

    loop.start(work(0))
    loop.run()
    assert [done.count(number) for number in range(6)] == [1, 2, 4, 8, 16, 32]
    assert loop.tasks == 0


def test_the_tick_is_called_and_may_add_coroutines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "_TICK", 0.005)
    loop = Loop()
    gate = Gate(LONG)
    ticks: list[int] = []

    async def opening() -> None:
        gate.open()

    def tick() -> None:
        ticks.append(loop.tasks)
        if len(ticks) == 3:
            loop.start(opening())

    async def work() -> None:
        assert await gate

    loop.start(work())
    loop.run(tick)
    assert ticks[:3] == [1, 1, 1]


@pytest.mark.parametrize("by", ["an error", "no exception", "the tick"])
def test_what_is_raised_ends_all_others(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "_TICK", 0.01)
    error = KeyboardInterrupt() if by == "no exception" else LookupError("here")
    near, far = sockets()
    loop = Loop()
    closed: list[str] = []

    async def waiting(name: str, wait: Wait[object]) -> None:
        try:
            await wait
        finally:
            closed.append(name)

    async def failing() -> None:
        await Pause(CLOCK, 0.05)
        raise error

    def tick() -> None:
        if by == "the tick":
            raise error

    waits = wait_for_nothing(near)
    for name, wait in waits.items():
        loop.start(waiting(name, wait))
    if by != "the tick":
        loop.start(failing())
    with near, far, pytest.raises(type(error)) as caught:
        loop.run(tick)
    assert caught.value is error
    assert sorted(closed) == sorted(waits)


@pytest.mark.parametrize("when", ["before", "within", "from a thread"])
def test_an_abandoned_loop_closes_what_is_under_way(when: str) -> None:
    near, far = sockets()
    loop = Loop()
    closed: list[str] = []
    begun: list[str] = []

    async def waiting(name: str, wait: Wait[object]) -> None:
        begun.append(name)
        try:
            await wait
        finally:
            closed.append(name)

    async def abandoning() -> None:
        loop.abandon()

    waits = wait_for_nothing(near)
    for name, wait in waits.items():
        loop.start(waiting(name, wait))
    if when == "before":
        loop.abandon()
    elif when == "within":
        loop.start(abandoning())
    else:
        soon(loop.abandon)
    with near, far:
        loop.run()
    # What has not begun has nothing to give back.
    assert sorted(begun) == ([] if when == "before" else sorted(waits))
    assert sorted(closed) == sorted(begun)
    assert loop.tasks == 0


def test_one_that_fails_while_it_is_closed_does_not_keep_others_open() -> None:
    loop = Loop()
    closed: list[int] = []

    async def waiting(number: int) -> None:
        try:
            await Gate(LONG)
        finally:
            closed.append(number)
            if number == 3:
                raise LookupError("while closing")
            if number == 4:
                await Pause(CLOCK, 0)  # which is not allowed then

    for number in range(8):
        loop.start(waiting(number))
    soon(loop.abandon)
    with pytest.raises((LookupError, RuntimeError)):
        loop.run()
    assert sorted(closed) == list(range(8))


def test_a_call_that_hangs_does_not_keep_the_loop() -> None:
    release = threading.Event()
    loop = Loop()
    closed: list[bool] = []

    async def work() -> None:
        try:
            await Aside(lambda: release.wait(LONG))
        finally:
            closed.append(True)

    loop.start(work())
    soon(loop.abandon)
    loop.run()
    assert closed == [True]
    assert not release.is_set()
    release.set()  # and what it gives then is not wanted any more


# What is given back


def abandoned(*works: Callable[[], object], until: Callable[[], bool]) -> None:
    """Start *works* in a loop and abandon it once *until* holds."""
    loop = Loop()
    for work in works:
        loop.start(work())  # type: ignore[arg-type]

    def tick() -> None:
        if until():
            loop.abandon()

    loop.run(tick)


def test_slots_are_given_back() -> None:
    limiter = Limiter(Limits(), Concurrency.fixed(2), CLOCK)
    stop = threading.Event()

    async def work() -> None:
        assert await limiter.acquire(stop)
        try:
            await Gate(LONG)
        finally:
            limiter.release(Outcome.refused)

    abandoned(*[work] * 6, until=lambda: len(limiter._line) == 4)
    assert limiter.in_flight == 0
    assert not limiter._line
    assert limiter.try_acquire() == 0


def test_a_place_in_line_is_given_up_to_the_next() -> None:
    """One is closed who waits for the clock as the first in line: the next takes over."""
    limiter = Limiter(Limits(requests_per_second=20), Concurrency.fixed(8), CLOCK)
    stop = threading.Event()
    while limiter.try_acquire() == 0:
        limiter.release(Outcome.success)
    first = limiter.acquire(stop)
    first.send(None)
    second = limiter.acquire(stop)
    second.send(None)
    first.close()
    assert len(limiter._line) == 1

    async def work() -> bool:
        return await rest

    rest = limiter.acquire(stop)
    second.close()
    assert looping(work())
    assert limiter.in_flight == 1
    assert not limiter._line


def test_connections_are_given_back() -> None:
    with Origin([Silence(30)]) as origin, Transport(connections=2, environ={}) as transport:

        async def work() -> None:
            await transport.exchange(post(origin.url()), LONG)

        abandoned(*[work] * 5, until=lambda: len(origin.requests) == 2)
        (pool,) = transport._pools.values()
        assert pool._open == 0
        assert not pool._line
        assert origin.connections == 2


def test_who_leaves_the_line_for_a_connection_lets_the_next_on() -> None:
    """Closed after it was let on and before it looked: the connection must not lie idle."""
    with (
        Origin([Silence(0.05), *ok()]) as origin,
        Transport(connections=1, environ={}) as transport,
    ):

        async def work() -> int:
            return (await transport.exchange(post(origin.url()), LONG)).status

        assert looping(work()) == 200
        (pool,) = transport._pools.values()
        taken, _ = looping(pool.take(time.monotonic() + LONG))
        waiting = [pool.take(time.monotonic() + LONG) for _ in range(3)]
        for coroutine in waiting:
            coroutine.send(None)
        assert len(pool._line) == 3
        pool.give(taken)  # the first is let on …
        waiting[0].close()  # … and does not come
        assert len(pool._line) == 1  # so the second was
        with pytest.raises(StopIteration) as found:
            waiting[1].send(True)
        assert found.value.value == (taken, True)
        waiting[2].close()
        assert not pool._line
        pool.give(taken)
        assert looping(work()) == 200
    assert origin.connections == 1


def test_who_is_let_on_too_late_lets_the_next_on() -> None:
    with Origin() as origin, Transport(connections=1, environ={}) as transport:

        async def work() -> int:
            return (await transport.exchange(post(origin.url()), LONG)).status

        assert looping(work()) == 200
        (pool,) = transport._pools.values()
        taken, _ = looping(pool.take(time.monotonic() + LONG))
        late = pool.take(time.monotonic() + LONG)
        late.send(None)
        loop = Loop()
        threads = [soon(lambda: pool.give(taken), 0.02)]

        async def other() -> int:
            return await work()

        async def out_of_time() -> str:
            # As when the deadline and the connection come in the same moment.
            await Pause(CLOCK, 0.1)
            with pytest.raises(TimeoutError):
                late.send(False)
            return "late"

        assert all_looping([other(), out_of_time()], loop) == [200, "late"]
        threads[0].join()
    assert origin.connections == 1


def test_deadlines_hold_for_each_by_itself() -> None:
    with Origin([Silence(0.4), *ok()]) as origin, Transport(environ={}) as transport:

        async def work(seconds: float) -> str:
            try:
                return str((await transport.exchange(post(origin.url()), seconds)).status)
            except TimedOut:
                return "timed out"

        assert all_looping([work(0.1), work(LONG), work(0.2)]) == ["timed out", "200", "timed out"]
