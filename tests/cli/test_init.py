"""`dbrun init`: a project that works, made without touching what is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dbrun.cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["init", *words]) == code
    out, err = capsys.readouterr()
    assert out == ""
    return err


@pytest.mark.parametrize("options", [[], ["--bundle"]], ids=["plain", "bundle"])
def test_the_project_is_valid_and_runs(
    folder: Path,
    options: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    err = said(capsys, "demo", *options)
    assert "made demo/pipelines/tickets.yaml" in err
    assert err.endswith("now run it: cd demo && dbrun pipelines/tickets.yaml\n")
    monkeypatch.chdir("demo")
    assert main(["validate", "pipelines/tickets.yaml"]) == 0
    assert capsys.readouterr().err == "pipelines/tickets.yaml: ok\n"
    for target in ("local", "databricks", *(["job"] if options else [])):
        assert main(["validate", "pipelines/*.yaml", "--target", target]) == 0
        assert capsys.readouterr().err == "pipelines/tickets.yaml: ok\n"
        assert main(["test", "pipelines/tickets.yaml", "--target", target]) == 0
        assert capsys.readouterr().out.startswith("pipelines/tickets.yaml: 3 passed in ")
    assert main(["test", "pipelines/tickets.yaml"]) == 0
    assert capsys.readouterr().out.startswith("pipelines/tickets.yaml: 3 passed in ")
    assert main(["pipelines/tickets.yaml", "--quiet"]) == 0
    records = [json.loads(line) for line in Path("out/tickets.jsonl").read_text().splitlines()]
    assert len(records) == 10
    assert records[0]["output"] == "Printer jams since the update."
    if options:
        words = ["job", "pipelines/tickets.yaml", "--target", "job"]
        assert main([*words, "--check", "resources/tickets.yml"]) == 0
        assert main(words) == 0
        assert capsys.readouterr().out == Path("resources/tickets.yml").read_text()


def test_what_is_there_is_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("README.md").write_text("mine")
    err = said(capsys)
    assert err.startswith("kept README.md, which was there already\nmade ")
    assert err.endswith("now run it: dbrun pipelines/tickets.yaml\n")
    assert Path("README.md").read_text() == "mine"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    err = said(capsys)
    assert err.count("kept ") == len(before)
    assert err.endswith("nothing to make: everything is there\n")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_folder_is_named_as_a_shell_reads_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "cd 'my demo' && dbrun" in said(capsys, "my demo")


def test_a_bundle_of_a_project_that_is_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys)
    err = said(capsys, "--bundle")
    assert "made databricks.yml\n" in err
    assert "kept pipelines/tickets.yaml, which was there already\n" in err
    assert "no job was made of pipelines/tickets.yaml; give it a target 'job', then: " in err
    assert not Path("resources").exists()


def test_a_folder_that_is_a_file_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("x").touch()
    assert said(capsys, "x", code=2).startswith("dbrun: x is a file; name a folder")


@pytest.fixture
def shims(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dbrun` and `python` on the path are those of the tests."""
    programs = folder / "programs"
    programs.mkdir()
    for name, words in (("python", ""), ("dbrun", " -m dbrun")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


@pytest.mark.usefixtures("shims")
def test_the_checks_of_ci_pass(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "demo", "--bundle")
    workflow: Any = yaml.safe_load(Path("demo/.github/workflows/dbrun.yml").read_text())
    steps = {
        step["name"]: step["run"] for step in workflow["jobs"]["check"]["steps"] if "run" in step
    }
    # It asks the network, and installs the dbrun that is here already.
    assert steps.pop("Install") == "python -m pip install -r requirements.txt pytest"
    assert len(steps) == 5
    hooks: Any = yaml.safe_load(Path("demo/.pre-commit-config.yaml").read_text())
    entries = [hook["entry"] for hook in hooks["repos"][0]["hooks"]]
    assert entries == [
        "dbrun validate",
        "dbrun test 'pipelines/*.yaml'",
        steps["Compare the job with its spec"],
    ]
    for name, script in steps.items():
        # As GitHub runs a step.
        done = subprocess.run(
            ["bash", "-e", "-c", script], cwd="demo", capture_output=True, text=True
        )
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"


@pytest.mark.usefixtures("shims")
def test_a_spec_that_drifts_from_its_job_fails_ci(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "demo", "--bundle")
    spec = Path("demo/pipelines/tickets.yaml")
    spec.write_text(spec.read_text().replace("0 0 3 * * ?", "0 0 4 * * ?"))
    workflow: Any = yaml.safe_load(Path("demo/.github/workflows/dbrun.yml").read_text())
    script = workflow["jobs"]["check"]["steps"][-1]["run"]
    done = subprocess.run(["bash", "-e", "-c", script], cwd="demo", capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == (
        "- tickets.schedule.quartz_cron_expression: 0 0 3 * * ?\n"
        "+ tickets.schedule.quartz_cron_expression: 0 0 4 * * ?\n"
    )
