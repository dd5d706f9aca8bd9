"""Runs that are stopped: by Ctrl-C, by SIGTERM, by a kill; and that the same command continues."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable

import pytest
from acceptance.conftest import SPEC, Project
from fakes.workspace import FakeWorkspace

ROWS = 60


@pytest.fixture
def slow(project: Project, workspace: FakeWorkspace) -> FakeWorkspace:
    """Sixty rows, four at a time, a twentieth of a second each."""
    project.rows(ROWS)
    workspace.latency = 0.05
    return workspace


def started(project: Project, workspace: FakeWorkspace, *words: str) -> subprocess.Popen[str]:
    """A run that has had some answers."""
    before = len(workspace.calls)
    process = project.start("tickets.yaml", "--set", "limits.concurrency=4", *words)
    wait_for(lambda: len(workspace.calls) >= before + 8)
    return process


def wait_for(condition: Callable[[], bool]) -> None:
    """Return once *condition* holds."""
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def expected_bytes(project: Project, workspace: FakeWorkspace) -> bytes:
    """The results of a run that nothing disturbs, in a place of its own."""
    workspace.latency = 0
    words = ["--set", "journal.path=other.journal", "--out", "other/tickets.jsonl"]
    assert project.run("tickets.yaml", *words).code == 0
    return project.bytes("other/tickets.jsonl")


def test_a_killed_run_is_continued_and_ends_with_the_same_bytes(
    project: Project, slow: FakeWorkspace
) -> None:
    process = started(project, slow)
    process.kill()
    project.end(process)
    assert not (project.folder / "out/tickets.jsonl").exists()
    slow.latency = 0
    assert project.run("tickets.yaml").code == 0
    twice = sum(count - 1 for count in Counter(call.body for call in slow.calls).values())
    assert twice <= 4, "only what was in flight at the kill may be sent again"
    assert slow.distinct_bodies == ROWS
    assert project.bytes() == expected_bytes(project, slow)


def test_a_fresh_run_that_was_killed_goes_on_where_it_was(
    project: Project, slow: FakeWorkspace
) -> None:
    slow.latency = 0
    assert project.run("tickets.yaml").code == 0
    before = project.bytes()
    slow.latency = 0.05
    process = started(project, slow, "--fresh")
    process.kill()
    project.end(process)
    assert project.bytes() == before, "an unfinished run leaves the earlier results alone"
    slow.latency = 0
    assert project.run("tickets.yaml", "--fresh").code == 0
    assert 2 * ROWS <= len(slow.calls) <= 2 * ROWS + 4


def test_a_second_run_on_the_same_sink_is_refused(project: Project, slow: FakeWorkspace) -> None:
    process = started(project, slow)
    said = project.run("tickets.yaml")
    assert said.code == 2
    assert "out/tickets.jsonl" in said.err
    assert project.end(process).code == 0
    assert len(slow.calls) == ROWS


def test_a_reader_that_leaves_is_no_bug(project: Project, workspace: FakeWorkspace) -> None:
    project.rows(3000)
    process = project.start("render", "tickets.yaml")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(20) == 0
    assert said == ""


def test_no_terminal_no_control_characters(project: Project, workspace: FakeWorkspace) -> None:
    said = project.end(project.start("tickets.yaml"))
    assert said.code == 0
    assert said.out == ""
    assert "\x1b" not in said.err
    assert "\r" not in said.err


def test_ctrl_c_before_the_run_is_an_interrupt_too(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.write("functions.py", "import time\nopen('here', 'w').close()\ntime.sleep(30)\n")
    project.write("tickets.yaml", SPEC + "transforms: {row: 'functions:anything'}\n")
    process = project.start("tickets.yaml")
    wait_for((project.folder / "here").exists)
    process.send_signal(signal.SIGINT)
    said = project.end(process)
    assert said.code == 130
    assert "interrupted by Ctrl-C" in said.err
    assert "Traceback" not in said.err
    assert workspace.requests == []
