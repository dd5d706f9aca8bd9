"""What is made for bundles, handed to Databricks' own package `databricks-bundles`.

Its classes refuse every key that a bundle does not know, and read resources in Python as
`databricks bundle deploy` does. Its licence is for use with Databricks; so it is installed here
alone: `make test-bundle`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from databricks.bundles.jobs import Job

from dbrun.cli.main import main

SPEC = """\
name: tickets
description: One line for each ticket.
vars: {day: null, count: 3}
source: rows.jsonl
endpoint: {adapter: databricks, name: chat}
prompt: "{{ text }}"
sink: "/Volumes/main/default/tickets/${vars.day}.jsonl"
journal: {path: "/Volumes/main/default/tickets/journal-${vars.day}"}
job:
  parameters: {day: "{{job.start_time.iso_date}}", count: 4}
  schedule: {quartz_cron_expression: "0 0 3 * * ?", timezone_id: UTC, pause_status: PAUSED}
  email_notifications:
    on_start: [a@example.com]
    on_success: [a@example.com]
    on_failure: [a@example.com]
    on_duration_warning_threshold_exceeded: [a@example.com]
    on_streaming_backlog_exceeded: [a@example.com]
    no_alert_for_skipped_runs: true
  webhook_notifications: {on_failure: [{id: abc}]}
  notification_settings: {no_alert_for_skipped_runs: true, no_alert_for_canceled_runs: true}
  health: {rules: [{metric: RUN_DURATION_SECONDS, op: GREATER_THAN, value: 3600}]}
  permissions:
    - {level: CAN_VIEW, group_name: users}
    - {level: CAN_MANAGE, service_principal_name: "${var.deployer}"}
    - {level: CAN_MANAGE_RUN, user_name: a@example.com}
  run_as: {service_principal_name: "${var.deployer}"}
  tags: {team: support}
  timeout_seconds: 10000
  queue: {enabled: true}
  performance_target: STANDARD
  environment_variables: [{environment_variables_key: more, spec: {variables: {A: b}}}]
  lifecycle: {prevent_destroy: true}
  budget_policy_id: a
  usage_policy_id: b
  parent_path: /Workspace/Shared
  max_concurrent_runs: ${var.runs}
  task:
    max_retries: 2
    min_retry_interval_millis: 1000
    retry_on_timeout: true
    timeout_seconds: 7200
    disable_auto_optimization: true
    run_if: ALL_DONE
    description: Ask.
    disabled: false
    depends_on: [{task_key: before}]
    environment_variables_key: more
    email_notifications: {on_failure: [a@example.com]}
    notification_settings: {alert_on_last_attempt: true}
    health: {rules: [{metric: RUN_DURATION_SECONDS, op: GREATER_THAN, value: 60}]}
    webhook_notifications: {on_start: [{id: abc}]}
  tasks:
    - {task_key: before, notebook_task: {notebook_path: ../a.ipynb}}
targets:
  dev: {}
  cluster:
    job:
      compute: {spark_version: 15.4.x-scala2.12, node_type_id: i3.xlarge, num_workers: 0}
      task: {libraries: [{whl: ../dist/*.whl}, {pypi: {package: pandas}}]}
  existing: {job: {compute: {existing_cluster_id: 0101-1-a}}}
  periodic:
    job:
      schedule: null
      trigger: {periodic: {interval: 6, unit: HOURS}, pause_status: UNPAUSED}
  continuous:
    job: {schedule: null, continuous: {pause_status: UNPAUSED, task_retry_mode: ON_FAILURE}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "databricks.yml").touch()
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "tickets.yaml").write_text(SPEC)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def job_of(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["job", "pipelines/tickets.yaml", *words]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    return dict(printed["resources"]["jobs"]["tickets"])


@pytest.mark.parametrize("target", ["dev", "cluster", "existing", "periodic", "continuous"])
def test_bundles_know_every_key(
    folder: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    job = job_of(capsys, "--target", target)
    again = Job.from_dict(job).as_dict()

    assert again == job


def build(
    folder: Path, phase: str, **variables: str
) -> tuple[dict[str, Any], list[Any], list[Any]]:
    """What `databricks bundle deploy` asks Python for: the resources, diagnostics, locations."""
    bundle = {
        "bundle": {"name": "b", "target": "dev"},
        "python": {"resources": ["dbrun.bundle:load_resources"]},
        "variables": {name: {"value": value} for name, value in variables.items()},
        "resources": {},
    }
    (folder / "in.json").write_text(json.dumps(bundle))
    files = {
        name: folder / f"{name}.json" for name in ("input", "output", "diagnostics", "locations")
    }
    files["input"] = folder / "in.json"
    words = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    done = subprocess.run(
        [sys.executable, "-m", "databricks.bundles.build", "--phase", phase, *words],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    lines = [
        [json.loads(line) for line in files[name].read_text().splitlines()]
        for name in ("diagnostics", "locations")
    ]
    text = files["output"].read_text() if files["output"].exists() else ""
    assert text or done.returncode, done.stderr
    return json.loads(text or "{}"), lines[0], lines[1]


def test_a_bundle_in_python_gets_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, diagnostics, locations = build(folder, "load_resources")
    assert diagnostics == []
    assert output["resources"]["jobs"] == {"tickets": job_of(capsys, "--target", "dev")}
    (place,) = [one for one in locations if one["path"] == "resources.jobs.tickets"]
    assert (place["file"], place["line"]) == ("pipelines/tickets.yaml", 9)


def test_problems_reach_the_bundle_with_their_line(folder: Path) -> None:
    spec = folder / "pipelines" / "tickets.yaml"
    spec.write_text(SPEC.replace("  tags: {team", "  tgas: {team"))
    output, diagnostics, _ = build(folder, "load_resources")
    (said,) = diagnostics
    assert said["severity"] == "error"
    assert said["summary"] == "job.tgas: unknown key; did you mean 'tags'?"
    assert said["location"] == {"file": "pipelines/tickets.yaml", "line": 27, "column": 3}
    assert not output.get("resources", {}).get("jobs")


def test_what_only_the_package_knows_is_told_as_well(folder: Path) -> None:
    spec = folder / "pipelines" / "tickets.yaml"
    spec.write_text(
        SPEC.replace("task_key: before, notebook_task", "task_key: before, notebok_task")
    )
    _, (said,), _ = build(folder, "load_resources")
    assert "Unexpected field 'notebok_task'" in said["summary"]
