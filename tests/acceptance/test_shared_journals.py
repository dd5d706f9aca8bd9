"""Several specs with a sink each and one journal for all, run at once."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter

import pytest
from acceptance.conftest import SPEC, Project
from fakes.workspace import FakeWorkspace

JOURNAL = "out/answers.journal"
ROWS = 60


@pytest.fixture(autouse=True)
def specs(project: Project) -> None:
    """Two specs that ask the same of the same rows, the second in the other order."""
    project.rows(ROWS)
    lines = project.bytes("rows.jsonl").splitlines(keepends=True)
    project.write("back.jsonl", b"".join(reversed(lines)).decode())
    more = f"journal: {{path: {JOURNAL}}}\nlimits: {{concurrency: 4}}\n"
    project.write("tickets.yaml", SPEC + more)
    other = SPEC.replace("out/tickets", "out/other").replace("rows.jsonl", "back.jsonl")
    project.write("other.yaml", other.replace("name: tickets", "name: other") + more)


def asked(workspace: FakeWorkspace) -> Counter[str]:
    """How often each request was made."""
    return Counter(
        json.dumps(call.json["messages"]) for call in workspace.calls if call.method == "POST"
    )


def await_calls(workspace: FakeWorkspace, count: int) -> None:
    """Until there were so many."""
    until = time.monotonic() + 20
    while len(workspace.calls) < count:
        assert time.monotonic() < until
        time.sleep(0.01)


def both(project: Project, workspace: FakeWorkspace) -> list[subprocess.Popen[str]]:
    """One run, and another that comes when it is under way."""
    processes = [project.start("tickets.yaml")]
    await_calls(workspace, 10)
    return [*processes, project.start("other.yaml")]


def is_tidy(project: Project) -> bool:
    """Whether all answers are in one file, with the state beside it at most."""
    names = {path.name for path in (project.folder / JOURNAL).iterdir()}
    return names - {"state.json"} == {"answers.jsonl"}


@pytest.mark.parametrize("processes", [1, 2])
def test_each_request_is_made_once_over_all_runs(
    project: Project, workspace: FakeWorkspace, processes: int
) -> None:
    for name in ("tickets.yaml", "other.yaml"):
        text = project.bytes(name).decode()
        project.write(name, text.replace("{concurrency", f"{{processes: {processes}, concurrency"))
    workspace.latency = 0.1
    said = [project.end(process) for process in both(project, workspace)]
    assert [one.code for one in said] == [0, 0], [one.err for one in said]
    assert asked(workspace).most_common(1)[0][1] == 1
    assert len(asked(workspace)) == ROWS
    manifests = [project.manifest(f"out/{name}.run.json") for name in ("tickets", "other")]
    counts = [manifest["requests"] for manifest in manifests]
    assert sum(count["sent"] for count in counts) == ROWS
    assert all(count["sent"] > 0 for count in counts)
    assert [count["sent"] + count["reused"] for count in counts] == [ROWS, ROWS]
    assert project.records("out/other.jsonl") == project.records()[::-1]
    assert is_tidy(project)


def test_one_that_is_killed_does_not_keep_the_other(
    project: Project, workspace: FakeWorkspace
) -> None:
    workspace.latency = 0.1
    first, other = both(project, workspace)
    await_calls(workspace, 30)
    first.kill()
    assert project.end(first).code == -signal.SIGKILL
    assert project.end(other).code == 0
    assert project.run("tickets.yaml").code == 0
    assert project.manifest()["requests"]["sent"] == 0
    assert len(asked(workspace)) == ROWS
    assert sum(asked(workspace).values()) <= ROWS + 4, "those in flight at the kill excepted"
    assert project.records("out/other.jsonl") == project.records()[::-1]
    assert is_tidy(project)


def test_the_same_sink_is_refused_and_the_journal_kept_from_pruning(
    project: Project, workspace: FakeWorkspace
) -> None:
    workspace.latency = 0.2
    first, other = both(project, workspace)
    said = project.run("tickets.yaml", "--limit", "1")
    assert said.code == 2
    assert f"another run is writing this sink (process {first.pid} on " in said.err
    said = project.run("journal", "tickets.yaml", "other.yaml", "--prune")
    assert said.code == 2
    assert "another run is writing this journal (process " in said.err
    assert [project.end(process).code for process in (first, other)] == [0, 0]


def test_each_sink_has_its_own_fresh_answers(project: Project, workspace: FakeWorkspace) -> None:
    assert project.run("tickets.yaml").code == 0
    workspace.latency = 0.1
    first = project.start("tickets.yaml", "--fresh")
    await_calls(workspace, ROWS + 20)
    first.kill()
    project.end(first)
    workspace.latency = 0.0
    before = len(workspace.calls)
    assert project.run("other.yaml", "--fresh").code == 0
    assert len(workspace.calls) - before == ROWS, "nobody else's are taken for fresh ones"
    before = len(workspace.calls)
    assert project.run("tickets.yaml", "--fresh").code == 0
    assert len(workspace.calls) - before < ROWS, "its own are"
