"""The wheel's entry point for jobs, installed where nothing else of dbrun's tree is.

`make wheel` builds and installs it, and names the Python in `DBRUN_WHEEL_PYTHON`.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from fakes.workspace import FakeWorkspace, fail

PYTHON = os.environ["DBRUN_WHEEL_PYTHON"]
RUNNER = Path(__file__).parent / "as_a_job.py"
SPEC = """\
name: tickets
vars: {day: null}
source: {path: rows.jsonl, id: id}
endpoint: {adapter: databricks, name: chat}
prompt: "Summarize: {{ text }}"
transforms: {output: "functions:shout"}
limits: {concurrency: 1, attempts: 1}
sink: VOLUME/${vars.day}.jsonl
journal: {path: "VOLUME/journal-${vars.day}"}
job: {parameters: {day: "{{job.start_time.iso_date}}"}}
"""


@pytest.fixture
def workspace() -> Iterator[FakeWorkspace]:
    with FakeWorkspace() as made:
        yield made


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """What a bundle brings to the workspace."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "databricks.yml").touch()
    (folder / "tickets.yaml").write_text(SPEC.replace("VOLUME", str(tmp_path / "volume")))
    (folder / "functions.py").write_text("def shout(text: str) -> str:\n    return text.upper()\n")
    rows = [json.dumps({"id": str(number), "text": f"row {number}"}) for number in range(6)]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n")
    return folder


def run(workspace: FakeWorkspace, files: Path, *more: str, **filled: str) -> tuple[int, str]:
    """The job of the spec, as `dbrun job` prints it, its parameters filled in."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(files)}
    printed = subprocess.run(
        [PYTHON, "-m", "dbrun", "job", "tickets.yaml", *more],
        cwd=files,
        env=environ,
        capture_output=True,
        text=True,
        check=not more,
    )
    if printed.returncode:
        return printed.returncode, printed.stderr
    (task,) = yaml.safe_load(printed.stdout)["resources"]["jobs"]["tickets"]["tasks"]
    wheel = task["python_wheel_task"]
    words = []
    for word in wheel["parameters"]:
        word = word.replace("${workspace.file_path}", str(files))
        for name, value in filled.items():
            word = word.replace(f"{{{{job.parameters.{name}}}}}", value)
        words.append(word)
    done = subprocess.run(
        [PYTHON, str(RUNNER), wheel["package_name"], wheel["entry_point"], *words],
        cwd=files.parent,
        env={**environ, **workspace.environ, "DATABRICKS_RUNTIME_VERSION": "15.4"},
        capture_output=True,
        text=True,
    )
    return done.returncode, (done.stdout.splitlines() or [""])[-1]


def test_a_job_runs_and_runs_again_for_nothing(workspace: FakeWorkspace, files: Path) -> None:
    assert run(workspace, files, day="2026-11-22") == (0, "succeeded")
    results = files.parent / "volume" / "2026-11-22.jsonl"
    records = [json.loads(line) for line in results.read_text().splitlines()]
    assert [record["status"] for record in records] == ["ok"] * 6
    assert records[0]["output"] == records[0]["output"].upper()
    assert len(workspace.calls) == 6
    assert run(workspace, files, day="2026-11-22") == (0, "succeeded")
    assert len(workspace.calls) == 6


def test_a_repaired_run_continues(workspace: FakeWorkspace, files: Path) -> None:
    workspace.script([fail(at=3, status=400)])
    code, ended = run(workspace, files, day="2026-11-22")
    assert code == 1
    assert ended.startswith("failed: JobFailed: exit code 1: finished, but not every gate is met")
    assert run(workspace, files, day="2026-11-22") == (0, "succeeded")
    assert len(workspace.calls) == 7


def test_a_parameter_that_was_not_filled_in_fails(workspace: FakeWorkspace, files: Path) -> None:
    code, ended = run(workspace, files)
    assert code == 1
    assert "'{{job.parameters.day}}' was not filled in" in ended
    assert workspace.calls == []


def test_a_relative_sink_fails_before_the_job_and_in_it(
    workspace: FakeWorkspace, files: Path
) -> None:
    code, said = run(workspace, files, "--set", "sink=out.jsonl")
    assert code == 2
    assert "/Volumes/" in said
    spec = files / "tickets.yaml"
    spec.write_text(spec.read_text() + "targets: {lost: {sink: out.jsonl}}\ndefault_target: lost\n")
    done = subprocess.run(
        [PYTHON, str(RUNNER), "dbrun", "dbrun-job", "run", str(spec), "--var", "day=x"],
        env={**workspace.environ, "DATABRICKS_RUNTIME_VERSION": "15.4"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "a relative sink would be lost with the job's machine" in done.stdout
    assert workspace.calls == []
