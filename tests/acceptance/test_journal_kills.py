"""Changes to a journal that are killed in the middle lose nothing."""

from __future__ import annotations

import signal

import pytest
from acceptance.conftest import Project
from acceptance.journals import JOURNAL, entries, kill_when, run_batch
from fakes.workspace import FakeWorkspace


@pytest.fixture
def big(project: Project, workspace: FakeWorkspace) -> dict[str, str]:
    """2,000 rows and their answers as a batch gives them, by row."""
    project.rows(2000)
    project.run("journal", "tickets.yaml", "--requests", "requests.jsonl")
    run_batch(project, "requests.jsonl", "answers.jsonl")
    return {line["id"]: line["key"] for line in project.run("render", "tickets.yaml").records}


def test_an_import_that_is_killed_goes_on(project: Project, big: dict[str, str]) -> None:
    folder = project.folder / JOURNAL

    def written() -> int:
        return sum(path.stat().st_size for path in folder.glob("*.jsonl") if path.exists())

    have = kills = 0
    for attempt in range(3):
        process = project.start("journal", "tickets.yaml", "--import", "answers.jsonl")
        more = written() + 50_000 * (attempt + 1)
        kill_when(process, lambda more=more: written() > more)
        kills += project.end(process).code == -signal.SIGKILL
        found = entries(project)
        assert have < len(found)
        assert set(found) <= set(big.values())
        have = len(found)
    assert kills >= 2
    assert have < 2000
    said = project.run("journal", "tickets.yaml", "--import", "answers.jsonl")
    assert said.err == f"2,000 lines: {2000 - have:,} taken, {have:,} answered before\n"
    assert set(entries(project)) == set(big.values())


def test_pruning_that_is_killed_loses_nothing(project: Project, big: dict[str, str]) -> None:
    assert project.run("journal", "tickets.yaml", "--import", "answers.jsonl").code == 0
    whole = project.bytes(f"{JOURNAL}/answers.jsonl")
    project.rows(1900)
    wanted = set(list(big.values())[:1900])
    partial = project.folder / JOURNAL / "answers.jsonl.partial"
    kills = 0
    for least in (0, 0, 1, 500_000):
        # Two files, as a run leaves them that was killed.
        lines = whole.splitlines(keepends=True)
        for path in (project.folder / JOURNAL).glob("*.jsonl"):
            path.unlink()
        (project.folder / JOURNAL / "answers.jsonl").write_bytes(b"".join(lines[:1000]))
        other = "20260101T000000000000-01234567.jsonl"
        (project.folder / JOURNAL / other).write_bytes(b"".join(lines[1000:]))
        process = project.start("journal", "tickets.yaml", "--prune")
        kill_when(process, lambda least=least: partial.exists() and partial.stat().st_size >= least)
        kills += project.end(process).code == -signal.SIGKILL
        assert wanted <= set(entries(project))
    assert kills
    assert project.run("journal", "tickets.yaml", "--prune").code == 0
    assert set(entries(project)) == wanted
    assert list(project.files(JOURNAL)) == [f"{JOURNAL}/answers.jsonl"]
    assert project.run("tickets.yaml").code == 0
    assert project.manifest()["requests"]["sent"] == 0
