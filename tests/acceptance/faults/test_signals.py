"""Ctrl-C and SIGTERM at every stage of a run: one ends it in good order, a second one now.

Where the stage lasts, the signal comes from outside. Where it is a moment, the run sends it to
itself, told by the interpreter what it is about to do.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable

import pytest
from acceptance.conftest import Said
from acceptance.faults.bench import Bench
from fakes.faults import stall, throttle

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
both = pytest.mark.parametrize("number", SIGNALS, ids=["Ctrl-C", "SIGTERM"])

MOMENTS = '''\
"""Sends NUMBER to this process at MOMENT, which names an event of the interpreter's."""

import os
import sys

EVENT, _, TEXT = os.environ["MOMENT"].partition(" ")
fired = []


def listen(event, arguments):
    if event == EVENT and not fired and any(str(value).endswith(TEXT) for value in arguments):
        fired.append(True)
        os.kill(os.getpid(), int(os.environ["NUMBER"]))


sys.addaudithook(listen)
'''


def interrupted(bench: Bench, said: Said, number: int, given: list, abandoned: int = 0) -> None:
    """The run said so, and left results that are not in place yet."""
    said = Said(143 if said.code == -signal.SIGTERM else said.code, said.out, said.err)
    ended = bench.end(said, given, abandoned=abandoned)
    assert ended.code == SIGNALS[number]


def stop(
    bench: Bench,
    number: int,
    when: Callable[[], object],
    *words: str,
    times: int = 1,
    within: float = 5,
) -> tuple[Said, list]:
    """Start a run, send it the signal when it is time, and see it end soon after."""
    with bench.watching() as started:
        process = bench.start(*words)
        bench.wait_for(when)
        begun = time.monotonic()
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.3 if times > 1 else 0)
        said = bench.finish(process)
        assert time.monotonic() - begun < within
        return said, started()


@both
def test_while_calls_are_in_flight(bench: Bench, number: int) -> None:
    """They are waited for, so nothing that was paid is lost."""
    bench.workspace.latency = 0.3
    said, given = stop(bench, number, lambda: bench.workspace.in_flight == 4)
    interrupted(bench, said, number, given)
    assert f"{NAMES[number]}: finishing what is in flight; once more leaves" in said.err
    assert f"interrupted by {NAMES[number]} after 4 rows; run the same command again" in said.err
    assert len(given) == 4
    assert bench.project.manifest("out/tickets.run.json.partial")["status"] == "interrupted"
    bench.workspace.latency = 0
    bench.mend(lacking=6)


def nine(bench: Bench) -> Callable[[], bool]:
    """Whether nine of the ten rows have their answers."""
    return lambda: len(bench.workspace.given) >= 9


@both
def test_while_a_call_hangs_longer_than_the_grace(bench: Bench, number: int) -> None:
    bench.spec(timeout=60)
    bench.workspace.script([stall(60, at=3)])
    said, given = stop(bench, number, nine(bench), "--grace", "0.3")
    interrupted(bench, said, number, given)
    bench.mend(lacking=1)


@both
def test_a_second_one_leaves_now(bench: Bench, number: int) -> None:
    bench.spec(timeout=60)
    bench.workspace.script([stall(60, at=3)])
    said, given = stop(bench, number, nine(bench), "--grace", "60", times=2)
    interrupted(bench, said, number, given)
    bench.mend(lacking=1)


@pytest.mark.parametrize(
    ("number", "wait"),
    [(signal.SIGINT, 60), (signal.SIGTERM, None)],
    ids=["Retry-After", "backing off"],
)
def test_while_it_waits_to_try_again(bench: Bench, number: int, wait: float | None) -> None:
    """There is nothing in flight to be waited for."""
    bench.spec(retry_for=600)
    bench.workspace.script([throttle(wait, at=range(5, 1000))])
    said, given = stop(bench, number, lambda: len(bench.workspace.given) >= 5, "--grace", "60")
    interrupted(bench, said, number, given)
    bench.mend(lacking=6)


def test_while_a_rate_holds_it_back(bench: Bench) -> None:
    bench.spec(requests_per_hour=1)
    said, given = stop(bench, signal.SIGINT, lambda: bench.workspace.given, "--grace", "60")
    interrupted(bench, said, signal.SIGINT, given)
    bench.spec()
    bench.mend()


@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 1), (signal.SIGTERM, 2)])
def test_while_writing_to_somebody_who_does_not_read(bench: Bench, number: int, times: int) -> None:
    """The pipe is full, and the run sits in a write."""
    bench.rows([{"id": f"T-{n}", "text": f"ticket {n} " + "of many " * 1000} for n in range(30)])
    grace = "0.3" if times == 1 else "60"
    with bench.watching() as started:
        process = bench.start("--out", "-", "--grace", grace)
        bench.wait_for(lambda: len(bench.workspace.given) >= 30)
        time.sleep(0.3)
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.2)
        code = ended_by_itself(process)
        said = bench.finish(process)
        assert code == SIGNALS[number]
    interrupted(bench, said, number, started())
    bench.mend(lacking=0)


def ended_by_itself(process: subprocess.Popen[str]) -> int | None:
    """The exit code of *process*, whose output nobody has read; None if it is still there."""
    try:
        return process.wait(3)
    except subprocess.TimeoutExpired:
        process.kill()
        return None


AT = [
    "import dbrun.api",
    "import dbrun.run.signals",
    "open rows.jsonl",
    "open out/tickets.jsonl.partial",
    "socket.connect",
    "os.rename out/tickets.jsonl",
    "os.rename out/tickets.run.json",
    "os.rename answers.jsonl",
]


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        *((signal.SIGINT, moment) for moment in AT),
        *((signal.SIGTERM, moment) for moment in AT[-3::2]),
    ],
)
def test_at_a_moment(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int, moment: str
) -> None:
    bench.project.write("site/sitecustomize.py", MOMENTS)
    with monkeypatch.context() as patched, bench.watching() as started:
        patched.setenv("PYTHONPATH", "site")
        patched.setenv("MOMENT", moment)
        patched.setenv("NUMBER", str(int(number)))
        said = bench.finish(bench.start())
    interrupted(bench, said, number, started())
    bench.mend()
