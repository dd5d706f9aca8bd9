"""What a run tells the tasks after it."""

from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from dbrun.deploy.task_values import LARGEST, set_task_values, task_values

RUN = {
    "spec": "a.yaml",
    "name": "a",
    "run": "r1",
    "status": "finished",
    "exit_code": 1,
    "results": "/Volumes/a.jsonl",
    "counts": {"rows": 10, "ok": 8, "error": 1, "filtered": 1},
    "requests": {"sent": 7, "reused": 2},
    "first_failures": [{"id": "x"}],
}


def test_counts_are_summed() -> None:
    failed = {"name": "b", "status": "failed", "exit_code": 3, "error": "x" * 1000}
    values = task_values(3, [RUN, RUN, failed])
    runs = values.pop("runs")
    assert values == {
        "exit_code": 3,
        "rows": 20,
        "ok": 16,
        "error": 2,
        "filtered": 2,
        "sent": 14,
        "reused": 4,
    }
    assert runs[0] == {key: RUN[key] for key in runs[0]}
    assert "first_failures" not in runs[0]
    assert runs[2] == {**failed, "error": "x" * 500}


def test_as_many_runs_as_there_is_room_for() -> None:
    values = task_values(0, [{**RUN, "results": f"/Volumes/{number}"} for number in range(1000)])
    assert values["rows"] == 10_000
    assert 100 < len(values["runs"]) < 1000
    assert LARGEST - 500 < len(json.dumps(values["runs"]).encode()) <= LARGEST


class _TaskValues:
    def __init__(self, error: Exception | None = None) -> None:
        self.set_ones: dict[str, Any] = {}
        self._error = error

    def set(self, key: str, value: Any) -> None:
        if self._error is not None:
            raise self._error
        self.set_ones[key] = value


def runtime(monkeypatch: pytest.MonkeyPatch, values: _TaskValues) -> None:
    """Let this be a cluster whose runtime brings `dbutils`."""
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "15.4")
    brought = ModuleType("databricks.sdk.runtime")
    brought.dbutils = SimpleNamespace(jobs=SimpleNamespace(taskValues=values))  # type: ignore[attr-defined]
    for name in ("databricks", "databricks.sdk"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "databricks.sdk.runtime", brought)


def test_values_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    values = _TaskValues()
    runtime(monkeypatch, values)
    said: list[str] = []
    set_task_values({"ok": 8, "runs": []}, said.append)
    assert values.set_ones == {"ok": 8, "runs": []}
    assert said == []


def test_a_job_that_takes_none_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime(monkeypatch, _TaskValues(RuntimeError("no context\nhere")))
    said: list[str] = []
    set_task_values({"ok": 8}, said.append)
    assert said == ["warning: the counts could not be set as task values: no context here"]


def test_elsewhere_nothing_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABRICKS_RUNTIME_VERSION", raising=False)
    monkeypatch.setitem(sys.modules, "databricks.sdk.runtime", None)
    set_task_values({"ok": 8}, pytest.fail)
