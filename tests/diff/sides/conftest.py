"""A project in git, and both sides of its specs since a branch began."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes.repository import Project, without_git_settings

from dbrun.diff.sides.base import Base, Overlay, Sides, sides_since


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    without_git_settings(monkeypatch)
    folder = tmp_path / "project"
    folder.mkdir()
    made = Project(folder)
    monkeypatch.chdir(folder)
    # Where the folders of both sides lie; nothing may stay there.
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    return made


class Seen:
    """What was made, read while it was there."""

    def __init__(self, base: Base) -> None:
        self.commit = base.commit
        self.sides: dict[str, Sides] = {sides.spec: sides for sides in base.sides}
        self.old = {sides.spec: records(sides.old.results) for sides in base.sides}
        self.new = {sides.spec: records(sides.new.results) for sides in base.sides}
        self.recipes = {
            sides.spec: [
                json.loads(Path(made.results).with_suffix(".run.json").read_text())
                for made in (sides.old, sides.new)
            ]
            for sides in base.sides
        }


def records(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def made(
    *specs: str,
    revision: str = "main",
    overlay: Overlay = Overlay(),  # noqa: B008
    patterns: Sequence[str] = (),
) -> Seen:
    with sides_since(revision, specs, overlay, os.environ, patterns=patterns) as base:
        seen = Seen(base)
    assert os.listdir(tempfile.gettempdir()) == []
    return seen


def outputs(lines: list[dict[str, Any]]) -> Mapping[str, Any]:
    return {line["id"]: line["output"] for line in lines}
