"""The engine on a real Spark of this machine: `make test-spark`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.workspace import FakeWorkspace
from pyspark.sql import SparkSession

import dbrun
from dbrun.errors import AuthError, RunError
from dbrun.run.result import Run

SPEC = """\
name: tickets
source: {path: rows.jsonl, id: id}
endpoint: {adapter: databricks, name: chat, task: chat}
prompt: "Summarize: {{ text }}"
transforms: {output: "functions:noted"}
limits: {concurrency: 8}
sink: out/tickets.jsonl
engine: {type: spark, partitions: 4}
"""
FUNCTIONS = """\
import os
import helper

def noted(text):
    with open({pids!r}, "a") as stream:
        stream.write(f"{{os.getpid()}}\\n")
    return helper.tidy(text)
"""
STEPS = """\
steps:
  - {name: first, prompt: "{{ text }}"}
  - {name: second, prompt: "{{ steps.first.output[:3] }}"}
"""
WAIT = 300.0
AT_ONCE = 8


class Project:
    """A folder with a spec, rows and functions, and a workspace to ask."""

    def __init__(self, folder: Path, workspace: FakeWorkspace) -> None:
        self.folder = folder
        self.workspace = workspace
        self.pids_file = folder.parent / "pids"
        (folder / "pyproject.toml").touch()
        (folder / "helper.py").write_text("def tidy(text):\n    return text.strip()\n")
        (folder / "functions.py").write_text(FUNCTIONS.format(pids=str(self.pids_file)))
        (folder / "spec.yaml").write_text(SPEC)
        self.rows(200)

    def rows(self, count: int, texts: int = 150) -> None:
        """So many rows, every *texts*-th of which asks the same."""
        rows = [{"id": f"T-{n}", "text": f"ticket number {n % texts}"} for n in range(count)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (self.folder / "rows.jsonl").write_text(text)

    def run(self, *overrides: str, **options: Any) -> Run:
        """Run it in this process."""
        environ = {**os.environ, **self.workspace.environ}
        pipeline = dbrun.load(self.folder / "spec.yaml", overrides=overrides, environ=environ)
        return pipeline.run(environ=environ, **options)

    def start(self, *words: str, submit: str = "") -> subprocess.Popen[str]:
        """The command line in a process of its own; *submit* are options of Spark's."""
        environ = {**os.environ, **self.workspace.environ}
        if submit:
            environ["PYSPARK_SUBMIT_ARGS"] = f"{submit} pyspark-shell"
        return subprocess.Popen(
            [sys.executable, "-m", "dbrun", "spec.yaml", *words],
            cwd=self.folder,
            env=environ,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def asked(self) -> Counter[bytes]:
        """How often each request came to the workspace since this was last called."""
        calls = list(self.workspace.calls)
        self.workspace.calls.clear()
        return Counter(call.body for call in calls)

    @property
    def results(self) -> bytes:
        return (self.folder / "out/tickets.jsonl").read_bytes()

    def workers(self) -> list[int]:
        """The processes that have worked on partitions, by every answer that they took."""
        if not self.pids_file.exists():
            return []
        return [int(line) for line in self.pids_file.read_text().splitlines()]

    def worker(self) -> int:
        """One of them, once there is one."""
        end = time.monotonic() + WAIT
        while not self.workers():
            assert time.monotonic() < end, "nothing was answered"
            time.sleep(0.05)
        return self.workers()[0]


@pytest.fixture
def workspace() -> Iterator[FakeWorkspace]:
    with FakeWorkspace(latency=0.05) as made:
        yield made


@pytest.fixture
def project(tmp_path: Path, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in [name for name in os.environ if name.startswith("DATABRICKS_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder, workspace)


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    """Four partitions at a time; a task may fail three times."""
    session = (
        SparkSession.builder.master("local[4,4]")
        .config("spark.ui.enabled", "false")
        .config("spark.pyspark.python", sys.executable)
        .getOrCreate()
    )
    session.sparkContext.pythonExec = sys.executable
    yield session
    session.stop()


@pytest.mark.usefixtures("spark")
class TestInFourPartitions:
    def test_the_results_are_those_of_the_local_engine(self, project: Project) -> None:
        run = project.run()
        results, asked = project.results, project.asked()
        assert len(project.workers()) == 200
        assert len(set(project.workers())) > 1
        assert set(asked.values()) == {1}
        assert len(asked) == 150
        assert run.manifest["requests"]["sent"] == 150
        assert run.manifest["requests"]["reused"] == 50
        assert run.manifest["counts"]["ok"] == 200

        project.run("engine=local")
        assert not project.asked()
        assert project.results == results

    def test_a_matrix_within_what_it_may_cost(self, project: Project) -> None:
        project.rows(40, texts=40)
        spec = SPEC + "matrix: {params.max_tokens: [5, 10]}\n"
        priced = "name: chat, price: {input_per_million: 1, output_per_million: 1}, task"
        (project.folder / "spec.yaml").write_text(spec.replace("name: chat, task", priced))
        run = project.run("limits.max_cost=1")
        results, asked = project.results, project.asked()
        assert (run.exit_code, len(asked), set(asked.values())) == (0, 80, {1})
        assert 0 < run.manifest["cost"]["run"] <= 1
        assert len(run.manifest["variants"]) == 2

        project.run("engine=local")
        assert not project.asked()
        assert project.results == results

    def test_what_was_answered_is_not_asked_again(self, project: Project) -> None:
        project.run(limit=60)
        project.rows(220, texts=220)
        project.run()
        asked = project.asked()
        assert set(asked.values()) == {1}
        assert len(asked) == 220

    def test_a_killed_worker_costs_what_it_had_in_flight(
        self, project: Project, workspace: FakeWorkspace
    ) -> None:
        project.rows(600, texts=600)
        ended: list[Run] = []
        thread = threading.Thread(target=lambda: ended.append(project.run()))
        thread.start()
        os.kill(project.worker(), signal.SIGKILL)
        thread.join(WAIT)
        asked = project.asked()
        assert ended[0].manifest["counts"]["ok"] == 600
        assert len(asked) == 600
        assert asked.total() <= 600 + AT_ONCE // 4

    def test_a_killed_partition_that_is_not_tried_again_is_continued_by_the_same_command(
        self, project: Project, spark: SparkSession
    ) -> None:
        project.rows(600, texts=600)
        failed: list[RunError] = []

        def run() -> None:
            with pytest.raises(RunError) as caught:
                project.run()
            failed.append(caught.value)

        thread = threading.Thread(target=run)
        thread.start()
        killed: set[int] = set()
        while thread.is_alive():  # whoever takes the partition up is killed as well
            worker = (
                int(project.pids_file.read_text().split()[-1]) if project.pids_file.exists() else 0
            )
            if worker and worker not in killed:
                killed.add(worker)
                os.kill(worker, signal.SIGKILL)
            time.sleep(0.05)
        assert "lost more often than Spark puts up with" in str(failed[0])
        assert project.run().manifest["counts"]["ok"] == 600
        asked = project.asked()
        assert len(asked) == 600
        assert asked.total() <= 600 + len(killed) * AT_ONCE

    def test_a_login_that_is_refused_ends_the_run_at_once(
        self, project: Project, workspace: FakeWorkspace
    ) -> None:
        workspace.tokens.clear()
        with pytest.raises(AuthError):
            project.run()
        assert not os.path.exists(project.folder / "out/tickets.jsonl")

    def test_steps(self, project: Project) -> None:
        spec = SPEC.replace('transforms: {output: "functions:noted"}\n', "").replace(
            'prompt: "Summarize: {{ text }}"\n', STEPS
        )
        (project.folder / "spec.yaml").write_text(spec)
        project.run()
        results, asked = project.results, project.asked()
        assert set(asked.values()) == {1}
        project.run("engine=local")
        assert not project.asked()
        assert project.results == results


def test_ctrl_c_and_the_same_command_again(project: Project) -> None:
    project.rows(400, texts=400)
    process = project.start(submit="--master local[4]")
    project.worker()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=WAIT)
    assert process.returncode == 130, said
    assert "run the same command again to continue" in said
    process = project.start(submit="--master local[4]")
    _, said = process.communicate(timeout=WAIT)
    assert process.returncode == 0, said
    asked = project.asked()
    assert set(asked.values()) == {1}
    assert len(asked) == 400


def test_speculation_sends_nothing_twice(project: Project, workspace: FakeWorkspace) -> None:
    """On a cluster of two executors, for Spark speculates on none of its own threads."""
    workspace.latency = 0.1
    project.rows(300, texts=300)
    options = {
        "spark.speculation": "true",
        "spark.speculation.interval": "100ms",
        "spark.speculation.multiplier": "1.01",
        "spark.speculation.quantile": "0.1",
        "spark.speculation.minTaskRuntime": "100ms",
        "spark.ui.enabled": "false",
    }
    words = " ".join(f"--conf {name}={value}" for name, value in options.items())
    process = project.start(submit=f"--master local-cluster[2,2,1024] {words}")
    _, said = process.communicate(timeout=3 * WAIT)
    assert process.returncode == 0, said
    assert "spark.speculation is on" in said
    asked = project.asked()
    assert set(asked.values()) == {1}
    assert len(asked) == 300
