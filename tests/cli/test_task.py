"""The entry point for jobs, called as a job calls it: returns, or raises, and exits never."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from fakes.workspace import FakeWorkspace, fail

from dbrun.cli.task import JobFailed, entry
from dbrun.deploy.job import ENTRY_POINT

SPEC = """\
name: tickets
vars: {day: null}
source: {path: rows.jsonl, id: id}
endpoint: {adapter: databricks, name: chat, task: chat}
prompt: "Summarize {{ vars.day }}: {{ text }}"
sink: FOLDER/out/${vars.day}.jsonl
journal: {path: "FOLDER/out/journal-${vars.day}"}
limits: {attempts: 1}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "spec.yaml").write_text(SPEC.replace("FOLDER", str(tmp_path)))
    rows = "".join(json.dumps({"id": str(n), "text": f"row {n}"}) + "\n" for n in range(6))
    (tmp_path / "rows.jsonl").write_text(rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWorkspace]:
    with FakeWorkspace() as made:
        for name, value in made.environ.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def values(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The task values that were set; this is job compute, with IPython loaded as it may be."""
    found: dict[str, Any] = {}
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "15.4")
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    brought = ModuleType("databricks.sdk.runtime")
    setter = SimpleNamespace(set=lambda key, value: found.__setitem__(key, value))
    jobs = SimpleNamespace(taskValues=setter)
    brought.dbutils = SimpleNamespace(jobs=jobs)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "databricks.sdk.runtime", brought)
    return found


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> BaseException | None:
    """What the entry point raises, called as a bundle's wrapper does: in a thread that is not the
    main one, and with standard output caught by an object that has no bytes."""
    monkeypatch.setattr(sys, "argv", ["task", *words])
    raised: list[BaseException] = []

    def run() -> None:
        try:
            with redirect_stdout(io.StringIO()):
                result: object = entry()
            assert result is None
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def test_a_run_that_holds_returns(
    folder: Path,
    workspace: FakeWorkspace,
    values: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert call(monkeypatch, "run", "spec.yaml", "--var", "day=2026-11-22") is None
    assert (values["exit_code"], values["rows"], values["ok"], values["sent"]) == (0, 6, 6, 6)
    assert values["runs"][0]["results"] == str(folder / "out" / "2026-11-22.jsonl")


def test_a_repaired_run_continues(
    folder: Path,
    workspace: FakeWorkspace,
    values: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("run", "spec.yaml", "--var", "day=2026-11-22", "--set", "limits.concurrency=1")
    workspace.script([fail(at=3, status=400)])
    failed = call(monkeypatch, *words)
    assert isinstance(failed, JobFailed)
    assert str(failed) == (
        "exit code 1: finished, but not every gate is met: success is 0.833333, wanted at least 1"
    )
    assert (values["ok"], values["error"]) == (5, 1)
    assert call(monkeypatch, *words) is None
    assert (values["ok"], values["sent"], values["reused"]) == (6, 1, 5)
    assert len(workspace.calls) == 7


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["run", "spec.yaml", "--var", "day={{job.parameters.day}}"],
            "exit code 2: something to fix first; nothing was sent: --var: vars.day: "
            "'{{job.parameters.day}}' was not filled in",
        ),
        (
            ["run", "spec.yaml", "--var", "day=x", "--set", "sink=out.jsonl"],
            "exit code 2: something to fix first; nothing was sent: --set: sink: a relative sink "
            "would be lost with the job's machine; write it to /Volumes/",
        ),
        (["run", "nothing.yaml"], "exit code 2: something to fix first; nothing was sent: "),
        (["rum", "spec.yaml"], "exit code 2: "),
        (["run"], "exit code 2: "),
    ],
)
def test_what_is_wrong_is_raised_on_one_line(
    words: list[str],
    said: str,
    folder: Path,
    workspace: FakeWorkspace,
    values: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = call(monkeypatch, *words)
    assert isinstance(failed, JobFailed)
    assert str(failed).startswith(said)
    assert "\n" not in str(failed)
    assert values == {}
    assert workspace.calls == []


def test_what_stops_a_run_is_raised(
    folder: Path,
    workspace: FakeWorkspace,
    values: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del workspace.endpoints["chat"]
    failed = call(monkeypatch, "run", "spec.yaml", "--var", "day=x")
    assert str(failed).startswith("exit code 3: could not finish; a repaired run continues: dbrun:")
    assert values["exit_code"] == 3
    assert values["runs"][0]["status"] == "failed"


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["validate", "--help"]])
def test_help_is_no_exit(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, *words) is None


def test_elsewhere_a_relative_sink_is_fine(
    folder: Path, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABRICKS_RUNTIME_VERSION", raising=False)
    words = ["run", "spec.yaml", "--var", "day=x", "--set", "sink=out/x.jsonl"]
    assert call(monkeypatch, *words) is None
    assert (folder / "out" / "x.jsonl").exists()


def test_the_wheel_has_the_entry_point() -> None:
    """`tests_heavy/wheel` calls it in an installed wheel."""
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    scripts = text.partition("[project.scripts]\n")[2].partition("\n\n")[0]
    assert f'{ENTRY_POINT} = "{entry.__module__}:{entry.__name__}"' in scripts
