"""Sinks and journals on storage that refuses appends, renames, links and locks, for real.

The folder is a FUSE file system (see `fakes.volume`), so that every system call of the program
meets it. A lost machine is `kill -9` and a spool that is gone.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.server import Received, Reply
from fakes.volume import Volume, volume
from fakes.workspace import FakeWorkspace

from dbrun.client.journal import Journal

CONCURRENCY = 4
IMPATIENT = """\
from dbrun.client.journal import heartbeat
from dbrun.cli.main import entry
heartbeat.BEAT, heartbeat.PATIENCE, heartbeat._LOOK = 0.1, 1.0, 0.05
entry()
"""
"""The program, with less time between the signs of life of a run."""


class Counting(FakeWorkspace):
    """Counts the answers that it worked out, by body: what a real endpoint would charge for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.paid: Counter[bytes] = Counter()

    def _answer(self, request: Received) -> Reply:
        reply = super()._answer(request)
        if reply.status == 200 and request.path.endswith("invocations"):
            with self._lock:
                self.paid[request.body] += 1
        return reply

    @property
    def total(self) -> int:
        """All answers, paid for again or not."""
        return sum(self.paid.values())


class There:
    """A project whose sink lies on a volume, and the ways to run it."""

    def __init__(self, project: Any, shared: Volume, spool: Path) -> None:
        self.project = project
        self.volume = shared
        self.spool = spool
        self.out = shared.path / "main" / "out"
        self.journal = self.out / "tickets.jsonl.journal"

    def spec(self, name: str = "tickets.jsonl", publish_every: float = 0.1) -> None:
        """Write the spec."""
        self.project.write(
            "tickets.yaml",
            "name: tickets\n"
            "source: {path: rows.jsonl, id: id}\n"
            "endpoint: {adapter: databricks, name: chat, task: chat}\n"
            'prompt: "Summarize: {{ text }}"\n'
            f"limits: {{concurrency: {CONCURRENCY}, window: 100}}\n"
            f"sink: {self.out}/{name}\n"
            f"journal: {{publish_every: {publish_every}}}\n",
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        """The impatient program in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", IMPATIENT, "tickets.yaml", *words],
            cwd=self.project.folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *words: str) -> Any:
        """The impatient program, from its beginning to its end."""
        return self.project.end(self.start(*words), timeout=60)

    def files(self) -> dict[str, bytes]:
        """What every file on the volume holds."""
        paths = (path for path in self.out.rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in paths}

    def published(self, elsewhere: Path) -> int:
        """How many answers a machine without our spool finds."""
        with _spool_at(elsewhere), Journal.open(str(self.journal), mode="replay") as journal:
            assert journal.damaged == 0
            return journal.entries

    def undisturbed(self, name: str = "tickets.jsonl") -> bytes:
        """The results of a run on a local disk that nobody disturbs."""
        sink = f"sink=local/{name}"
        assert self.project.run("tickets.yaml", "--quiet", "--set", sink).code == 0
        return bytes(self.project.bytes(f"local/{name}"))

    def lose_the_machine(self) -> None:
        """Nothing is left of its disk."""
        shutil.rmtree(self.spool)
        self.spool.mkdir()


@contextlib.contextmanager
def _spool_at(folder: Path) -> Iterator[None]:
    before = os.environ["DBRUN_SPOOL"]
    os.environ["DBRUN_SPOOL"] = str(folder)
    try:
        yield
    finally:
        os.environ["DBRUN_SPOOL"] = before


@pytest.fixture
def there(project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[There]:
    """A project with its results on a volume."""
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setenv("DBRUN_SPOOL", str(spool))
    with volume(tmp_path / "volume") as shared:
        for name, value in shared.environ.items():
            monkeypatch.setenv(name, value)
        made = There(project, shared, spool)
        made.spec()
        yield made
        # Whatever happened: nothing but the trial for appends was ever refused.
        assert {one.rpartition("/")[2] for one in shared.refused if "fsync" not in one} <= {
            ".dbrun-probe"
        }


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    """A workspace that takes its time."""
    with Counting(latency=0.01) as made:
        for name, value in made.environ.items():
            monkeypatch.setenv(name, value)
        yield made


def until(true: Callable[[], bool]) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.csv.zst", "x.parquet"])
def test_results_and_answers_come_to_lie_on_a_volume(
    there: There, counting: Counting, name: str
) -> None:
    there.spec(name)
    there.project.rows(40)
    assert there.run("--quiet").code == 0
    assert (there.out / name).read_bytes() == there.undisturbed(name)
    journal = there.out / f"{name}.journal"
    assert sorted(path.name for path in there.out.iterdir()) == sorted(
        {name, "x.run.json", journal.name}
    )
    (answers,) = journal.glob("*.jsonl")
    assert answers.name.startswith("answers-")
    assert not list(there.spool.rglob("*.*"))
    assert there.project.run("verify", str(there.out / name)).code == 0
    assert there.project.run("verify", "tickets.yaml").code == 0

    paid = counting.total
    before = {path: path.stat().st_mtime_ns for path in there.out.rglob("*") if path.is_file()}
    assert there.run("--quiet").code == 0
    after = {path: path.stat().st_mtime_ns for path in there.out.rglob("*") if path.is_file()}
    assert after == before, "a run that has nothing to do leaves everything alone"
    assert counting.total == paid


def test_several_processes_answer_into_one_journal_on_a_volume(
    there: There, counting: Counting
) -> None:
    there.project.rows(200)
    several = ("--quiet", "--set", "limits.processes=2")
    process = there.start(*several)
    until(lambda: counting.total >= 60 or process.poll() is not None)
    process.kill()
    there.project.end(process)
    assert there.run(*several).code == 0
    assert len(counting.paid) == 200
    assert counting.total <= 200 + CONCURRENCY, "only what was in flight is paid for again"
    assert (there.out / "tickets.jsonl").read_bytes() == there.undisturbed()
    (answers,) = there.journal.glob("*.jsonl")
    assert answers.name.startswith("answers-")
    assert not list(there.spool.rglob("*.*"))


def test_a_replay_that_knows_too_little_leaves_everything_alone(
    there: There, counting: Counting
) -> None:
    assert there.run("--quiet").code == 0
    before = there.files()
    there.project.rows(12)
    assert there.run("--quiet", "--replay").code == 1
    assert there.files() == before
    assert not list(there.spool.rglob("*.*"))
    assert counting.total == 10


def test_a_torn_results_file_is_found(there: There, counting: Counting) -> None:
    assert there.run("--quiet").code == 0
    results = there.out / "tickets.jsonl"
    whole = results.read_bytes()
    results.write_bytes(whole[: len(whole) // 2])
    said = there.project.run("verify", str(results))
    assert said.code == 1
    assert "bytes" in said.err
    assert there.run("--quiet").code == 0
    assert results.read_bytes() == whole


@pytest.mark.timeout(120)
def test_a_run_that_is_killed_again_and_again_pays_once(there: There, counting: Counting) -> None:
    there.project.rows(400)
    lost = 0
    for seconds in (0.6, 0.75, 0.9, 0.7, None):
        process = there.start("--quiet")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.kill()
        said = there.project.end(process)
        time.sleep(0.1)  # what was in flight has been answered by now, to nobody
        with Journal.open(str(there.journal), mode="replay") as journal:
            in_flight = counting.total - journal.entries - lost
        assert 0 <= in_flight <= CONCURRENCY, "paid for and neither kept nor in flight"
        lost += in_flight
        # A quick machine may be through before it is killed.
        assert said.code == 0 or (seconds and said.code == -signal.SIGKILL), said.err
    assert len(counting.paid) == 400
    assert counting.total == 400 + lost
    assert (there.out / "tickets.jsonl").read_bytes() == there.undisturbed()
    (answers,) = there.journal.glob("*.jsonl")
    assert answers.name.startswith("answers-")
    assert not list(there.spool.rglob("*.*"))


@pytest.mark.timeout(120)
def test_a_machine_that_is_lost_loses_what_it_had_not_published(
    there: There, counting: Counting, tmp_path: Path
) -> None:
    there.project.rows(300)
    paid = known = 0
    for goal in (40, 150):
        process = there.start("--quiet")
        until(lambda goal=goal: there.published(tmp_path / "elsewhere") >= goal)
        process.kill()
        there.project.end(process)
        there.lose_the_machine()
        time.sleep(0.1)
        published = there.published(tmp_path / "elsewhere")
        assert goal <= published
        # What the run before had published was not asked for again.
        assert counting.total - paid >= published - known
        assert len(counting.paid) >= published
        paid, known = counting.total, published
    distinct = len(counting.paid)
    said = there.run("--quiet")
    assert said.code == 0, said.err
    assert "waiting up to 1 s for a sign of life" in said.err
    assert counting.total - paid == 300 - known, "exactly what was not published is asked again"
    assert len(counting.paid) == 300
    assert distinct < 300
    assert (there.out / "tickets.jsonl").read_bytes() == there.undisturbed()
    assert there.project.run("verify", "tickets.yaml").code == 0


def test_an_interrupted_run_publishes_and_says_where_its_results_are(
    there: There, counting: Counting, tmp_path: Path
) -> None:
    there.spec(publish_every=1000)
    there.project.rows(300)
    process = there.start("--quiet")
    until(lambda: counting.total >= 50)
    process.terminate()
    said = there.project.end(process)
    assert said.code == 143
    partial = said.err.partition("results so far are in ")[2].partition(";")[0]
    assert partial.startswith(str(there.spool))
    lines = Path(partial).read_bytes().splitlines()
    assert json.loads(lines[0])["id"] == "T-0"
    assert not (there.out / "tickets.jsonl").exists()
    assert json.loads((there.out / "tickets.run.json.partial").read_text())["exit_code"] == 143

    there.lose_the_machine()
    assert there.published(tmp_path / "elsewhere") == counting.total
    assert there.run("--quiet").code == 0
    assert counting.total == 300
    assert (there.out / "tickets.jsonl").read_bytes() == there.undisturbed()


def test_a_second_run_is_refused_and_told_who_is_at_it(
    there: There, counting: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.project.rows(2000)
    process = there.start("--quiet")
    until(lambda: counting.total > 0)
    here = there.run("--quiet")
    monkeypatch.setenv("DBRUN_SPOOL", str(tmp_path / "another machine"))
    elsewhere = there.run("--quiet")
    process.kill()
    there.project.end(process)
    for said in (here, elsewhere):
        assert said.code == 2
        assert f"another run is writing this journal (process {process.pid} on " in said.err
    assert "waiting up to" not in here.err
    assert "waiting up to 1 s for a sign of life" in elsewhere.err


@pytest.mark.parametrize("trouble", ["ENOSPC", "EACCES"])
def test_a_volume_that_refuses_ends_the_run_only_at_its_end(
    there: There, counting: Counting, trouble: str
) -> None:
    there.project.rows(100)
    process = there.start("--quiet")
    until(lambda: counting.total >= 10)
    there.volume.fail(trouble)
    said = there.project.end(process)
    assert said.code == 3
    assert counting.total == 100, "the run went on"
    words = os.strerror(getattr(errno, trouble)).lower()
    warned, *_, ended = said.err.splitlines()
    assert f"answers cannot be published: {words}; they are kept in {there.spool}/" in warned
    assert "tried again every 0.1 s" in warned
    assert f"{words}; they are kept in {there.spool}/" in ended
    assert "run the same command again" in ended

    there.volume.fail()
    assert there.run("--quiet").code == 0
    assert counting.total == 100, "nothing is paid for twice"
    assert (there.out / "tickets.jsonl").read_bytes() == there.undisturbed()
    assert not list(there.spool.rglob("*.*"))


def test_a_volume_that_refuses_for_a_while_costs_a_warning(
    there: There, counting: Counting
) -> None:
    there.project.rows(200)
    process = there.start("--quiet")
    until(lambda: counting.total >= 10)
    there.volume.fail("EIO")
    until(lambda: counting.total >= 60)
    there.volume.fail()
    said = there.project.end(process)
    assert said.code == 0
    assert counting.total == 200
    assert "answers cannot be published: input/output error" in said.err
    assert "answers are being published again" in said.err
    assert (there.out / "tickets.jsonl").read_bytes() == there.undisturbed()


def test_asking_anew_is_continued_on_another_machine(there: There, counting: Counting) -> None:
    there.project.rows(60)
    assert there.run("--quiet").code == 0
    process = there.start("--quiet", "--fresh")
    until(lambda: counting.total >= 80)
    process.send_signal(signal.SIGINT)
    assert there.project.end(process).code == 130
    there.lose_the_machine()
    assert there.run("--quiet", "--fresh").code == 0
    assert counting.total == 120
    assert set(counting.paid.values()) == {2}


def test_a_journal_alone_on_a_volume_and_a_sink_alone(there: There, counting: Counting) -> None:
    there.project.rows(20)
    journal = f"journal.path={there.out}/only.journal"
    assert there.run("--quiet", "--set", "sink=here.jsonl", "--set", journal).code == 0
    assert [path.name for path in there.out.iterdir()] == ["only.journal"]
    assert there.run("--quiet", "--set", "journal.path=here.journal").code == 0
    assert sorted(path.name for path in there.out.iterdir()) == [
        "only.journal",
        "tickets.jsonl",
        "tickets.run.json",
    ]
    here = there.project.folder
    assert (here / "here.jsonl").read_bytes() == (there.out / "tickets.jsonl").read_bytes()
    assert sorted(os.listdir(here / "here.journal")) == ["answers.jsonl", "state.json"]
