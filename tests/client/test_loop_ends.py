"""How a loop ends: by itself, by an error, abandoned; whatever was under way gives back its own."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from fakes.driving import looping, soon

from dbrun.client import loop as loop_module
from dbrun.client.loop import Loop
from dbrun.client.waiting import Aside, Gate, Pause, Readiness, Wait
from dbrun.clock import Clock

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


@pytest.mark.timeout(10)
@pytest.mark.parametrize("how", ["opened", "abandoned"])
def test_who_does_something_from_another_thread_is_heard_at_once(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Not when the loop looks up for other reasons."""
    monkeypatch.setattr(loop_module, "_TICK", LONG)
    loop = Loop()
    gate = Gate(LONG)
    passed: list[bool] = []

    async def work() -> None:
        passed.append(await gate)

    loop.start(work())
    soon(gate.open if how == "opened" else loop.abandon)
    loop.run()
    assert passed == ([True] if how == "opened" else [])


@pytest.mark.timeout(10)
def test_abandoning_just_before_the_loop_falls_asleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "_TICK", LONG)
    loop = Loop()

    async def work() -> None:
        monkeypatch.setattr(loop, "_ring", lambda: None)  # as if nobody heard it
        loop.abandon()
        await Gate(LONG)

    loop.start(work())
    loop.run()


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
