"""`schema`, `local` and `completion`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from dbrun.adapters import local_model
from dbrun.cli.main import main
from dbrun.cli.targets import target_names
from dbrun.spec.schema import read_schema


@pytest.mark.parametrize(
    ("words", "name"),
    [([], "pipeline"), (["spec"], "pipeline"), (["record"], "record"), (["manifest"], "manifest")],
)
def test_schemas_are_printed(
    words: list[str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", *words]) == 0
    printed = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(printed)
    assert printed == read_schema(name)


def test_a_schema_is_put_where_editors_find_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "pipelines").mkdir()
    monkeypatch.chdir(tmp_path / "pipelines")
    assert main(["schema", "--write"]) == 0
    written = json.loads((tmp_path / "schemas/pipeline.schema.json").read_text())
    assert written == read_schema("pipeline")
    assert "wrote ../schemas/pipeline.schema.json" in capsys.readouterr().err


def test_a_schema_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "schemas").touch()
    monkeypatch.chdir(tmp_path)
    assert main(["schema", "--write"]) == 3
    assert "cannot be written" in capsys.readouterr().err


def test_models_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local_model, "find", lambda: None)
    monkeypatch.setattr(local_model, "engine_installed", lambda: False)
    assert main(["local", "list"]) == 0
    out = capsys.readouterr().out
    assert "smollm2-135m-instruct  98 MB  Apache-2.0  not installed: dbrun local install" in out
    assert "llama.cpp is not installed" in out


def test_installing_tells_what_it_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local_model, "install", lambda progress: progress("installing a thing"))
    assert main(["local", "install"]) == 0
    assert capsys.readouterr().err == "installing a thing\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert f"_DBRUN_COMPLETE={shell}_complete" in out
    assert "dbrun" in out


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "csh"]) == 2
    assert "bash" in capsys.readouterr().err


def completed(line: str, folder: Path) -> set[str]:
    """What bash is offered at the end of *line*."""
    words = line.split(" ")
    done = subprocess.run(
        [sys.executable, "-c", "from dbrun.cli.main import entry; entry()"],
        cwd=folder,
        env={
            **os.environ,
            "_DBRUN_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return {row.partition(",")[2] for row in done.stdout.splitlines()}


def test_commands_options_and_targets_are_completed(tmp_path: Path) -> None:
    (tmp_path / "_base.yaml").write_text("targets: {staging: {}}\n")
    (tmp_path / "a.yaml").write_text("extends: _base.yaml\ntargets: {prod: {}, dev: {}}\n")
    assert completed("dbrun va", tmp_path) == {"validate"}
    assert "--limit" in completed("dbrun run --l", tmp_path)
    assert completed("dbrun run a.yaml --target ", tmp_path) == {"prod", "dev", "staging"}
    assert completed("dbrun a.yaml -t p", tmp_path) == {"prod"}


def test_targets_are_read_from_whatever_is_there(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("targets: [\n")
    looping = tmp_path / "looping.yaml"
    looping.write_text("extends: [looping.yaml, nowhere.yaml, 7]\ntargets: [a]\n")
    assert target_names([str(broken), str(looping), str(tmp_path / "nowhere.yaml")]) == []
