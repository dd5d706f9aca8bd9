"""Coroutines that are closed in mid-wait give back what they held: slots, connections, places."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from fakes.driving import all_looping, looping, soon
from fakes.origin import Origin, ok
from fakes.origin import Pause as Silence
from fakes.sending import post

from dbrun.client.limits import Limiter, Outcome
from dbrun.client.loop import Loop
from dbrun.client.transport import Transport
from dbrun.client.waiting import Gate, Pause
from dbrun.clock import Clock
from dbrun.errors import TimedOut
from dbrun.spec.model import Concurrency, Limits

CLOCK = Clock()
LONG = 30.0  # what takes as long has failed


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
        turn = await limiter.acquire(stop)
        assert turn is not None
        try:
            await Gate(LONG)
        finally:
            limiter.release(turn, Outcome.refused)

    abandoned(*[work] * 6, until=lambda: len(limiter._line) == 4)
    assert limiter.in_flight == 0
    assert not limiter._line
    assert limiter.wait() == 0


def test_a_place_in_line_is_given_up_to_the_next() -> None:
    """One is closed who waits for the clock as the first in line: the next takes over."""
    limiter = Limiter(Limits(requests_per_second=20), Concurrency.fixed(8), CLOCK)
    stop = threading.Event()
    while turn := limiter.take(stop):
        limiter.release(turn, Outcome.success)
    first = limiter.acquire(stop)
    first.send(None)
    second = limiter.acquire(stop)
    second.send(None)
    first.close()
    assert len(limiter._line) == 1

    async def work() -> bool:
        return await rest is not None

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
