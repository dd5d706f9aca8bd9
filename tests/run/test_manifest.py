"""What a manifest tells of the folder that a spec is in."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.repository import TICKETS, Project

from dbrun.run.manifest import git_branch, git_state


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "repository"
    folder.mkdir()
    return Project(folder)


def test_outside_git_there_is_no_state(tmp_path: Path) -> None:
    assert git_state(str(tmp_path)) is None
    assert git_branch(str(tmp_path)) is None
    assert git_state(str(tmp_path / "not there")) is None


def test_nor_is_there_before_the_first_commit(project: Project) -> None:
    assert git_state(str(project.folder)) is None


def test_the_commit_and_whether_files_differ_from_it(project: Project) -> None:
    project.git("add", ".")
    project.git("commit", "-qm", "one")
    folder = str(project.folder / "pipelines")
    commit = project.git("rev-parse", "HEAD").strip()
    clean, dirty = {"commit": commit, "dirty": False}, {"commit": commit, "dirty": True}
    assert git_state(folder) == clean
    assert git_branch(folder) == "main"
    project.write("new.txt", "not tracked: it shapes no run that is in git")
    assert git_state(folder) == clean
    project.write(TICKETS, "name: changed\n")
    assert git_state(folder) == dirty
    project.git("checkout", "-q", "--", TICKETS)
    project.git("mv", "data/rows.jsonl", "data/others.jsonl")
    assert git_state(folder) == dirty  # staged is as good as changed
    project.git("reset", "-q", "--hard")
    project.git("checkout", "-q", "--detach")
    assert git_state(folder) == clean
    assert git_branch(folder) is None
