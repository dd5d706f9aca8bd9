"""kill -9 at any moment, run again: each distinct request is paid once, the bytes are the same.

`DBRUN_KILLS=50 pytest tests/acceptance/test_kills.py` kills more often than the suite does.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fakes.server import Received, Reply
from fakes.workspace import FakeWorkspace, fail, reset, throttle

from dbrun.client.journal import Journal

KILLS = int(os.environ.get("DBRUN_KILLS", "10"))
ROWS = 130 * KILLS
CONCURRENCY = 8

SPEC = f"""\
name: tickets
source: {{path: rows.jsonl, id: id}}
endpoint: {{adapter: databricks, name: chat, task: chat}}
prompt: "Summarize: {{{{ text }}}}"
limits: {{concurrency: {CONCURRENCY}, window: 100}}
sink: out/tickets.jsonl
"""


class Counting(FakeWorkspace):
    """Counts the answers that it worked out, by body: what a real endpoint would charge for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.paid: Counter[bytes] = Counter()

    def _answer(self, request: Received) -> Reply:
        reply = super()._answer(request)
        if reply.status == 200 and not reply.reset and request.path.endswith("invocations"):
            with self._lock:
                self.paid[request.body] += 1
        return reply


@pytest.mark.timeout(60 + 4 * KILLS)
def test_a_run_that_is_killed_again_and_again_pays_once(project, monkeypatch) -> None:
    rng = random.Random(20261122)
    project.write("tickets.yaml", SPEC)
    project.rows(ROWS, **{f"t{number}": "the same text" for number in range(0, ROWS, 50)})
    with Counting(latency=0.02) as workspace:
        for name, value in workspace.environ.items():
            monkeypatch.setenv(name, value)
        faults = [fail(500, every=97), fail(503, "html", every=131), reset(every=149)]
        workspace.script([*faults, throttle(retry_after=0, every=53)])
        lost = 0
        kills = 0
        while True:
            process = project.start("tickets.yaml", "--quiet")
            try:
                process.wait(0.35 + rng.random() * 0.7 if kills < KILLS else None)
            except Exception:
                process.send_signal(signal.SIGKILL)
            said = project.end(process)
            time.sleep(0.06)  # what was in flight has been answered by now, to nobody
            journalled = journal_entries(project.folder)
            in_flight = sum(workspace.paid.values()) - journalled - lost
            assert 0 <= in_flight <= CONCURRENCY, "paid for and neither kept nor in flight"
            lost += in_flight
            if said.code == -signal.SIGKILL:
                kills += 1
                continue
            assert said.code == 0, said.err
            assert in_flight == 0
            break
        assert kills >= min(KILLS, 5)
        distinct = ROWS - len(range(0, ROWS, 50)) + 1
        assert len(workspace.paid) == distinct
        assert sum(workspace.paid.values()) == distinct + lost
        disturbed = project.bytes()

        workspace.script([])
        assert project.run("tickets.yaml", "--quiet", "--set", "sink=other/tickets.jsonl").code == 0
        assert project.bytes("other/tickets.jsonl") == disturbed
        assert not list((project.folder / "out").glob("*.partial"))


def journal_entries(folder: Path) -> int:
    """How many distinct requests the journal holds an answer to."""
    with Journal.open(str(folder / "out/tickets.jsonl.journal"), mode="replay") as journal:
        return journal.entries
