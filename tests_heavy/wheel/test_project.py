"""A project that the installed wheel makes, and the wheel that its bundle makes."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

PYTHON = os.environ["DBRUN_WHEEL_PYTHON"]


def shell(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run *script* where the programs of the installed wheel come first on the path."""
    path = f"{os.path.dirname(PYTHON)}{os.pathsep}{os.environ['PATH']}"
    environ = {"PATH": path, "HOME": os.environ.get("HOME", str(folder))}
    return subprocess.run(
        ["bash", "-e", "-c", script], cwd=folder, env=environ, capture_output=True, text=True
    )


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    made = shell(tmp_path, "dbrun init demo --bundle")
    assert made.returncode == 0, made.stderr
    return tmp_path / "demo"


def test_it_is_whole_and_runs(demo: Path) -> None:
    done = shell(demo, "dbrun validate 'pipelines/*.yaml' && dbrun pipelines/tickets.yaml")
    assert done.returncode == 0, done.stderr
    assert len((demo / "out" / "tickets.jsonl").read_text().splitlines()) == 10
    for name in (".gitignore", ".github/workflows/dbrun.yml", ".pre-commit-config.yaml"):
        assert (demo / name).is_file()


def test_the_bundle_makes_the_wheel_that_the_job_installs(demo: Path) -> None:
    bundle = yaml.safe_load((demo / "databricks.yml").read_text())
    (demo / "dist").mkdir()
    (demo / "dist" / "dbrun-0.0.1-py3-none-any.whl").touch()  # of an earlier deployment
    done = shell(demo, bundle["artifacts"]["dbrun"]["build"])
    assert done.returncode == 0, done.stderr

    resources = yaml.safe_load((demo / "resources" / "tickets.yml").read_text())
    job = resources["resources"]["jobs"]["tickets"]
    (wanted,) = job["environments"][0]["spec"]["dependencies"]
    (wheel,) = (demo / "resources").glob(wanted)
    with zipfile.ZipFile(wheel) as archive:
        (names,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        entry_points = archive.read(names).decode()
    assert f"{job['tasks'][0]['python_wheel_task']['entry_point']} = " in entry_points
