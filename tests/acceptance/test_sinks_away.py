"""Sinks and journals on volumes of a workspace from a machine that has not mounted them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from acceptance.conftest import Project
from fakes.server import Reply, as_json
from fakes.volumes import VOLUME, FakeVolumes
from fakes.workspace import FakeWorkspace, delay

import dbrun

OUT = f"{VOLUME}/out"
RESULTS = f"{OUT}/tickets.jsonl"
MANIFEST = f"{OUT}/tickets.run.json"
JOURNAL = f"{RESULTS}.journal"
IMPATIENT = """\
from dbrun.client.journal import heartbeat
from dbrun.cli.main import entry
heartbeat.BEAT, heartbeat.PATIENCE, heartbeat._LOOK = 0.1, 3.0, 0.05
entry()
"""


class There:
    """A project whose sink is on a volume elsewhere, and the ways to run it."""

    def __init__(self, project: Any, workspace: FakeWorkspace, spool: Path) -> None:
        self.project = project
        self.workspace = workspace
        self.volumes: FakeVolumes = workspace.volumes
        self.spool = spool
        project.write(
            "tickets.yaml",
            "name: tickets\n"
            "source: {path: rows.jsonl, id: id}\n"
            "endpoint: {adapter: databricks, name: chat, task: chat}\n"
            'prompt: "Summarize: {{ text }}"\n'
            "limits: {concurrency: 2}\n"
            f"sink: {RESULTS}\n"
            "journal: {publish_every: 0.1}\n",
        )

    def run(self, *words: str) -> Any:
        return self.project.run("tickets.yaml", *words)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", IMPATIENT, "tickets.yaml", *words],
            cwd=self.project.folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def lose_the_machine(self) -> None:
        shutil.rmtree(self.spool)

    def undisturbed(self) -> bytes:
        """The results of a run on a local disk."""
        assert self.run("--quiet", "--set", "sink=local/tickets.jsonl").code == 0
        return bytes(self.project.bytes("local/tickets.jsonl"))

    @property
    def sent(self) -> int:
        return len(self.workspace.calls)

    @property
    def answers(self) -> list[str]:
        """The files of the journal on the volume."""
        return [path.rpartition("/")[2] for path in self.volumes.below(JOURNAL)]

    def published(self) -> int:
        """How many answers the journal on the volume has."""
        found = self.volumes.below(JOURNAL)
        lines = [line for data in found.values() for line in data.splitlines()]
        return sum(line.startswith(b'{"key":') for line in lines)

    def wait(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < end, "it does not happen"
            time.sleep(0.02)


@pytest.fixture
def there(
    project: Any, workspace: FakeWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> There:
    for name, value in workspace.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DBRUN_SPOOL", str(tmp_path / "spool"))
    return There(project, workspace, tmp_path / "spool")


def test_results_manifest_and_journal_get_there(there: There) -> None:
    done = there.run()
    assert done.code == 0
    assert f"results   {RESULTS}" in done.err.replace("  " * 5, " ")
    assert str(there.spool) not in done.err
    assert there.volumes.data(RESULTS).count(b"\n") == 10
    manifest = json.loads(there.volumes.data(MANIFEST))
    assert (manifest["status"], manifest["results"]["path"]) == ("finished", "tickets.jsonl")
    kinds = [name.partition("-")[0] for name in there.answers]
    assert kinds == ["answers", "state.json", "state.json.copy"]
    assert there.published() == 10
    assert not os.path.exists(VOLUME)
    assert there.volumes.data(RESULTS) == there.undisturbed()


def test_again_nothing_is_sent_and_nothing_written(there: There) -> None:
    assert there.run().code == 0
    before, sent, puts = dict(there.volumes.files), there.sent, there.volumes.calls.copy()
    done = there.run("--json", "--quiet")
    assert (done.code, done.summary["requests"]["sent"]) == (0, 0)
    assert done.summary["runs"][0]["results"] == RESULTS if "runs" in done.summary else True
    assert there.sent == sent
    assert there.volumes.files == before
    written = {path for (method, path) in (there.volumes.calls - puts) if method == "PUT"}
    assert all("/lock-" in path or path in (JOURNAL, OUT) for path in written)


def test_another_machine_knows_the_answers(there: There) -> None:
    assert there.run("--limit", "4").code == 0
    assert there.sent == 4
    there.lose_the_machine()
    assert there.run().code == 0
    assert there.sent == 10
    there.lose_the_machine()
    assert there.run("--replay").code == 0
    there.lose_the_machine()
    assert "to reuse              10" in there.project.run("plan", "tickets.yaml").out
    assert there.project.run("verify", "tickets.yaml").code == 0
    told = there.project.run("journal", "tickets.yaml")
    assert told.code == 0
    assert "10 " in told.out, told.out
    assert str(there.spool) not in told.out
    assert there.sent == 10


@pytest.mark.parametrize("machine", ["the same", "another"])
def test_killed_and_gone_on_with(there: There, machine: str) -> None:
    there.project.rows(40)
    there.workspace.script([delay(0.05, every=1)])
    process = there.start("--quiet")
    there.wait(lambda: there.published() >= 6)
    process.kill()
    process.wait()
    process.communicate()
    assert RESULTS not in there.volumes.files
    paid, known = there.sent, there.published()
    if machine == "another":
        there.lose_the_machine()
    else:
        known = paid - 2  # but those in flight
    done = there.project.end(there.start("--quiet"), timeout=60)
    assert (done.code, done.err if machine == "the same" else "") == (0, "")
    assert there.sent - paid <= 40 - known
    assert there.volumes.data(RESULTS) == there.undisturbed()
    assert not [name for name in there.answers if name.startswith("lock-")]


def test_a_second_machine_is_refused(
    there: There, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.workspace.script([delay(60, every=1)])
    first = there.start("--quiet")
    try:
        there.wait(lambda: there.sent > 0)
        monkeypatch.setenv("DBRUN_SPOOL", str(tmp_path / "other"))
        second = there.project.end(there.start("--quiet"), timeout=60)
    finally:
        first.kill()
        first.communicate()
    assert second.code == 2
    assert f"{JOURNAL}: another run is writing this journal (process " in second.err


def test_an_interrupted_run_brings_its_answers_there(there: There) -> None:
    there.project.rows(40)
    there.workspace.script([delay(0.05, every=1)])
    process = there.start("--quiet", "--set", "journal.publish_every=600")
    there.wait(lambda: there.sent > 5)
    process.send_signal(signal.SIGINT)
    assert there.project.end(process, timeout=60).code == 130
    assert there.published() >= 5
    assert RESULTS not in there.volumes.files


def test_what_is_busy_or_breaks_is_tried_again(there: There) -> None:
    busy = as_json({"error_code": "TEMPORARILY_UNAVAILABLE", "message": "x"}, 503, retry_after="0")
    there.volumes.fail("PUT", "tickets.jsonl", busy, Reply(reset=True))
    there.volumes.fail("PUT", "tickets.run.json", busy)
    assert there.run().code == 0
    assert json.loads(there.volumes.data(MANIFEST))["results"]["size"] == len(
        there.volumes.data(RESULTS)
    )


def test_a_volume_that_may_not_be_written(there: There) -> None:
    there.volumes.read_only.add(VOLUME)
    done = there.run()
    assert (done.code, there.sent) == (3, 0)
    assert "User does not have WRITE VOLUME on Volume 'main.default.v'".lower() in done.err.lower()
    assert len(done.err.splitlines()) == 1


def test_a_folder_in_the_place_of_results_is_said_before_anything_is_paid(there: There) -> None:
    there.volumes.put(f"{RESULTS}/x", b"1")
    done = there.run("--set", f"journal.path={OUT}/j")
    assert (done.code, there.sent) == (3, 0)
    assert f"{RESULTS}: cannot be written: it is a folder; add a file name" in done.err


def test_a_token_that_is_no_good(there: There, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi" + "0" * 32)
    done = there.run()
    assert (done.code, there.sent) == (3, 0)
    assert "Invalid access token; renew the login, or log in again" in done.err


def test_what_is_here_is_looked_at_where_the_volume_cannot_be_asked(
    there: There, caplog: pytest.LogCaptureFixture
) -> None:
    assert there.run().code == 0
    there.volumes.closed.add(VOLUME)
    assert "to reuse              10" in there.project.run("plan", "tickets.yaml").out
    assert "User does not have READ VOLUME" in caplog.text.replace("user does", "User does")
    assert "going by what it held last" in caplog.text


def test_results_that_cannot_be_brought_are_kept_and_brought_later(there: There) -> None:
    refused = as_json({"error_code": "QUOTA", "message": "The disk quota is exceeded."}, 507)
    there.volumes.fail("PUT", "tickets.jsonl", refused)
    done = there.run()
    assert done.code == 3
    assert f"{RESULTS}: cannot be written: The disk quota is exceeded; what" in done.err
    assert MANIFEST not in there.volumes.files
    again = there.run("--json", "--quiet")
    assert (again.code, again.summary["requests"]["sent"]) == (0, 0)
    assert there.volumes.data(RESULTS).count(b"\n") == 10


def test_only_errors_looks_at_the_results_there(there: There) -> None:
    assert there.run().code == 0
    lines = there.volumes.data(RESULTS).decode().splitlines()
    record = json.loads(lines[3])
    record.update(status="error", output=None)
    lines[3] = json.dumps(record, separators=(",", ":"))
    there.volumes.put(RESULTS, "\n".join(lines) + "\n")
    there.lose_the_machine()
    assert there.run("--only-errors").code == 0
    assert there.sent == 11


def test_results_there_are_looked_at_here(there: There) -> None:
    assert there.run().code == 0
    there.lose_the_machine()
    assert there.project.run("verify", RESULTS).code == 0
    assert there.project.run("report", RESULTS).code == 0
    assert (there.project.folder / "tickets.html").exists()
    compared = there.project.run("diff", RESULTS, RESULTS)
    assert (compared.code, str(there.spool) in compared.out) == (0, False), compared
    assert there.project.run("verify", f"{OUT}/other.jsonl").code == 2
    assert there.run("--out", f"{OUT}/other.jsonl").code == 0
    assert there.volumes.data(f"{OUT}/other.jsonl") == there.volumes.data(RESULTS)


def test_rows_that_are_streamed_share_the_journal(there: There) -> None:
    assert there.run("--limit", "1").code == 0
    there.lose_the_machine()
    pipeline = dbrun.load("tickets.yaml")
    rows = [{"id": f"T-{number}", "text": f"ticket number {number}"} for number in range(3)]
    assert [record["status"] for record in pipeline.stream(rows)] == ["ok"] * 3
    assert (there.sent, there.published()) == (3, 3)
    there.lose_the_machine()
    assert there.run("--set", "limits.processes=2").code == 0
    assert (there.sent, there.published()) == (10, 10)


def test_the_doctor_looks(there: There) -> None:
    there.volumes.put(f"{VOLUME}/rows.jsonl", there.project.bytes("rows.jsonl"))
    words = ["doctor", "tickets.yaml", "--set", f"source.path={VOLUME}/rows.jsonl"]
    said = there.project.run(*words).out
    assert f"{VOLUME}/rows.jsonl can be fetched from the workspace" in said
    assert f"{OUT} (to be made) takes files through the workspace's Files API" in said
    assert there.volumes.below(OUT) == {}
    there.volumes.read_only.add(VOLUME)
    refused = there.project.run(*words)
    assert refused.code != 0
    assert "User does not have WRITE VOLUME" in refused.out
    assert str(there.spool) not in refused.out + said


def test_delta_tables_there_are_left_to_the_workspace(there: There) -> None:
    sink = there.run(
        "--set", f"sink={{path: {OUT}/table, format: delta}}", "--set", f"journal.path={OUT}/j"
    )
    assert sink.code == 2
    assert "can be written on compute of its workspace only" in sink.err
    source = there.run("--set", f"source={{path: {OUT}/table, format: delta, id: id}}")
    assert source.code == 3
    assert "can be read on compute of its workspace only" in source.err


def test_without_a_workspace_nothing_is_made(there: There, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABRICKS_HOST")
    monkeypatch.delenv("DATABRICKS_TOKEN")
    done = there.run("--set", "endpoint={adapter: python, function: 'json:dumps'}")
    assert done.code == 3
    assert "is on a volume, which is not mounted here, and no workspace is known" in done.err
    assert not os.path.exists(VOLUME)
    assert there.project.run("validate", "tickets.yaml").code == 0


@pytest.mark.parametrize(
    ("path", "root"),
    [
        ("/dbfs/tmp/x.jsonl", "/dbfs"),
        ("/Workspace/Users/me/x.jsonl", "/Workspace"),
        ("/Volumes/none-such/s/v/x.jsonl", "/Volumes/none-such/s/v"),
    ],
)
@pytest.mark.parametrize("where", ["sink", "journal.path"])
def test_storage_that_is_not_here_is_not_made(
    path: str, root: str, where: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On compute of Databricks, too: some has no DBFS, and a volume may be mistyped."""
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "16.4")
    words = ["--set", "endpoint={adapter: python, function: 'json:dumps'}", "--set"]
    other = f"--set=sink={project.folder}/x.jsonl"
    done = project.run("tickets.yaml", *words, f"{where}={path}", *[other] * (where != "sink"))
    assert done.code == 3
    assert f"there is no {root}; check the path, and that it is mounted here" in done.err
    assert not os.path.exists(root)
