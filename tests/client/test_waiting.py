"""Each wait by itself: the same comes of it in a thread and in a loop."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from fakes.driving import DRIVERS, soon

from dbrun.client.waiting import Aside, Gate, Pause, Readiness, blocking
from dbrun.clock import Clock

CLOCK = Clock()
LONG = 30.0  # what takes as long has failed


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        yield near, far


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop looks at deadlines and stops more often."""
    monkeypatch.setattr("dbrun.client.loop._TICK", 0.005)


def readiness(sock: socket.socket, seconds: float = LONG, writing: bool = False) -> Readiness:
    ready = Readiness(sock, time.monotonic)
    ready.until, ready.writing = time.monotonic() + seconds, writing
    return ready


async def awaited(wait):
    return await wait


def fill(sock: socket.socket) -> None:
    """Send until nothing more goes in."""
    with pytest.raises(BlockingIOError):
        while True:
            sock.send(b"x" * 65536)


def drain(sock: socket.socket) -> None:
    with pytest.raises(BlockingIOError):
        while True:
            sock.recv(65536)


class TestReadiness:
    def test_what_is_there_can_be_read(self, drive, pair):
        pair[1].send(b"x")
        assert drive(awaited(readiness(pair[0]))) is True
        assert pair[0].recv(9) == b"x"

    def test_what_comes_is_waited_for(self, drive, pair):
        soon(lambda: pair[1].send(b"x"))
        assert drive(awaited(readiness(pair[0]))) is True
        assert pair[0].recv(9) == b"x"

    def test_the_end_can_be_read(self, drive, pair):
        soon(lambda: pair[1].shutdown(socket.SHUT_WR))
        assert drive(awaited(readiness(pair[0]))) is True
        assert pair[0].recv(9) == b""

    def test_nothing_by_the_time(self, drive, pair):
        assert drive(awaited(readiness(pair[0], 0.02))) is False

    @pytest.mark.parametrize("there", [True, False])
    def test_a_time_that_is_past_still_gets_what_is_there(self, drive, pair, there):
        if there:
            pair[1].send(b"x")
        assert drive(awaited(readiness(pair[0], -5.0))) is there

    def test_room_can_be_written(self, drive, pair):
        assert drive(awaited(readiness(pair[0], writing=True))) is True

    def test_room_is_waited_for(self, drive, pair):
        fill(pair[0])
        assert drive(awaited(readiness(pair[0], 0.02, writing=True))) is False
        draining = soon(lambda: drain(pair[1]))
        assert drive(awaited(readiness(pair[0], writing=True))) is True
        draining.join()

    def test_a_peer_that_is_gone_can_be_written_to(self, drive, pair):
        fill(pair[0])
        soon(pair[1].close)
        assert drive(awaited(readiness(pair[0], writing=True))) is True
        with pytest.raises(BrokenPipeError):
            pair[0].send(b"x")

    def test_one_object_serves_a_socket_for_all_its_life(self, drive, pair):
        near, far = pair
        ready = Readiness(near, time.monotonic)

        async def converse() -> list[bytes]:
            heard = []
            for number in range(20):
                ready.writing, ready.until = True, time.monotonic() + LONG
                assert await ready
                near.send(b"%d" % number)
                ready.writing, ready.until = False, time.monotonic() + LONG
                soon(lambda: far.send(far.recv(9)), 0.001)
                assert await ready
                heard.append(near.recv(9))
                ready.until = time.monotonic() - 1
                assert not await ready
            return heard

        assert drive(converse()) == [b"%d" % number for number in range(20)]

    def test_a_closed_socket_is_the_coroutines_trouble(self, drive, pair):
        async def work() -> str:
            pair[0].close()
            try:
                await readiness(pair[0])
            except (ValueError, OSError):
                return "went on"
            return "waited"

        assert drive(work()) == "went on"


class TestPause:
    @pytest.mark.parametrize("stop", [None, threading.Event()])
    @pytest.mark.parametrize("seconds", [-1, 0, 0.02])
    def test_it_ends(self, drive, seconds, stop):
        assert drive(awaited(Pause(CLOCK, seconds, stop))) is False

    @pytest.mark.parametrize("seconds", [0, 0.001, LONG])
    def test_a_stop_that_is_set_is_told(self, drive, seconds):
        stop = threading.Event()
        stop.set()
        assert drive(awaited(Pause(CLOCK, seconds, stop))) is True

    def test_stop_may_come_from_another_thread(self, drive):
        stop = threading.Event()
        soon(stop.set)
        assert drive(awaited(Pause(CLOCK, LONG, stop))) is True


class TestGate:
    def test_it_may_be_open_before_anybody_comes(self, drive):
        gate = Gate(LONG)
        gate.open()
        assert drive(awaited(gate)) is True

    def test_it_is_opened_from_another_thread(self, drive):
        gate = Gate(LONG)
        soon(gate.open)
        assert drive(awaited(gate)) is True

    def test_nobody_opens_it(self, drive):
        assert drive(awaited(Gate(0.02))) is False

    def test_it_may_be_opened_between_two_waits(self, drive):
        gate = Gate(0.02)

        async def work() -> list[bool]:
            first = await gate
            gate.open()
            gate.open()
            return [first, await gate, await gate]

        assert drive(work()) == [False, True, True]

    @pytest.mark.parametrize("when", range(5))
    def test_whenever_it_is_opened_somebody_comes_through(self, drive, when):
        """Opened just as the waiting begins, again and again."""

        async def work() -> int:
            count = 0
            for number in range(200):
                gate = Gate(LONG)
                gates.append(gate)
                for _ in range((when * number) % 97):
                    pass
                count += await gate
            return count

        gates: list[Gate] = []
        over = threading.Event()

        def opener() -> None:
            opened = 0
            while not over.is_set():
                if opened < len(gates):
                    gates[opened].open()
                    opened += 1
                elif when:
                    time.sleep(0)

        thread = threading.Thread(target=opener, daemon=True)
        thread.start()
        try:
            assert drive(work()) == 200
        finally:
            over.set()
            thread.join()


class TestAside:
    def test_it_gives_what_the_call_gives(self, drive):
        assert drive(awaited(Aside(lambda: [1, 2]))) == [1, 2]

    @pytest.mark.parametrize(
        "error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)], ids=repr
    )
    def test_it_raises_what_the_call_raises(self, drive, error):
        def call() -> None:
            raise error

        with pytest.raises(type(error)) as caught:
            drive(awaited(Aside(call)))
        assert caught.value is error

    def test_the_end_of_an_iterator_is_no_end_of_the_coroutine(self, drive):
        with pytest.raises(RuntimeError):
            drive(awaited(Aside(lambda: next(iter(())))))

    def test_an_error_can_be_caught_where_it_was_waited_for(self, drive):
        async def work() -> list[object]:
            seen: list[object] = []
            for number in range(3):
                try:
                    seen.append(await Aside(lambda number=number: 1 // (number - 1)))
                except ZeroDivisionError:
                    seen.append("caught")
            return seen

        assert drive(work()) == [-1, "caught", 1]

    def test_blocking_makes_the_call_in_its_own_thread_and_a_loop_does_not(self):
        threads = {
            name: drive(awaited(Aside(threading.current_thread))) for name, drive in DRIVERS.items()
        }
        assert threads["blocking"] is threading.current_thread()
        assert threads["loop"] is not threading.current_thread()
        assert threads["loop"].daemon


class TestCoroutines:
    def test_what_needs_no_waiting_is_given_at_once(self, drive):
        async def work() -> int:
            return 7

        assert drive(work()) == 7

    def test_what_is_raised_is_raised(self, drive):
        async def work() -> None:
            await Pause(CLOCK, 0)
            raise LookupError("here")

        with pytest.raises(LookupError, match="here"):
            drive(work())

    def test_an_interrupted_wait_closes_what_waited(self):
        given_back = []

        class Interrupted(Pause):
            def block(self) -> bool:
                raise KeyboardInterrupt

        async def work() -> None:
            try:
                await Interrupted(CLOCK, LONG)
            finally:
                given_back.append(True)

        with pytest.raises(KeyboardInterrupt):
            blocking(work())
        assert given_back == [True]
