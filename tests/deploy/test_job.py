"""A spec to the job that runs it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dbrun.deploy.job import Call, make_job, resource_key
from dbrun.deploy.loading import load_for_job
from dbrun.errors import SpecError, UserError
from dbrun.registry import Registry
from dbrun.spec.model import Spec

SPEC = """\
name: tickets
vars: {day: null, count: 3, place: null}
source: rows.jsonl
endpoint: {adapter: databricks, name: chat}
prompt: "{{ text }}"
sink: "/Volumes/main/default/tickets/${vars.day}.jsonl"
journal: {path: "/Volumes/main/default/tickets/journal-${vars.day}"}
"""
DAY = '\n  parameters: {day: "{{job.start_time.iso_date}}", place: Ohio}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "databricks.yml").touch()
    (tmp_path / "pipelines").mkdir()
    return tmp_path / "pipelines"


def load(folder: Path, more: str, **given: Any) -> Spec:
    path = folder / "tickets.yaml"
    path.write_text(SPEC + more, encoding="utf-8")
    return load_for_job(str(path), environ={}, registry=Registry(entry_points=False), **given).spec


def made(folder: Path, more: str, call: Call | None = None, **given: Any) -> Mapping[str, Any]:
    return make_job(load(folder, more, **given), call or Call())


def test_the_job_of_a_spec(folder: Path) -> None:
    assert made(folder, "job:" + DAY) == {
        "name": "tickets",
        "max_concurrent_runs": 1,
        "queue": {"enabled": True},
        "parameters": [
            {"name": "day", "default": "{{job.start_time.iso_date}}"},
            {"name": "place", "default": "Ohio"},
        ],
        "tasks": [
            {
                "task_key": "run",
                "environment_key": "default",
                "python_wheel_task": {
                    "package_name": "dbrun",
                    "entry_point": "dbrun-job",
                    "parameters": [
                        "run",
                        "${workspace.file_path}/pipelines/tickets.yaml",
                        "--var",
                        "day={{job.parameters.day}}",
                        "--var",
                        "place={{job.parameters.place}}",
                    ],
                },
            }
        ],
        "environments": [
            {
                "environment_key": "default",
                "spec": {"environment_version": "4", "dependencies": ["../dist/*.whl"]},
            }
        ],
    }


def test_a_spec_without_a_job_has_one_all_the_same(folder: Path) -> None:
    job = made(folder, "", variables={"day": "2026-11-22", "place": "Ohio"})
    assert job["tasks"][0]["python_wheel_task"]["parameters"][:2] == [
        "run",
        "${workspace.file_path}/pipelines/tickets.yaml",
    ]
    assert "parameters" not in job


def test_what_the_spec_says_is_laid_over_what_is_generated(folder: Path) -> None:
    more = (
        "description: Short.\njob:"
        + DAY
        + """\
  name: tickets-${bundle.target}
  schedule: {quartz_cron_expression: "0 0 3 * * ?", timezone_id: UTC}
  queue: {enabled: false}
  max_concurrent_runs: ${var.runs}
  task: {max_retries: 2, timeout_seconds: 7200, task_key: ask}
  environments:
    - {environment_key: default, spec: {dependencies: [dbrun==1.0]}}
    - {environment_key: other, spec: {environment_version: "3"}}
  tasks:
    - {task_key: after, depends_on: [{task_key: ask}], notebook_task: {notebook_path: a}}
    - {task_key: ask, run_if: ALL_DONE}
"""
    )
    job = made(folder, more)
    assert list(job)[:3] == ["name", "description", "schedule"]
    assert job["name"] == "tickets-${bundle.target}"
    assert job["queue"] == {"enabled": False}
    assert job["max_concurrent_runs"] == "${var.runs}"
    assert [task["task_key"] for task in job["tasks"]] == ["ask", "after"]
    ask = job["tasks"][0]
    assert (ask["max_retries"], ask["timeout_seconds"], ask["run_if"]) == (2, 7200, "ALL_DONE")
    assert ask["python_wheel_task"]["entry_point"] == "dbrun-job"
    assert job["environments"] == [
        {
            "environment_key": "default",
            "spec": {"environment_version": "4", "dependencies": ["dbrun==1.0"]},
        },
        {"environment_key": "other", "spec": {"environment_version": "3"}},
    ]


@pytest.mark.parametrize("compute", ["{CLUSTER}", "{new_cluster: {CLUSTER}}"])
def test_a_cluster_of_its_own(folder: Path, compute: str) -> None:
    words = compute.replace("{CLUSTER}", "{spark_version: 15.4.x-scala2.12, num_workers: 0}")
    job = made(folder, f"job:{DAY}  compute: {words}\n")
    (task,) = job["tasks"]
    assert task["job_cluster_key"] == "default"
    assert task["libraries"] == [{"whl": "../dist/*.whl"}]
    assert "environment_key" not in task
    assert job["job_clusters"] == [
        {
            "job_cluster_key": "default",
            "new_cluster": {"spark_version": "15.4.x-scala2.12", "num_workers": 0},
        }
    ]
    assert "environments" not in job


@pytest.mark.parametrize(
    "more",
    ["  compute: {existing_cluster_id: c-1}\n", "  task: {existing_cluster_id: c-1}\n"],
)
def test_a_cluster_that_is_there(folder: Path, more: str) -> None:
    job = made(folder, f"job:{DAY}{more}")
    assert job["tasks"][0]["existing_cluster_id"] == "c-1"
    assert job["tasks"][0]["libraries"] == [{"whl": "../dist/*.whl"}]
    assert not {"environments", "job_clusters"} & job.keys()


def test_a_task_may_name_its_environment(folder: Path) -> None:
    job = made(folder, f"job:{DAY}  task: {{environment_key: own}}\n")
    assert [one["environment_key"] for one in job["environments"]] == ["own"]


def test_options_become_part_of_the_call(folder: Path) -> None:
    given = {"target": "prod", "variables": {"day": "d", "count": "5"}, "overrides": ("stop=[x]",)}
    more = "job:" + DAY + "targets: {prod: {}}\n"
    job = made(folder, more, Call(**given), **given)  # type: ignore[arg-type]
    assert job["parameters"][0] == {"name": "day", "default": "d"}
    assert job["tasks"][0]["python_wheel_task"]["parameters"][2:] == [
        "--target",
        "prod",
        "--var",
        "count=5",
        "--var",
        "day={{job.parameters.day}}",
        "--var",
        "place={{job.parameters.place}}",
        "--set",
        "stop=[x]",
    ]


def test_a_variable_that_no_parameter_gives_must_be_given(folder: Path) -> None:
    with pytest.raises(SpecError, match=r"vars\.place: must be given"):
        load(folder, "job: {parameters: {day: today}}\n")


def test_results_that_would_be_lost_are_refused(folder: Path) -> None:
    with pytest.raises(SpecError, match=r"a relative sink would be lost .* /Volumes/"):
        made(folder, "job:" + DAY, overrides=["sink=out/x.jsonl"])


def test_a_spec_outside_of_its_bundle_is_refused(folder: Path, tmp_path: Path) -> None:
    spec = load(folder, "job:" + DAY)
    outside = dataclasses.replace(spec, project=str(tmp_path / "elsewhere"))
    (tmp_path / "databricks.yml").unlink()
    with pytest.raises(UserError, match=r"lies outside of its bundle; move it below"):
        make_job(outside, Call())


@pytest.mark.parametrize(("name", "key"), [("a-b", "a-b"), ("_a", "_a"), ("7b", "job_7b")])
def test_keys_of_resources_begin_with_a_letter(folder: Path, name: str, key: str) -> None:
    spec = load(folder, "job:" + DAY, overrides=[f"name='{name}'"])
    assert resource_key(spec) == key
