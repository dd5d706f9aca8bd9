"""Logging and reading through MLflow's client; `tests_heavy/mlflow` has the real one."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.tracking import FakeTracking

from dbrun.errors import AuthError, DbrunError, PluginError, RunError, UserError
from dbrun.spec.prompts import RegisteredPrompt
from dbrun.tracking.entry import Dataset, Entry
from dbrun.tracking.library import Server, require

DOWN = "http://127.0.0.1:1"


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    results = tmp_path / "out.jsonl"
    results.write_text('{"id":"1"}\n')
    return Entry(
        run="20261122T201538Z-3f9c",
        experiment="summaries",
        name="nightly",
        status="FINISHED",
        started=1000,
        ended=2000,
        params={f"vars.{number}": "x" for number in range(250)},
        metrics={"counts.rows": 3.0},
        tags={"dbrun.run": "20261122T201538Z-3f9c", "team": "search"},
        dataset=Dataset(name="rows", digest="abc", source_type="local", source="{}"),
        manifest="{}\n",
        manifest_name="x.run.json",
        results=str(results),
        digest="d1",
    )


def test_all_of_an_entry_is_logged(tracking: FakeTracking, entry: Entry) -> None:
    logged = Server(tracking.uri).log(entry)
    (run,) = tracking.runs
    assert (run["id"], run["status"], run["times"]) == (logged.run, "FINISHED", [1000, 2000])
    assert run["params"] == entry.params
    assert run["metrics"] == entry.metrics
    assert run["tags"] == {**entry.tags, "dbrun.manifest": "d1", "mlflow.runName": "nightly"}
    assert run["artifacts"] == {"x.run.json": "{}\n", "out.jsonl": '{"id":"1"}\n'}
    ((dataset, context),) = run["inputs"]
    assert dataset["digest"] == "abc"
    assert context == {"mlflow.data.context": "inference"}
    assert not logged.again


def test_what_is_logged_is_not_logged_again(tracking: FakeTracking, entry: Entry) -> None:
    first = Server(tracking.uri).log(entry)
    before = tracking.runs
    second = Server(tracking.uri).log(entry)
    assert (second.run, second.again) == (first.run, True)
    assert tracking.runs == before


def test_a_run_that_goes_on_is_the_same_one(tracking: FakeTracking, entry: Entry) -> None:
    stopped = replace(
        entry, status="KILLED", digest="d0", tags={**entry.tags, "dbrun.error": "interrupted"}
    )
    first = Server(tracking.uri).log(stopped)
    second = Server(tracking.uri).log(replace(entry, metrics={"counts.rows": 9.0}))
    (run,) = tracking.runs
    assert (second.run, second.again) == (first.run, False)
    assert (run["status"], run["metrics"]) == ("FINISHED", {"counts.rows": 9.0})
    assert "dbrun.error" not in run["tags"]


def test_other_runs_are_other_runs(tracking: FakeTracking, entry: Entry) -> None:
    Server(tracking.uri).log(entry)
    Server(tracking.uri).log(replace(entry, run="other", tags={"dbrun.run": "other"}))
    assert len(tracking.runs) == 2
    assert len(tracking.state["experiments"]) == 1


def test_the_environment_names_the_server_if_the_spec_does_not(
    tracking: FakeTracking, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.uri)
    Server().log(entry)
    assert len(tracking.runs) == 1


def test_a_deleted_experiment_is_not_brought_back(tracking: FakeTracking, entry: Entry) -> None:
    deleted = {"summaries": {"experiment_id": "1", "lifecycle_stage": "deleted"}}
    tracking.change(experiments=deleted)
    with pytest.raises(RunError, match="experiment 'summaries' has been deleted; restore it"):
        Server(tracking.uri).log(entry)
    assert tracking.runs == []


@pytest.mark.parametrize(
    ("refusal", "kind", "said"),
    [
        (["no", "PERMISSION_DENIED"], AuthError, "refuses: no; check MLFLOW_TRACKING_TOKEN"),
        (["failed with error code 401 != 200", "X"], AuthError, "refuses: failed with"),
        (["a\nb", "INTERNAL_ERROR"], RunError, "tracking.json says: a b"),
        (["x" * 999, "INTERNAL_ERROR"], RunError, "x…"),
        (["bearer abcdefghijkl", "X"], RunError, r"bearer \*\*\*"),
        (["http://me:pass@host/x", "X"], RunError, "http://host/x"),
        (["code 404. Response body: '<html>x'", "X"], RunError, "says: code 404$"),
    ],
)
def test_what_the_server_refuses_is_said_on_one_line(
    tracking: FakeTracking, entry: Entry, refusal: list[str], kind: type[DbrunError], said: str
) -> None:
    tracking.change(refusal=refusal)
    with pytest.raises(kind, match=said) as caught:
        Server(tracking.uri).log(entry)
    assert str(caught.value).startswith("the run is not logged: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 800


@pytest.mark.usefixtures("tracking")
def test_a_server_that_is_down_is_said_to_be(entry: Entry) -> None:
    with pytest.raises(RunError, match=r"127\.0\.0\.1:1 cannot be reached \(connection refused\)"):
        Server(DOWN).log(entry)


@pytest.mark.parametrize(
    ("wanted", "version", "template"),
    [
        ({"name": "sum", "version": 1}, 1, "one"),
        ({"name": "sum", "version": 2}, 2, "two"),
        ({"name": "sum", "alias": "prod"}, 1, "one"),
        ({"name": "chat", "version": 1}, 1, [{"role": "user", "content": "x"}]),
    ],
)
def test_prompts_come_with_their_version(
    tracking: FakeTracking, wanted: dict[str, Any], version: int, template: Any
) -> None:
    tracking.register("sum", "one", "prod")
    tracking.register("sum", "two")
    tracking.register("chat", [{"role": "user", "content": "x"}])
    found = Server(tracking.uri).prompt(RegisteredPrompt(**wanted))
    assert (found.version, found.template) == (version, template)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"name": "nope", "version": 1}, "no prompts:/nope/1 in .*; check its name and version"),
        ({"name": "sum", "version": 9}, "no prompts:/sum/9 in"),
        ({"name": "sum", "alias": "x"}, "no prompts:/sum@x in .*; check its name and alias"),
    ],
)
def test_prompts_that_are_not_there_are_named(
    tracking: FakeTracking, wanted: dict[str, Any], said: str
) -> None:
    tracking.register("sum", "one")
    with pytest.raises(UserError, match=said):
        Server(tracking.uri).prompt(RegisteredPrompt(**wanted))


def test_a_registry_may_lie_elsewhere(tracking: FakeTracking) -> None:
    tracking.register("sum", "one")
    assert Server(DOWN, tracking.uri).prompt(RegisteredPrompt(name="sum", version=1)).version == 1


def test_surroundings_are_left_as_they_were(tracking: FakeTracking, entry: Entry) -> None:
    before = dict(os.environ), logging.getLogger("mlflow").level
    Server(tracking.uri).log(entry)
    assert (dict(os.environ), logging.getLogger("mlflow").level) == before


def test_without_the_library_the_extra_is_named(
    entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as if it were not installed
    with pytest.raises(PluginError, match=r"pip install 'dbrun\[mlflow\]'"):
        require()
    with pytest.raises(PluginError, match=r"pip install 'dbrun\[mlflow\]'"):
        Server("http://127.0.0.1:1").log(entry)
