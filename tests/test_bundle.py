"""Jobs for a bundle's Python: what is handed to `databricks-bundles`, which a double stands for.

`tests_heavy/bundle` does the same with the package itself.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from dbrun.bundle import load_resources
from dbrun.errors import PluginError

SPEC = """\
name: tickets
vars: {day: null}
source: rows.jsonl
endpoint: {adapter: databricks, name: chat}
prompt: "{{ text }}"
sink: "/Volumes/main/default/tickets/${vars.day}.jsonl"
journal: {path: "/Volumes/main/default/tickets/journal-${vars.day}"}
job: {parameters: {day: "{{job.start_time.iso_date}}"}}
targets:
  prod: {job: {timeout_seconds: 7200}}
  test: {}
"""


class Resources:
    """The part of the package's class that is used."""

    def __init__(self) -> None:
        self.jobs: dict[str, Any] = {}
        self.places: dict[str, Any] = {}
        self.said: list[tuple[str, str, Any]] = []

    def add_job(self, name: str, job: Any, *, location: Any) -> None:
        self.jobs[name] = job
        self.places[name] = location

    def add_diagnostic_error(self, msg: str, *, detail: str = "", location: Any = None) -> None:
        self.said.append(("error", msg, location))

    def add_diagnostic_warning(self, msg: str, *, location: Any = None) -> None:
        self.said.append(("warning", msg, location))


def from_dict(job: dict[str, Any]) -> dict[str, Any]:
    """Stands for the package's class of a job, with the one refusal that is needed here."""
    if job.get("git_source") == {}:
        raise ValueError("no provider")
    return job


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    core, jobs = ModuleType("databricks.bundles.core"), ModuleType("databricks.bundles.jobs")
    core.Resources = Resources  # type: ignore[attr-defined]
    core.Location = SimpleNamespace  # type: ignore[attr-defined]
    jobs.Job = SimpleNamespace(from_dict=from_dict)  # type: ignore[attr-defined]
    for name in ("databricks", "databricks.bundles"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, core.__name__, core)
    monkeypatch.setitem(sys.modules, jobs.__name__, jobs)
    (tmp_path / "databricks.yml").touch()
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "tickets.yaml").write_text(SPEC)
    (tmp_path / "pipelines" / "_base.yaml").write_text("stop: []\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(target: str = "dev", **variables: Any) -> Any:
    bundle: Any = SimpleNamespace(target=target, variables=variables)
    return load_resources(bundle)


def words(job: Any) -> list[str]:
    found: list[str] = job["tasks"][0]["python_wheel_task"]["parameters"]
    return found


def test_each_spec_with_a_job_is_one(folder: Path) -> None:
    # One that is no job may lack a value, and write where a job must not.
    other = SPEC.partition("job:")[0].replace("/Volumes/", "out/")
    (folder / "pipelines" / "more.yaml").write_text(other)
    resources = load()
    assert list(resources.jobs) == ["tickets"]
    assert "--target" not in words(resources.jobs["tickets"])
    place = resources.places["tickets"]
    assert (place.file, place.line) == ("pipelines/tickets.yaml", 8)
    assert resources.said == []


@pytest.mark.parametrize(
    ("target", "variables", "chosen"),
    [
        ("prod", {}, "prod"),
        ("dev", {"dbrun_target": "prod"}, "prod"),
        ("prod", {"dbrun_target": "test"}, "test"),
        ("prod", {"dbrun_target": None, "dbrun_specs": None}, "prod"),
        ("prod", {"dbrun_target": ""}, "prod"),
    ],
)
def test_the_target_is_told(
    folder: Path, target: str, variables: dict[str, Any], chosen: str
) -> None:
    job = load(target, **variables).jobs["tickets"]
    assert words(job)[2:4] == ["--target", chosen]
    assert job.get("timeout_seconds") == (7200 if chosen == "prod" else None)


@pytest.mark.parametrize(
    ("place", "wheels"), [("specs/a", "../../dist/*.whl"), (".", "./dist/*.whl")]
)
def test_wheels_lie_below_the_bundle(folder: Path, place: str, wheels: str) -> None:
    (folder / place).mkdir(parents=True, exist_ok=True)
    (folder / "pipelines" / "tickets.yaml").rename(folder / place / "tickets.yaml")
    job = load(dbrun_specs=f"{place}/*.yaml").jobs["tickets"]
    assert job["environments"][0]["spec"]["dependencies"] == [wheels]


def test_an_inherited_job_starts_where_it_was_written(folder: Path) -> None:
    written, job = SPEC.partition("job:")[::2]
    (folder / "_jobs.yaml").write_text(f"job:{job}")
    spec = f"extends: ../_jobs.yaml\n{written}"
    (folder / "pipelines" / "tickets.yaml").write_text(spec)
    resources = load()
    assert (resources.places["tickets"].file, resources.places["tickets"].line) == ("_jobs.yaml", 1)
    dependencies = resources.jobs["tickets"]["environments"][0]["spec"]["dependencies"]
    assert dependencies == ["./dist/*.whl"]


def test_problems_are_shown_at_their_line(folder: Path) -> None:
    spec = folder / "pipelines" / "tickets.yaml"
    spec.write_text(SPEC.replace("source:", "sourc:"))
    resources = load()
    assert resources.jobs == {}
    (said,) = resources.said
    assert said[:2] == ("error", "sourc: unknown key; did you mean 'source'?")
    assert (said[2].file, said[2].line) == ("pipelines/tickets.yaml", 3)


def test_warnings_are_shown(folder: Path) -> None:
    spec = folder / "pipelines" / "tickets.yaml"
    spec.write_text(SPEC + "stop: [a, a]\n")
    resources = load()
    assert list(resources.jobs) == ["tickets"]
    assert [one[:2] for one in resources.said] == [
        ("warning", "stop[1]: this stop string is listed twice; remove one")
    ]


def test_what_the_package_refuses_is_shown(folder: Path) -> None:
    spec = folder / "pipelines" / "tickets.yaml"
    spec.write_text(SPEC.replace("job: {", "job: {git_source: {}, "))
    (said,) = load().said
    assert said[:2] == ("error", "job: no provider; see the keys of a bundle's job")


def test_two_of_one_name_are_refused(folder: Path) -> None:
    (folder / "pipelines" / "more.yaml").write_text(SPEC)
    (said,) = load().said
    assert said[1] == "another spec is named 'tickets', too; give it another name"


def test_a_target_that_no_spec_has_is_an_error(folder: Path) -> None:
    (said,) = load(dbrun_target="prd").said
    assert said[:2] == ("error", "no spec has a target 'prd'")


def test_no_specs_are_an_error(folder: Path) -> None:
    (said,) = load(dbrun_specs="specs/*.yaml").said
    assert said[1] == "no file matches 'specs/*.yaml'"


def test_the_package_is_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "databricks.bundles.core", None)
    with pytest.raises(PluginError, match="pip install databricks-bundles"):
        load()
