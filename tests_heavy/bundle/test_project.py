"""The bundle that `dbrun init` makes, in Python instead of YAML: nothing of it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from databricks.bundles.core import Bundle
from databricks.bundles.jobs import Job

from dbrun.bundle import load_resources
from dbrun.cli.main import main


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    assert main(["init", str(tmp_path / "demo"), "--bundle"]) == 0
    monkeypatch.chdir(tmp_path / "demo")
    return tmp_path / "demo"


def test_its_resource_is_a_job(demo: Path) -> None:
    text = (demo / "resources" / "tickets.yml").read_text()
    job = yaml.safe_load(text)["resources"]["jobs"]["tickets"]
    assert Job.from_dict(job).as_dict() == job


def test_python_gives_the_same_job(demo: Path) -> None:
    resources = load_resources(Bundle(target="prod", variables={"dbrun_target": "job"}))
    assert list(resources.diagnostics.items) == []
    text = (demo / "resources" / "tickets.yml").read_text()
    assert {name: job.as_dict() for name, job in resources.jobs.items()} == (
        yaml.safe_load(text)["resources"]["jobs"]
    )


def test_without_a_target_that_has_a_job_there_is_none(demo: Path) -> None:
    resources = load_resources(Bundle(target="prod"))
    assert list(resources.diagnostics.items) == []
    assert dict(resources.jobs) == {}
