"""The commands of `docs/mlflow.md` do what it says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from fakes.tracking import FakeTracking

from dbrun.cli.main import main

ROOT = Path(__file__).parents[2]
MANUAL = (ROOT / "docs/mlflow.md").read_text(encoding="utf-8")
SERVER = "http://127.0.0.1:5000"


def test_the_run_of_the_manual_is_logged(
    tmp_path: Path,
    tracking: FakeTracking,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (command,) = re.findall(r"^dbrun (pipelines.*)$", MANUAL, re.MULTILINE)
    (tmp_path / "pyproject.toml").touch()
    shutil.copytree(ROOT / "pipelines", tmp_path / "pipelines")
    monkeypatch.chdir(tmp_path)

    assert main(command.replace(SERVER, tracking.uri).split()) == 0
    (logged,) = tracking.runs
    assert f"run {logged['id']} of experiment demo" in capsys.readouterr().err
    assert set(logged["artifacts"]) == {"function.run.json", "function.jsonl"}
    assert logged["params"]["endpoint.adapter"] == "python"
    assert logged["inputs"][0][0]["name"] == "addresses.jsonl"
