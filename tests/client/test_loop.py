"""The loop: many coroutines at once, sockets that come and go, wake-ups that come late, ends."""

from __future__ import annotations

import selectors
import socket
import threading
import time

import pytest
from fakes.driving import all_looping, looping, soon

from dbrun.client import loop as loop_module
from dbrun.client.loop import Loop, Task
from dbrun.client.waiting import Gate, Pause, Readiness
from dbrun.clock import Clock

CLOCK = Clock()
LONG = 30.0  # what takes as long has failed
SELECTORS = [
    getattr(selectors, name)
    for name in ("EpollSelector", "KqueueSelector", "PollSelector", "SelectSelector")
    if hasattr(selectors, name)
]


@pytest.fixture(params=SELECTORS, ids=lambda made: made.__name__)
def every_selector(request, monkeypatch) -> None:
    """What the loop waits with is one of those that there are on some system."""
    monkeypatch.setattr(selectors, "DefaultSelector", request.param)


@pytest.fixture
def quick(monkeypatch) -> None:
    """Deadlines of sockets are looked at more often."""
    monkeypatch.setattr(loop_module, "_TICK", 0.005)


def counted(loop: Loop) -> list[int]:
    """The numbers of events of each look at the selector, from now on."""
    events: list[int] = []
    real = loop._selector.select

    def select(timeout=None):
        found = real(timeout)
        events.append(len(found))
        return found

    loop._selector.select = select  # type: ignore[method-assign]
    return events


def pair() -> tuple[socket.socket, socket.socket]:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    return near, far


async def ready(sock: socket.socket, seconds: float = LONG, writing: bool = False) -> bool:
    readiness = Readiness(sock, time.monotonic)
    readiness.until, readiness.writing = time.monotonic() + seconds, writing
    return await readiness


async def send_all(sock: socket.socket, data: bytes) -> None:
    while data:
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            assert await ready(sock, writing=True)


async def receive(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        assert await ready(sock)
        data += sock.recv(size - len(data))
    return data


class TestSockets:
    @pytest.mark.usefixtures("every_selector")
    def test_many_at_once_and_each_gets_its_own(self):
        """Both ends of each in one loop: a hundred thousand bytes there and back again."""
        pairs = [pair() for _ in range(100)]

        async def there(number: int, sock: socket.socket) -> bool:
            data = b"%03d" % number * 40_000
            await send_all(sock, data)
            return await receive(sock, len(data)) == data

        async def back(sock: socket.socket) -> bool:
            await send_all(sock, await receive(sock, 120_000))
            return True

        works = [there(number, near) for number, (near, _) in enumerate(pairs)]
        works += [back(far) for _, far in pairs]
        assert all_looping(works) == [True] * 200
        for near, far in pairs:
            near.close()
            far.close()

    @pytest.mark.usefixtures("every_selector", "quick")
    def test_a_closed_socket_whose_number_is_used_again(self):
        async def work() -> list[bytes]:
            heard = []
            numbers = set()
            for _ in range(20):
                near, far = pair()
                with near, far:
                    numbers.add(near.fileno())
                    far.send(b"x")
                    assert await ready(near)
                    heard.append(near.recv(9))
                    assert not await ready(near, 0.001)
                    if len(heard) % 3 == 0:  # and sometimes it is detached, as TLS does
                        near = socket.socket(fileno=near.detach())
                        with near:
                            soon(lambda far=far: far.send(b"y"), 0.001)
                            assert await ready(near)
                            heard.append(near.recv(9))
            assert len(numbers) < 5
            return heard

        heard = looping(work())
        assert (heard.count(b"x"), heard.count(b"y")) == (20, 6 + 3)

    @pytest.mark.usefixtures("every_selector")
    def test_what_was_closed_disturbs_nobody(self):
        """Closed while registered: its peer hangs up, others go on."""
        loop = Loop()
        events = counted(loop)

        async def closing() -> None:
            near, far = pair()
            with far:
                far.send(b"x")
                assert await ready(near)
                near.close()
            await Pause(CLOCK, 0.15)

        async def other() -> bytes:
            near, far = pair()
            with near, far:
                soon(lambda: far.send(b"y"), 0.1)
                assert await ready(near)
                return near.recv(9)

        assert all_looping([closing(), other()], loop) == [None, b"y"]
        assert len(events) < 30

    @pytest.mark.usefixtures("every_selector")
    @pytest.mark.parametrize("last", [b"", b"an answer that nobody asked for"])
    def test_what_happens_while_nobody_waits_happens_once(self, last):
        """Else the selector would tell of it at every look, and the loop would not rest."""
        loop = Loop()
        events = counted(loop)
        near, far = pair()

        async def work() -> tuple[bool, bytes]:
            far.send(b"x")
            assert await ready(near)
            assert near.recv(9) == b"x"
            far.send(last) if last else far.close()
            await Pause(CLOCK, 0.3)
            return await ready(near), near.recv(99)

        with near, far:
            assert all_looping([work()], loop) == [(True, last)]
        assert sum(events) <= 4
        assert len(events) < 20

    @pytest.mark.usefixtures("quick")
    def test_reading_and_writing_take_turns(self):
        near, far = pair()

        async def work() -> int:
            count = 0
            for _ in range(50):
                assert await ready(near, writing=True)
                near.send(b"x")
                assert not await ready(near, -1)
                far.send(far.recv(9))
                assert await ready(near)
                count += len(near.recv(9))
            return count

        with near, far:
            assert looping(work()) == 50

    @pytest.mark.usefixtures("quick")
    def test_what_came_in_time_is_no_time_out(self):
        """Somebody else kept the loop busy until after the deadline."""
        near, far = pair()

        async def busy() -> None:
            await Pause(CLOCK, 0.03)
            far.send(b"x")
            time.sleep(0.2)

        with near, far:
            assert all_looping([ready(near, 0.1), busy()]) == [True, None]

    def test_a_selector_that_fails_for_other_reasons_ends_the_run(self, monkeypatch):
        loop = Loop()

        def broken(timeout):
            raise OSError(12, "Cannot allocate memory")

        monkeypatch.setattr(loop._selector, "select", broken)
        with pytest.raises(OSError, match="allocate"):
            all_looping([ready_never()], loop)


async def ready_never() -> None:
    await Gate(LONG)


class TestLateWakeUps:
    def test_the_timer_of_a_gate_that_was_opened(self):
        """Gates whose timers ring while the task waits at others."""
        gates: list[Gate] = []

        async def work() -> list[bool]:
            passed = []
            for number in range(20):
                gate = Gate(0.02)
                if number % 2:
                    gate.open()
                else:
                    soon(gate.open, 0)
                passed.append(await gate or gate.is_open)
            gates.append(Gate(LONG))
            soon(gates[0].open, 0.1)
            return [*passed, await gates[0]]

        assert looping(work()) == [True] * 21

    def test_a_gate_that_is_opened_after_its_time(self):
        late = Gate(0.001)

        async def work() -> list[bool]:
            first = await late
            soon(late.open, 0.02)
            return [first, await Pause(CLOCK, 0.1, threading.Event())]

        assert looping(work()) == [False, False]

    def test_a_stop_that_is_set_after_its_pause(self):
        stop = threading.Event()
        gate = Gate(LONG)

        async def work() -> list[object]:
            first = await Pause(CLOCK, 0.001, stop)
            stop.set()
            soon(gate.open, 0.25)  # the loop looks at stops meanwhile
            return [first, await gate, gate.is_open]

        assert looping(work()) == [False, True, True]

    def test_waking_twice_and_out_of_turn(self):
        loop = Loop()
        tasks: list[Task] = []

        class Named(Gate):
            def arm(self, loop, task):
                tasks.append(task)
                super().arm(loop, task)

        async def work() -> list[bool]:
            passed = []
            for _ in range(5):
                gate = Named(LONG)
                soon(gate.open)
                if tasks:
                    for turn in (tasks[0].turn - 1, tasks[0].turn + 2):
                        loop.resume(tasks[0], turn, "late")
                passed.append(await gate)
            return passed

        assert all_looping([work()], loop) == [[True] * 5]

    def test_more_rings_at_once_than_are_heard_at_once(self):
        loop = Loop()

        async def work() -> bool:
            loop._ringer.send(b"!" * 4096)
            return await Pause(CLOCK, 0.02)

        assert all_looping([work()], loop) == [False]

    def test_wake_ups_after_the_end(self):
        loop = Loop()
        gate = Gate(0.001)
        task: list[Task] = []

        class Named(Gate):
            def arm(self, loop, own):
                task.append(own)
                super().arm(loop, own)

        gate = Named(LONG)
        soon(gate.open)

        async def work() -> bool:
            return await gate

        assert all_looping([work()], loop) == [True]
        gate.open()
        loop.resume(task[0], 0, True)
        loop.abandon()
