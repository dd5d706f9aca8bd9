"""Runs that are logged and prompts that are registered, at the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.tracking import FakeTracking

import dbrun
from dbrun.cli.main import main

DOWN = "http://127.0.0.1:1"
FUNCTION = """
import os

def answer(prompt, **rest):
    if "bad" in prompt and not os.path.exists(rest["mended"]):
        raise ValueError("bad row")
    return prompt.upper()
"""


class Project:
    """A pipeline of three rows, the last of which fails until it is mended."""

    def __init__(self, folder: Path, tracking: str) -> None:
        self.folder = folder
        self.spec: dict[str, Any] = {
            "name": "x",
            "source": "rows.jsonl",
            "endpoint": {
                "adapter": "python",
                "function": "functions:answer",
                "limits": {"attempts": 1, "concurrency": 1},
            },
            "prompt": "{{ text }}",
            "params": {"mended": str(folder / "mended")},
            "sink": "out/x.jsonl",
            "mlflow": {"experiment": "e", "tracking_uri": tracking},
        }
        (folder / "pyproject.toml").touch()
        (folder / "functions.py").write_text(FUNCTION)
        self.rows("one", "two")

    def rows(self, *texts: str) -> None:
        lines = [json.dumps({"text": text}) + "\n" for text in texts]
        (self.folder / "rows.jsonl").write_text("".join(lines))

    def run(self, *words: str) -> int:
        path = self.folder / "x.yaml"
        path.write_text(yaml.safe_dump(self.spec))
        return main([words[0], str(path), *words[1:]] if words else ["run", str(path)])

    @property
    def manifest(self) -> Any:
        return json.loads((self.folder / "out/x.run.json").read_text())


@pytest.fixture
def project(tmp_path: Path, tracking: FakeTracking, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path, tracking.uri)


def test_a_run_is_logged_once(
    project: Project, tracking: FakeTracking, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project.run() == 0
    (logged,) = tracking.runs
    assert f"mlflow    run {logged['id']} of experiment e\n" in capsys.readouterr().err
    assert json.loads(logged["artifacts"]["x.run.json"]) == project.manifest
    assert logged["artifacts"]["x.jsonl"] == (project.folder / "out/x.jsonl").read_text()
    assert logged["tags"]["dbrun.run"] == project.manifest["run"]
    assert (logged["status"], logged["metrics"]["counts.ok"]) == ("FINISHED", 2.0)

    assert project.run() == 0
    assert "(logged before)" in capsys.readouterr().err
    calls = tracking.state["calls"]
    assert project.run("run", "--replay") == 0
    assert "mlflow" not in capsys.readouterr().err
    assert tracking.runs == [logged]
    assert tracking.state["calls"] == calls


def test_a_run_that_sends_something_is_another(project: Project, tracking: FakeTracking) -> None:
    project.run()
    project.rows("one", "two", "three")
    project.run()
    assert [run["metrics"]["counts.rows"] for run in tracking.runs] == [2.0, 3.0]


def test_an_unmet_gate_is_logged_and_stays(project: Project, tracking: FakeTracking) -> None:
    project.rows("one", "bad")
    assert project.run() == 1
    (logged,) = tracking.runs
    assert (logged["status"], logged["metrics"]["exit_code"]) == ("FINISHED", 1.0)


def test_a_run_that_stopped_goes_on_in_mlflow_too(project: Project, tracking: FakeTracking) -> None:
    project.rows("one", "bad")
    project.spec["limits"] = {"max_failures": 0}
    assert project.run() == 3
    (stopped,) = tracking.runs
    assert stopped["status"] == "FAILED"
    assert "max_failures" in stopped["tags"]["dbrun.error"]
    assert list(stopped["artifacts"]) == ["x.run.json"]

    (project.folder / "mended").touch()
    assert project.run() == 0
    (logged,) = tracking.runs
    assert (logged["id"], logged["status"]) == (stopped["id"], "FINISHED")
    assert "dbrun.error" not in logged["tags"]
    assert "x.jsonl" in logged["artifacts"]


def test_trouble_is_a_warning_and_is_made_up_for(
    project: Project, tracking: FakeTracking, capsys: pytest.CaptureFixture[str]
) -> None:
    project.spec["mlflow"]["tracking_uri"] = DOWN
    assert project.run() == 0
    told = capsys.readouterr().err
    assert "mlflow    warning: the run is not logged: http://127.0.0.1:1 cannot be reached" in told
    assert "the same command logs the run, and sends nothing again" in told
    assert (project.folder / "out/x.jsonl").exists()
    assert project.run("run", "--quiet", "--json") == 0
    quiet = capsys.readouterr()
    assert quiet.err.startswith("warning: the run is not logged")
    assert "not logged" in json.loads(quiet.out)["runs"][0]["mlflow"]["warning"]

    project.spec["mlflow"]["tracking_uri"] = tracking.uri
    assert project.run() == 0
    assert len(tracking.runs) == 1


def test_trouble_with_a_stopped_run_is_told_beside_its_own(
    project: Project,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    project.rows("bad")
    project.spec["limits"] = {"max_failures": 0}
    project.spec["mlflow"]["tracking_uri"] = DOWN
    assert project.run() == 3
    (told,) = caplog.messages
    assert told.startswith("the run is not logged: http://127.0.0.1:1 cannot be reached")
    assert "max_failures" in capsys.readouterr().err


def test_without_the_library_nothing_is_sent(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert project.run() == 2
    assert "pip install 'dbrun[mlflow]'" in capsys.readouterr().err
    assert not (project.folder / "out/x.jsonl").exists()
    assert project.run("validate") == 0


def test_results_on_standard_output_are_logged_if_anything_was_sent(
    project: Project, tracking: FakeTracking, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    project.run("run", "--out", "-")
    project.run("run", "--out", "-")
    (logged,) = tracking.runs
    assert list(logged["artifacts"]) == ["x.run.json"]
    assert capfdbinary.readouterr().out.count(b"ONE") == 2


def test_mlflow_without_an_experiment_logs_nothing(
    project: Project, tracking: FakeTracking
) -> None:
    project.spec["mlflow"] = {"tracking_uri": tracking.uri}
    assert project.run() == 0
    assert "calls" not in tracking.state


def test_the_python_function_tells_where(project: Project, tracking: FakeTracking) -> None:
    project.run("validate")
    run = dbrun.load(project.folder / "x.yaml", environ={}).run(environ={})
    assert run.tracked is not None
    assert run.tracked.run == tracking.runs[0]["id"]


def test_who_does_not_ask_for_it_does_not_import_it(project: Project) -> None:
    del project.spec["mlflow"]
    project.run("validate")
    code = (
        "import sys; from dbrun.cli.main import main; "
        f"assert main(['run', {str(project.folder / 'x.yaml')!r}]) == 0; "
        "print([name for name in sys.modules if 'dbrun.tracking' in name or 'mlflow' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


# --- registered prompts -------------------------------------------------------------------------


def requests(text: str) -> list[str]:
    return [json.loads(line)["request"]["prompt"] for line in text.splitlines()]


def test_a_registered_prompt_is_pinned_and_outlives_the_registry(
    project: Project, tracking: FakeTracking, capsys: pytest.CaptureFixture[str]
) -> None:
    tracking.register("say", "Say {{ text }} {# please #}", "prod")
    project.spec["prompt"] = {"mlflow": "prompts:/say@prod"}
    assert project.run() == 0
    (digest,) = project.manifest["digests"]["templates"]
    assert digest == "main:prompts:/say/1"
    tracking.register("say", "Shout {{ text }}", "prod")
    capsys.readouterr()

    assert project.run("render") == 0
    assert requests(capsys.readouterr().out) == ["Shout one", "Shout two"]
    assert project.run("run", "--replay") == 0
    assert project.run("verify") == 0
    capsys.readouterr()

    tracking.change(refusal=["down", "X"])
    assert project.run("render") == 0
    told = capsys.readouterr()
    assert requests(told.out) == ["Say one {# please #}", "Say two {# please #}"]
    assert "says: down; version 1, read before, stands in" in told.err
    for command in ("plan", "validate", "journal"):
        assert project.run(command) == 0
    assert project.run("validate", "--no-import") == 0
    capsys.readouterr()
    assert project.run() == 3
    assert "prompts:/say@prod cannot be read" in capsys.readouterr().err

    project.spec["prompt"] = {"mlflow": "prompts:/say/1"}
    assert project.run("run", "--replay") == 0


def test_a_prompt_that_is_not_there_is_a_problem(
    project: Project, tracking: FakeTracking, capsys: pytest.CaptureFixture[str]
) -> None:
    project.spec["prompt"] = {"mlflow": "prompts:/nope/1"}
    for command in ("validate", "run"):
        assert project.run(command) == 2
        assert "prompt.mlflow: there is no prompts:/nope/1" in capsys.readouterr().err


def test_an_untrusted_spec_has_nobody_asked(
    project: Project, tracking: FakeTracking, capsys: pytest.CaptureFixture[str]
) -> None:
    tracking.register("say", "{{ text }}")
    project.spec["prompt"] = {"mlflow": "prompts:/say/1"}
    assert project.run("validate", "--no-import") == 0
    assert "not checked: prompts:/say/1 has not been read here yet" in capsys.readouterr().err
    assert "calls" not in tracking.state
    assert project.run("run", "--replay") == 2


def test_templates_of_a_registered_prompt_are_checked(
    project: Project, tracking: FakeTracking, capsys: pytest.CaptureFixture[str]
) -> None:
    tracking.register("say", "first line\n{% if text %} {{ text | nofilter }}")
    project.spec["prompt"] = {"mlflow": "prompts:/say/1"}
    assert project.run("validate") == 2
    assert "prompts:/say/1:2" in capsys.readouterr().err
    tracking.register("say", "{{ txet }}")
    project.spec["prompt"] = {"mlflow": "prompts:/say/2"}
    assert project.run("validate") == 0
    assert "'text'" in capsys.readouterr().err
