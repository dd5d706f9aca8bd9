"""What git knows of the base, and that nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from diff.sides.conftest import made
from fakes.repository import FILES, SPEC, TICKETS, Project

from dbrun.errors import UserError

# --- git ------------------------------------------------------------------------------------------


def test_the_base_is_where_the_branch_began(project: Project) -> None:
    project.run()
    project.branch()
    began = project.git("rev-parse", "HEAD")
    project.git("checkout", "-q", "main")
    project.write("data/rows.jsonl", "")
    project.commit("main went on")
    project.git("checkout", "-q", "work")

    assert made(TICKETS).commit == began


def test_nothing_is_left_in_the_repository_and_no_hook_is_run(project: Project) -> None:
    project.run()
    project.branch()
    for hook in ("post-checkout", "post-index-change", "reference-transaction"):
        path = project.folder / ".git" / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text('#!/bin/sh\necho ran >> "$(dirname "$0")/../ran"\n')
        path.chmod(0o755)
    before = sorted(str(path) for path in (project.folder / ".git").rglob("*"))
    made(TICKETS)

    assert sorted(str(path) for path in (project.folder / ".git").rglob("*")) == before
    assert project.git("status", "--porcelain") == ""


def test_works_from_a_folder_below_and_inside_a_hook(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run()
    project.branch()
    monkeypatch.chdir(project.folder / "pipelines")
    monkeypatch.setenv("GIT_DIR", "somewhere/else")
    monkeypatch.setenv("GIT_INDEX_FILE", "somewhere/index")

    assert list(made("tickets.yaml").sides) == ["tickets.yaml"]


def test_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UserError, match="is in no git repository; compare two results files"):
        made()


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        ("nowhere", "git knows no such revision; name a branch or a commit"),
        ("--all", "that is no revision"),
        ("", "that is no revision"),
        ("main:pipelines", "git knows no such revision"),
    ],
)
def test_unknown_revisions(project: Project, revision: str, said: str) -> None:
    project.branch()
    with pytest.raises(UserError, match=said):
        made(TICKETS, revision=revision)


def test_a_branch_that_only_the_remote_has(project: Project, tmp_path: Path) -> None:
    project.branch()
    project.git("clone", "-q", str(project.folder), str(tmp_path / "clone"))
    os.chdir(tmp_path / "clone")
    with pytest.raises(UserError, match="did you mean 'origin/main'"):
        made(TICKETS)


@pytest.mark.parametrize("branches", [("main", "work"), ("work",)])
def test_a_shallow_clone_says_how_to_get_a_whole_one(
    project: Project, tmp_path: Path, branches: tuple[str, ...]
) -> None:
    project.branch()
    project.write("note", "1")
    project.commit()
    clone = tmp_path / "clone"
    project.git(
        "clone", "-q", "--depth", "1", "--branch", "work", f"file://{project.folder}", str(clone)
    )
    if "main" in branches:
        subprocess.run(
            ["git", "fetch", "-q", "--depth", "1", "origin", "main:main"], cwd=clone, check=True
        )
    os.chdir(clone)
    with pytest.raises(UserError, match="fetch-depth: 0"):
        made(TICKETS)


def test_a_branch_without_anything_in_common(project: Project) -> None:
    project.branch()
    project.git("checkout", "-q", "--orphan", "apart")
    project.commit()
    with pytest.raises(UserError, match="no commit in common with HEAD"):
        made(TICKETS)


def test_a_repository_without_a_commit(project: Project) -> None:
    with pytest.raises(UserError, match="git knows no such revision"):
        made(TICKETS)


def test_specs_that_are_nowhere(project: Project, tmp_path: Path) -> None:
    project.branch()
    with pytest.raises(UserError, match="neither now nor in the base"):
        made("pipelines/nothing.yaml")


def test_rows_from_standard_input_cannot_be_read_twice(project: Project) -> None:
    project.write(TICKETS, SPEC.replace("path: ../data/rows.jsonl", "path: '-', format: jsonl"))
    project.branch()
    with pytest.raises(UserError, match="standard input"):
        made(TICKETS)


# --- ends -----------------------------------------------------------------------------------------


SLOW = "import time\n\ndef shape(text):\n    time.sleep(60)\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("slow", ["old", "new"])
def test_nothing_is_left_behind_when_interrupted(project: Project, number: int, slow: str) -> None:
    project.run()
    project.results().unlink()
    shapes = (SLOW, FILES["pipelines/shaping.py"])
    before, after = shapes if slow == "old" else shapes[::-1]
    project.write("pipelines/shaping.py", before)
    project.commit("before")
    project.write("pipelines/shaping.py", after)
    script = (
        "import os, sys\nfrom dbrun.diff.sides.base import Overlay, sides_since\n"
        "with sides_since('main', sys.argv[1:], Overlay(), os.environ):\n    pass\n"
    )
    scratch = Path(tempfile.gettempdir())
    process = subprocess.Popen(
        [sys.executable, "-c", script, TICKETS],
        env={**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
    )
    begun = time.monotonic() + 60
    under_way = f"dbrun-diff-*/{slow}/{TICKETS}/results.jsonl"
    while not list(scratch.glob(under_way)) and time.monotonic() < begun:
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)

    assert process.returncode != 0
    assert list(scratch.iterdir()) == [], said
