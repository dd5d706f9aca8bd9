"""Everything at once, at random, with a run that is killed and interrupted again and again.

`make soak` does this with 20,000 rows for some minutes and prints what happened; the suite does a
little of it each time. `DBRUN_SOAK` is the number of rows, `DBRUN_SEED` that of the dice.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from acceptance.conftest import Project
from acceptance.faults.bench import Bench
from acceptance.faults.ended import answers
from fakes.faults import Fault, cut, delay, drip, fail, login_page, reset, say, stall, throttle
from fakes.workspace import FakeWorkspace

IS_LONG = "DBRUN_SOAK" in os.environ
ROWS = int(os.environ.get("DBRUN_SOAK", "300"))
SEED = int(os.environ.get("DBRUN_SEED", "20261122"))
KILLS = max(4, ROWS // 1000)
CALLS = 32
LIMITS = {"concurrency": CALLS, "attempts": 8, "timeout": 1, "retry_for": 60, "window": 500}
PERMANENT = {7: "[too-long]", 13: "[guardrail]"}
"""Rows that fail for their own sake, by the remainder of their number."""

# JSON without an answer in it is none of them: it is kept, and read again, as answers are.
FAULTS = [
    (0.02, throttle()),
    (0.01, throttle(0)),
    (0.002, throttle(1)),
    (0.001, throttle("date")),
    (0.01, fail(500)),
    (0.01, fail(502, "html")),
    (0.01, fail(503, "html")),
    (0.005, fail(504, "plain")),
    (0.001, fail(401, "empty")),
    (0.01, reset()),
    (0.01, reset(-30)),
    (0.01, reset(40)),
    (0.01, reset(9999)),
    (0.01, cut(-9999)),
    (0.01, cut(40)),
    (0.003, stall(30)),
    (0.003, stall(30, 40)),
    (0.002, drip(0.05)),
    (0.01, delay(0.3)),
    (0.002, delay(1.2)),
    (0.003, login_page()),
    (0.003, Fault(trimmed=70)),
    (0.003, say({"error": {"message": "confused"}})),
]
ENDS = {
    "kill": [signal.SIGKILL],
    "Ctrl-C": [signal.SIGINT],
    "SIGTERM": [signal.SIGTERM],
    "Ctrl-C twice": [signal.SIGINT, signal.SIGINT],
}


@pytest.fixture
def soaked(project: Project, workspace: FakeWorkspace, known: dict[Any, Any]) -> Bench:
    """Many rows, some of them equal, some that must fail; an endpoint that errs in every way."""
    bench = Bench(project, workspace, known)
    bench.spec(**LIMITS)
    rows = []
    for number in range(ROWS):
        text = f"ticket {number if number % 50 else 0} {PERMANENT.get(number % 100, '')}"
        rows.append({"id": f"T-{number}", "text": text})
    bench.rows(rows)
    chances = [Fault(**{**vars(fault), "chance": chance}) for chance, fault in FAULTS]
    workspace.latency = 0.005
    workspace.script(chances, SEED)
    return bench


@pytest.mark.timeout(120 + ROWS // 10)
def test_whatever_happens_nothing_is_lost_and_the_results_are_the_same(
    soaked: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    dice = random.Random(SEED)
    ways: Counter[str] = Counter()
    abandoned = 0
    while sum(ways.values()) < 3 * KILLS:
        way = dice.choice(list(ENDS)) if sum(ways.values()) < KILLS else ""
        code, left = one_run(soaked, dice, ENDS.get(way, []))
        abandoned += left
        ways[f"{way or 'left alone'}: exit {code}"] += 1
        if code in (0, 1) and not way:
            break
    if IS_LONG:
        with capsys.disabled():
            tell(soaked, ways)
    paid = Counter(soaked.keys_of(answers(soaked.workspace.given)))
    twice = paid.total() - len(paid)
    assert twice <= abandoned, "an answer was paid for again although it had arrived"
    soaked.mend(code=1)


def one_run(bench: Bench, dice: random.Random, signals: list[int]) -> tuple[int, int]:
    """One run, ended by *signals* at some moment if there are any; its exit code, and how many
    answers may have been lost on the way."""
    with bench.watching() as started:
        process = bench.start("--quiet", "--grace", "0.5")
        if signals:
            asked = len(bench.workspace.calls)
            wait(process, 20, lambda: len(bench.workspace.calls) > asked)
            wait(process, dice.random() * min(ROWS / 400, 20))
            for number in signals:
                process.send_signal(number)
                time.sleep(0.05)
        said = bench.finish(process, 60 + ROWS / 10)
    abandoned = CALLS if said.code not in (0, 1, 3) else 0
    ended = bench.end(said, started(), abandoned=abandoned)
    assert ended.code in (0, 1, 3, 130, 143, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)
    requests = ended.manifest.get("requests", {})
    return ended.code, abandoned + requests.get("maybe_paid", 0)


def wait(
    process: subprocess.Popen[str], seconds: float, over: Callable[[], bool] = lambda: False
) -> None:
    """So many seconds, or until *process* has ended or it is *over*."""
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until and not over():
        time.sleep(0.01)


def tell(bench: Bench, ways: Counter[str]) -> None:
    """Print what happened."""
    given = bench.workspace.given
    statuses = Counter(one.reply.status if one.whole else "broken off" for one in given)
    print(f"\n{ROWS:,} rows, seed {SEED}, {len(given):,} calls: {dict(statuses)}")
    for way, times in sorted(ways.items()):
        print(f"  {way}: {times}")
