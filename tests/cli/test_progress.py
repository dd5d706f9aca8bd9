"""How far a run is: a line now and then, or a bar on a terminal."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from dbrun.cli.bar import BarWatch
from dbrun.cli.progress import PlainWatch, Watch, told, watching
from dbrun.cli.session import Session
from dbrun.clock import Clock
from dbrun.run.asking.counters import Counters
from dbrun.run.judging.tally import Tally
from dbrun.run.options import Progress
from dbrun.spec.model import EndpointSpec, Price, Spec
from dbrun.types import Failure, Record, Usage


class NumberClock(Clock):
    """A clock that is a number."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time


@dataclass
class FakeLimiter:
    in_flight: int = 3
    limit: int = 8
    held_for: float = 0.0
    due: tuple[float, str] | None = None


@dataclass
class FakeAsker:
    limiter: FakeLimiter = field(default_factory=FakeLimiter)


@dataclass
class FakeStep:
    endpoint: EndpointSpec


@dataclass
class FakeSpec:
    name: str = "tickets"
    each: int = 1
    asked: tuple[FakeStep, ...] = (FakeStep(EndpointSpec(adapter="python")),)


SPEC = cast(Spec, FakeSpec())


def progress(rows: int, failed: int = 0, total: int | None = None, **limiter: Any) -> Progress:
    tally, counters = Tally(), Counters()
    for number in range(rows):
        failure = Failure(kind="rejected", message="no") if number < failed else None
        status = "error" if failure else "ok"
        tally.add(Record(id=str(number), index=number, status=status, row={}, failure=failure))
    asker: Any = FakeAsker(FakeLimiter(**limiter))
    return Progress(tally=tally, counters=counters, askers=[asker], count=lambda: total)


def test_the_facts_are_those_that_matter() -> None:
    assert list(told(progress(20), 10, None)) == ["20 rows", "2.0/s", "3 in flight (limit 8)"]


def test_more_facts_where_there_are_some() -> None:
    made = progress(20, failed=2, total=60, held_for=4.2)
    made.counters.count_answer(1.0, Usage(input_tokens=2_000_000, output_tokens=1_000_000))
    price = Price(input_per_million=0.5, output_per_million=1.5)
    assert list(told(made, 10, price)) == [
        "20 of 60 rows",
        "2.0/s",
        "3 in flight (limit 8)",
        "2 failed",
        "2,000,000 in, 1,000,000 out tokens",
        "2.50 USD",
        "held back for 4.2 s",
        "20 s left",
    ]


@pytest.mark.parametrize(
    ("limiter", "last"),
    [
        (
            {"in_flight": 0, "due": (288.2, "tokens_per_minute")},
            "next call in 4 min 48 s by limits.tokens_per_minute",
        ),
        ({"in_flight": 0, "due": (4.9, "tokens_per_minute")}, "20 s left"),
        ({"in_flight": 1, "due": (288.2, "tokens_per_minute")}, "20 s left"),
    ],
)
def test_what_is_waited_for_is_said_where_nothing_else_happens(
    limiter: dict[str, Any], last: str
) -> None:
    assert list(told(progress(20, total=60, **limiter), 10, None))[-1] == last


def test_before_the_first_row_nothing_is_foretold() -> None:
    assert list(told(progress(0, total=5), 0, None)) == [
        "0 of 5 rows",
        "0.0/s",
        "3 in flight (limit 8)",
    ]


def test_a_line_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = NumberClock()
    watch = PlainWatch(Session(), SPEC, clock)
    said = []
    for _ in range(250):
        clock.time += 0.1
        watch(progress(7))
        said.append(capsys.readouterr().err)
    lines = [line for line in said if line]
    assert len(lines) == 2
    assert lines[0].startswith("tickets: 7 rows, ")
    assert watch.done == "7 rows"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with watching(SPEC, Session(), quiet=True) as watch:
        watch(progress(3))
    assert type(watch) is Watch
    assert watch.done == "3 rows"
    assert capsys.readouterr().err == ""


def test_elsewhere_than_on_a_terminal_lines_are_written() -> None:
    with watching(SPEC, Session(), quiet=False) as watch:
        assert type(watch) is PlainWatch
    assert watch.done == "0 rows"


def test_the_bar_shows_the_facts_and_goes() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    watch = BarWatch(SPEC, NumberClock(), console)
    watch(progress(7, failed=1))
    watch.close()
    drawn = screen.getvalue()
    assert "tickets" in drawn
    assert "7 rows" in drawn
    assert "1 failed" in drawn
    assert drawn.endswith("\x1b[2K"), "its line is cleared at the end"


def test_on_a_terminal_there_is_a_bar_and_then_the_summary(tmp_path: Path) -> None:
    (tmp_path / "functions.py").write_text("def answer(prompt):\n    return prompt\n")
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n')
    (tmp_path / "p.yaml").write_text(
        "name: tickets\nsource: rows.jsonl\nprompt: '{{ text }}'\n"
        "endpoint: {adapter: python, function: 'functions:answer'}\n"
    )
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "dbrun", "p.yaml"],
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    with process, os.fdopen(mine, "rb", buffering=0) as screen:
        shown = b"".join(frames(screen))
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out == b""
    assert b"\x1b[" in shown
    assert b"tickets: 2 rows, 2 ok, in" in shown


def frames(screen: Any) -> Iterator[bytes]:
    """What is written to a terminal, until its last writer is gone."""
    while True:
        try:
            data = screen.read(4096)
        except OSError:  # Linux says so when the other side is closed
            return
        if not data:
            return
        yield data
