"""Runs logged to a real tracking server, prompts read from its registry."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Project, Tracking

ROOT = Path(__file__).parents[2]
FUNCTION = """
import os

def answer(prompt=None, messages=None, mended="", **rest):
    text = prompt or " / ".join(turn["role"] + ": " + turn["content"] for turn in messages)
    if "bad" in text and not os.path.exists(mended):
        raise ValueError("bad row")
    return text.upper()
"""


@pytest.fixture
def spec(project: Project, tracking: Tracking, request: pytest.FixtureRequest) -> dict[str, Any]:
    """A pipeline of two rows, logged to an experiment of the test's own."""
    (project.folder / "functions.py").write_text(FUNCTION)
    rows = [{"text": "one"}, {"text": "two"}]
    (project.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {
        "name": "x",
        "vars": {"day": "2026-11-22"},
        "source": "rows.jsonl",
        "endpoint": {
            "adapter": "python",
            "function": "functions:answer",
            "price": {"input_per_million": 1, "output_per_million": 2},
            "limits": {"attempts": 1, "concurrency": 1},
        },
        "prompt": "{{ text }}",
        "params": {"temperature": 0},
        "sink": "out/x.jsonl",
        "mlflow": {
            "experiment": request.node.name,
            "tracking_uri": tracking.url,
            "tags": {"team": "search"},
        },
    }


def test_all_of_a_run_is_there_once(
    project: Project, tracking: Tracking, spec: dict[str, Any]
) -> None:
    done = project.run(spec)
    assert done.returncode == 0, done.stderr
    (run,) = tracking.runs(spec["mlflow"]["experiment"])
    assert f"{tracking.url}/#/experiments/{run['info']['experiment_id']}/runs/" in done.stderr
    assert run["info"]["status"] == "FINISHED"
    assert run["info"]["run_name"] == f"x-{project.manifest['run']}"
    assert tracking.data(run, "params") == {
        "vars.day": "2026-11-22",
        "endpoint.adapter": "python",
        "endpoint.function": "functions:answer",
        "params.temperature": "0",
    }
    metrics = tracking.data(run, "metrics")
    assert {"counts.ok": 2, "requests.sent": 2, "exit_code": 0}.items() <= metrics.items()
    assert {"latency.p90", "cost.spent", "seconds"} <= metrics.keys()
    tags = tracking.data(run, "tags")
    assert tags["team"] == "search"
    assert tags["dbrun.run"] == project.manifest["run"]
    rows = hashlib.sha256((project.folder / "rows.jsonl").read_bytes()).hexdigest()
    (given,) = run["inputs"]["dataset_inputs"]
    assert given["dataset"]["name"] == "rows.jsonl"
    assert given["dataset"]["digest"] == rows[:36]
    assert tags["dbrun.source_digest"] == rows
    results = (project.folder / "out/x.jsonl").read_bytes()
    assert tracking.artifact(run, "x.jsonl") == results
    assert json.loads(tracking.artifact(run, "x.run.json")) == project.manifest

    again = project.run(spec)
    assert "(logged before)" in again.stderr
    assert "mlflow" not in project.run(spec, "run", "--replay").stderr
    assert tracking.runs(spec["mlflow"]["experiment"]) == [run]


def test_a_run_that_stopped_goes_on(
    project: Project, tracking: Tracking, spec: dict[str, Any]
) -> None:
    spec |= {"prompt": "bad {{ text }}", "limits": {"max_failures": 0}}
    spec["params"]["mended"] = str(project.folder / "mended")
    assert project.run(spec).returncode == 3
    (stopped,) = tracking.runs(spec["mlflow"]["experiment"])
    assert stopped["info"]["status"] == "FAILED"
    assert "max_failures" in tracking.data(stopped, "tags")["dbrun.error"]

    (project.folder / "mended").touch()
    assert project.run(spec).returncode == 0
    (run,) = tracking.runs(spec["mlflow"]["experiment"])
    assert run["info"]["run_id"] == stopped["info"]["run_id"]
    assert run["info"]["status"] == "FINISHED"
    assert "dbrun.error" not in tracking.data(run, "tags")
    assert tracking.data(run, "metrics")["counts.ok"] == 2


def test_a_failed_gate_is_logged(
    project: Project, tracking: Tracking, spec: dict[str, Any]
) -> None:
    spec["prompt"] = "{{ 'bad' if text == 'two' else text }}"
    assert project.run(spec).returncode == 1
    (run,) = tracking.runs(spec["mlflow"]["experiment"])
    assert run["info"]["status"] == "FINISHED"
    assert tracking.data(run, "metrics")["exit_code"] == 1


def test_more_params_than_one_call_takes(
    project: Project, tracking: Tracking, spec: dict[str, Any]
) -> None:
    spec["vars"] = {f"v{number}": f"{number}" * 300 for number in range(230)}
    assert "warning" not in project.run(spec).stderr
    (run,) = tracking.runs(spec["mlflow"]["experiment"])
    params = tracking.data(run, "params")
    assert {f"vars.{name}": value for name, value in spec["vars"].items()}.items() <= params.items()


def test_a_deleted_experiment_is_a_warning(
    project: Project, tracking: Tracking, spec: dict[str, Any]
) -> None:
    made = tracking.ask("mlflow/experiments/create", {"name": spec["mlflow"]["experiment"]})
    tracking.ask("mlflow/experiments/delete", made)
    done = project.run(spec)
    assert done.returncode == 0
    assert "has been deleted; restore it, or name another" in done.stderr


def test_a_server_that_is_none_is_a_warning(project: Project, spec: dict[str, Any]) -> None:
    spec["mlflow"]["tracking_uri"] = "http://127.0.0.1:1"
    done = project.run(spec)
    assert done.returncode == 0
    assert "http://127.0.0.1:1 cannot be reached (connection refused)" in done.stderr
    assert len(done.stderr.splitlines()) == 5


def test_the_run_of_the_manual(project: Project, tracking: Tracking) -> None:
    manual = (ROOT / "docs/mlflow.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^dbrun (pipelines.*)$", manual, re.MULTILINE)
    shutil.copytree(ROOT / "pipelines", project.folder / "pipelines")
    done = project.dbrun(*command.replace("http://127.0.0.1:5000", tracking.url).split())
    assert done.returncode == 0, done.stderr
    (run,) = tracking.runs("demo")
    assert tracking.artifact(run, "function.jsonl").count(b"\n") == 10


# --- prompts --------------------------------------------------------------------------------------


def test_a_version_is_read_and_kept(
    project: Project, tracking: Tracking, spec: dict[str, Any]
) -> None:
    version = tracking.register("say", "Say {{ text }} {# please #} {{ not one }}\n")
    spec["prompt"] = {"mlflow": f"prompts:/say/{version}"}
    done = project.run(spec)
    assert done.returncode == 0, done.stderr
    assert project.records[0]["output"] == "SAY ONE {# PLEASE #} {{ NOT ONE }}\n"
    assert list(project.manifest["digests"]["templates"]) == [f"main:prompts:/say/{version}"]

    spec["mlflow"]["tracking_uri"] = tracking.url + "/"  # the same one
    for words in (("render",), ("plan",), ("validate", "--no-import"), ("verify",)):
        assert project.run(spec, *words).returncode == 0, words
    assert project.run(spec, "run", "--replay").returncode == 0


def test_an_alias_is_pinned(project: Project, tracking: Tracking, spec: dict[str, Any]) -> None:
    tracking.register("ask", "First {{ text }}", "prod")
    spec["prompt"] = {"mlflow": "prompts:/ask@prod"}
    assert project.run(spec).returncode == 0
    tracking.register("ask", "Second {{ text }}", "prod")
    assert project.run(spec, "verify").returncode == 0
    assert "Second one" in project.run(spec, "render").stdout
    assert project.run(spec, "verify").returncode == 0
    assert project.run(spec).returncode == 0
    assert project.records[0]["output"] == "SECOND ONE"
    assert list(project.manifest["digests"]["templates"]) == ["main:prompts:/ask/2"]


def test_a_chat(project: Project, tracking: Tracking, spec: dict[str, Any]) -> None:
    turns = [
        {"role": "system", "content": "Be {{ vars.day }}"},
        {"role": "user", "content": "{% if text == 'one' %}first{% else %}{{ text }}{% endif %}"},
    ]
    tracking.register("chat", turns)
    spec["prompt"] = {"mlflow": "prompts:/chat/1"}
    done = project.run(spec)
    assert done.returncode == 0, done.stderr
    assert [record["output"] for record in project.records] == [
        "SYSTEM: BE 2026-11-22 / USER: FIRST",
        "SYSTEM: BE 2026-11-22 / USER: TWO",
    ]


@pytest.mark.parametrize("uri", ["prompts:/nobody/1", "prompts:/nobody@prod", "prompts:/known/9",
                                 "prompts:/known@never"])  # fmt: skip
def test_what_is_not_there_is_named(
    project: Project, tracking: Tracking, spec: dict[str, Any], uri: str
) -> None:
    tracking.register("known", "{{ text }}")
    spec["mlflow"] = {"tracking_uri": tracking.url}
    spec["prompt"] = {"mlflow": uri}
    for command in ("validate", "run"):
        done = project.run(spec, command)
        assert done.returncode == 2
        assert f"prompt.mlflow: there is no {uri} in the registry of {tracking.url}" in done.stderr


def test_a_registry_that_is_down_ends_the_run_before_it_begins(
    project: Project, spec: dict[str, Any]
) -> None:
    spec["mlflow"]["tracking_uri"] = "http://127.0.0.1:1"
    spec["prompt"] = {"mlflow": "prompts:/any/1"}
    done = project.run(spec)
    assert done.returncode == 3
    assert "prompts:/any/1 cannot be read: http://127.0.0.1:1 cannot be reached" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (project.folder / "out").exists()
