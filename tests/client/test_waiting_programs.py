"""Programs of waits, made up by chance: whichever driver carries them out, they end the same."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fakes.driving import all_looping, soon
from hypothesis import given, settings
from hypothesis import strategies as st

from dbrun.client.loop import Loop
from dbrun.client.waiting import Aside, Gate, Pause, Readiness, blocking
from dbrun.clock import Clock

CLOCK = Clock()
LONG = 30.0  # what takes as long has failed
WHEN = st.sampled_from(["before", "soon", "never"])
PROGRAMS = st.recursive(
    st.lists(
        st.one_of(
            st.tuples(st.just("read"), WHEN),
            st.tuples(st.just("write"), WHEN),
            st.tuples(st.just("pause"), WHEN),
            st.tuples(st.just("gate"), WHEN),
            st.tuples(st.just("aside"), st.integers(-1, 3)),
            st.tuples(st.just("raise"), st.sampled_from(["a", "b"])),
        ),
        max_size=5,
    ),
    lambda inner: st.lists(
        st.one_of(
            st.tuples(st.just("caught"), inner),
            st.tuples(st.just("finally"), inner),
            st.tuples(st.just("in turn"), inner),
        ),
        max_size=3,
    ),
    max_leaves=4,
)
Program = list[tuple[str, Any]]


class Machine:
    """Carries out a program: *trace* tells what came of each wait."""

    def __init__(self, stack: ExitStack) -> None:
        self.trace: list[object] = []
        self._stack = stack
        self._near, self._far = (stack.enter_context(end) for end in socket.socketpair())
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._full = False

    async def run(self, program: Program) -> None:
        for what, how in program:
            if what in ("caught", "finally", "in turn"):
                await self._nested(what, how)
            else:
                self.trace.append((what, await getattr(self, f"_{what}")(how)))

    async def whole(self, program: Program) -> list[object]:
        try:
            await self.run(program)
        except LookupError as error:
            self.trace.append(("ended by", str(error)))
        return self.trace

    async def _nested(self, what: str, program: Program) -> None:
        try:
            await self.run(program)
        except LookupError as error:
            self.trace.append(("caught", str(error)))
            if what != "caught":
                raise
        finally:
            if what == "finally":
                self.trace.append(("finally", await Pause(CLOCK, 0)))

    async def _read(self, when: str) -> tuple[bool, bytes]:
        self._happen(when, lambda: self._far.send(b"x"))
        ready = Readiness(self._near, time.monotonic)
        ready.until = time.monotonic() + (0.01 if when == "never" else LONG)
        came = await ready
        return came, self._near.recv(9) if came else b""

    async def _write(self, when: str) -> bool:
        if when != "before":
            try:
                while True:
                    self._near.send(b"x" * 65536)
            except BlockingIOError:
                pass
        self._happen("soon" if when == "soon" else "never", self._drain)
        ready = Readiness(self._near, time.monotonic)
        ready.writing = True
        ready.until = time.monotonic() + (0.01 if when == "never" else LONG)
        written = await ready
        self._join()
        self._drain()
        return written

    async def _pause(self, when: str) -> bool:
        stop = threading.Event()
        self._happen(when, stop.set)
        return await Pause(CLOCK, 0.01 if when == "never" else LONG, stop)

    async def _gate(self, when: str) -> tuple[bool, bool]:
        gate = Gate(0.01 if when == "never" else LONG)
        self._happen(when, gate.open)
        return await gate, gate.is_open

    async def _aside(self, number: int) -> object:
        def call() -> float:
            if number < 0:
                raise LookupError("aside")
            time.sleep(0.001 * number)
            return number

        return await Aside(call)

    async def _raise(self, name: str) -> None:
        raise LookupError(name)

    def _happen(self, when: str, function) -> None:
        self._threads: list[threading.Thread] = []
        if when == "before":
            function()
        elif when == "soon":
            self._threads.append(soon(function, 0.003))
            self._stack.callback(self._threads[-1].join)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _drain(self) -> None:
        try:
            while True:
                self._far.recv(65536)
        except BlockingIOError:
            pass


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """The loop looks at deadlines and stops more often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dbrun.client.loop._TICK", 0.003)
        yield


@given(PROGRAMS)
@settings(max_examples=60)
def test_a_program_ends_the_same_under_both_drivers(program: Program) -> None:
    with ExitStack() as stack:
        blocked = blocking(Machine(stack).whole(program))
        (looped,) = all_looping([Machine(stack).whole(program)])
    assert looped == blocked


@given(st.lists(PROGRAMS, min_size=2, max_size=6))
@settings(max_examples=40)
def test_programs_do_not_disturb_each_other(programs: list[Program]) -> None:
    with ExitStack() as stack:
        alone = [blocking(Machine(stack).whole(program)) for program in programs]
        together = all_looping([Machine(stack).whole(program) for program in programs], Loop())
    assert together == alone
