"""The action at the root: its shell steps, taken from the file, run by bash in a repository."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.github import FakeGitHub
from fakes.repository import SPEC, TICKETS, Project, without_git_settings

ROOT = Path(__file__).parent.parent.parent
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


@dataclass
class Job:
    """A job that uses the action: the runner's part of it."""

    project: Project
    github: FakeGitHub
    folder: Path
    inputs: dict[str, str] = field(default_factory=dict)
    is_fork: bool = False
    is_pull: bool = True
    environ: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    said: str = ""
    only: Sequence[str] = ()
    """The steps to take, by name, where a test is about few of them: each starts programs."""

    def run(self) -> bool:
        """Run its steps as a runner does; whether the job succeeded."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.outcomes, self.outputs, self.said = {}, {}, ""
        self._prepare()
        succeeded = True
        for number, step in enumerate(ACTION["runs"]["steps"]):
            name = step.get("id", str(number))
            if self.only and step.get("name") not in self.only:
                self.outcomes[name] = "success"
                continue
            if not self._is_wanted(step, succeeded):
                self.outcomes[name] = "skipped"
                continue
            done = self._take(step, name)
            self.outcomes[name] = "success" if done else "failure"
            succeeded = succeeded and done
        return succeeded

    @property
    def summary(self) -> str:
        path = self.folder / "summary"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def _prepare(self) -> None:
        programs = self.folder / "programs"
        programs.mkdir(exist_ok=True)
        python = programs / "python"
        quoted = shlex.quote(sys.executable)
        # Nothing is installed here; what would be is noted.
        python.write_text(
            f'#!/bin/sh\nif [ "$2" = pip ]; then for word; do echo "$word"; done '
            f'> "$RUNNER_TEMP/pip"; else exec {quoted} "$@"; fi\n'
        )
        python.chmod(0o755)
        (self.folder / "summary").unlink(missing_ok=True)
        base = self.project.git("rev-parse", "main")
        owner = "mallory" if self.is_fork else "me"
        event: dict[str, Any] = {"ref": "refs/heads/work"}
        if self.is_pull:
            event["pull_request"] = {
                "number": 7,
                "base": {"sha": base, "repo": {"full_name": "me/project"}},
                "head": {"sha": "f" * 40, "repo": {"full_name": f"{owner}/project"}},
            }
        (self.folder / "event.json").write_text(json.dumps(event))

    def _take(self, step: Mapping[str, Any], name: str) -> bool:
        if "run" not in step:
            self.outputs[name] = {"artifact-url": "https://github.example/artifact/1"}
            return True
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "what is pasted into a script is run"
        output = self.folder / f"output-{name}"
        output.write_text("")
        (self.folder / "step.sh").write_text(step["run"])
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(self.folder / "step.sh")],
            cwd=self.project.folder,
            env={
                **{name: value for name, value in os.environ.items() if "GIT" not in name},
                "GIT_CONFIG_GLOBAL": os.devnull,
                "PATH": f"{self.folder / 'programs'}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "RUNNER_TEMP": str(self.folder),
                "GITHUB_ACTIONS": "true",
                "GITHUB_API_URL": self.github.url,
                "GITHUB_SERVER_URL": "https://github.example",
                "GITHUB_REPOSITORY": "me/project",
                "GITHUB_RUN_ID": "99",
                "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
                "NO_PROXY": "127.0.0.1",
                **self.environ,
                **{key: self._value(str(value)) for key, value in step.get("env", {}).items()},
            },
            capture_output=True,
            text=True,
        )
        self.said += done.stdout + done.stderr
        assert "Traceback" not in self.said, self.said
        self.outputs[name] = dict(
            re.findall(r"^([\w-]+)<<(?:end-\w+)\n(.*)\n(?:end-\w+)$", output.read_text(), re.M)
        )
        return done.returncode == 0

    def _is_wanted(self, step: Mapping[str, Any], succeeded: bool) -> bool:
        if "if" not in step:
            return succeeded
        condition = EXPRESSION.fullmatch(step["if"])
        assert condition, step["if"]
        words = condition[1].replace("!cancelled()", "True").replace("&&", " and ")
        words = re.sub(
            r"(inputs|steps)\.[\w.-]+", lambda found: repr(self._look_up(found[0])), words
        )
        return ("cancelled" in condition[1] or succeeded) and bool(eval(words))

    def _value(self, text: str) -> str:
        return EXPRESSION.sub(lambda found: self._look_up(found[1]), text)

    def _look_up(self, name: str) -> str:
        kind, _, rest = name.partition(".")
        if kind == "inputs":
            value = self.inputs.get(rest, ACTION["inputs"][rest].get("default", ""))
            return self._value(str(value)) if rest not in self.inputs else value
        if kind == "steps":
            step, _, what = rest.partition(".")
            if what == "outcome":
                return self.outcomes[step]
            return self.outputs.get(step, {}).get(what.removeprefix("outputs."), "")
        return {
            "github.token": "a-token",
            "github.action_path": str(ROOT),
            "github.event.pull_request.base.sha": (
                self.project.git("rev-parse", "main") if self.is_pull else ""
            ),
        }[name]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    without_git_settings(monkeypatch)
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder)


@pytest.fixture
def job(project: Project, tmp_path: Path) -> Iterator[Job]:
    with FakeGitHub() as github:
        yield Job(project=project, github=github, folder=tmp_path / "runner")


TESTED = (
    SPEC
    + """\
tests:
  - name: a ticket
    given: {row: {id: t, text: hello}, response: "hello."}
    expect: {output: "hello."}
"""
)


@pytest.fixture
def changed(project: Project) -> Project:
    """A prompt that was changed on a branch, everything that came of it committed."""
    project.write(TICKETS, TESTED)
    project.run()
    project.branch()
    project.write("pipelines/prompts/ask.j2", "Say: {{ text | upper }}")
    project.run()
    project.commit("louder")
    return project


def test_a_pull_request_gets_one_comment_that_is_kept_up_to_date(
    job: Job, changed: Project
) -> None:
    assert job.run(), job.said
    (first,) = job.github.bodies
    assert first.startswith("<!-- dbrun:comment: -->\n## dbrun\n")
    for name in ("validate", "test", "verify", "plan", "diff"):
        assert f"| {name} | ✅ |" in first
    assert "THE A IS BROKEN" in first
    assert "3 rows, 3 requests" in first.replace("\n", " ") or "to reuse" in first
    assert "[report](https://github.example/artifact/1)" in first
    assert job.outputs["comment"]["comment"].startswith("https://github.example/me/project/pull/7")
    assert job.summary.strip() == first.partition("\n")[2].strip()

    changed.write("pipelines/prompts/ask.j2", "Say: {{ text | title }}")
    changed.run()
    assert job.run(), job.said
    (second,) = job.github.bodies
    assert "The A Is Broken" in second
    assert "THE A IS BROKEN" not in second


def test_the_report_is_made_of_committed_results(job: Job, changed: Project) -> None:
    job.only = ("Validate", "Compare with the base", "Make the report", "Name the report")
    assert job.run(), job.said
    folder = Path(job.outputs["name"]["folder"])

    assert job.outputs["name"]["name"] == "dbrun-report"
    assert "THE A IS BROKEN" in (folder / "report" / "pipelines-tickets.html").read_text()
    assert (folder / "diff.md").exists()


def test_a_fork_whose_token_may_only_read_fails_nothing(job: Job, changed: Project) -> None:
    job.only = ("Validate", "Compare with the base", "Comment")
    job.is_fork, job.github.may_write = True, False
    assert job.run(), job.said

    assert job.github.bodies == []
    assert "::warning title=dbrun::no comment on the pull request: POST" in job.said
    assert "403 Resource not accessible by integration" in job.said
    assert "THE A IS BROKEN" in job.summary


def test_without_a_token_the_summary_has_it_all(job: Job, changed: Project) -> None:
    job.only = ("Validate", "Compare with the base", "Comment")
    job.inputs["github-token"] = ""
    assert job.run(), job.said

    assert job.github.calls == []
    assert "::warning title=dbrun::no comment on the pull request: there is no" in job.said
    assert "THE A IS BROKEN" in job.summary


def test_a_push_has_no_comment_and_no_base(job: Job, changed: Project) -> None:
    job.only = ("Validate", "Compare with the base", "Comment")
    job.is_pull = False
    assert job.run(), job.said

    assert job.github.calls == []
    assert "| validate | ✅ |" in job.summary
    assert "| diff |" not in job.summary


def test_a_spec_that_is_wrong_ends_the_job_with_annotations(job: Job, changed: Project) -> None:
    changed.write(TICKETS, SPEC + "promt: x\n")
    assert not job.run()

    assert "::error file=pipelines/tickets.yaml,line=9,col=1" in job.said
    assert job.outcomes["diff"] == "skipped"
    (comment,) = job.github.bodies
    assert "| validate | ❌ | `1 problem` |" in comment


def test_a_test_that_fails_is_annotated_and_the_rest_goes_on(job: Job, changed: Project) -> None:
    job.only = ("Validate", "Test", "Compare with the base", "Comment")
    changed.write(TICKETS, TESTED.replace('output: "hello."', 'output: "goodbye."'))
    assert not job.run()

    assert "::error file=pipelines/tickets.yaml,line=" in job.said
    (comment,) = job.github.bodies
    assert "| test | ❌ |" in comment
    assert "| diff | ✅ |" in comment


def test_results_that_are_not_up_to_date_fail_the_job(job: Job, changed: Project) -> None:
    job.only = ("Validate", "Verify", "Comment")
    changed.write("data/rows.jsonl", '{"id": "a", "text": "other"}\n')
    assert not job.run()

    (comment,) = job.github.bodies
    assert "| verify | ❌ |" in comment


def test_results_without_a_journal_are_held_to_their_manifest(job: Job, changed: Project) -> None:
    job.only = ("Validate", "Verify", "Compare with the base", "Comment")
    for path in (changed.folder / "out" / "tickets.jsonl.journal").iterdir():
        path.unlink()
    (changed.folder / "out" / "tickets.jsonl.journal").rmdir()
    assert job.run(), job.said

    assert "$ dbrun verify out/tickets.jsonl" in job.said
    assert "THE A IS BROKEN" in job.github.bodies[0]


def test_a_sample_is_run(job: Job, changed: Project) -> None:
    job.only = ("Validate", "Run a sample", "Comment")
    job.inputs["sample"] = "2"
    changed.write("data/rows.jsonl", '{"id": "n", "text": "new"}\n')
    changed.results().unlink()
    assert job.run(), job.said

    assert (changed.folder / "out" / "tickets.part.jsonl").exists()
    assert "| sample of 2 | ✅ |" in job.github.bodies[0]


OPENAI = 'endpoint: {adapter: openai, base_url: "https://x.invalid", api_key: {env: KEY}, model: m}'


@pytest.mark.parametrize("is_fork", [True, False])
def test_a_sample_without_credentials_is_a_warning_for_forks_only(
    job: Job, project: Project, is_fork: bool
) -> None:
    job.only = ("Validate", "Run a sample", "Comment")
    project.branch()
    project.write(
        TICKETS,
        SPEC.replace('endpoint: {adapter: python, function: "model:answer"}', OPENAI),
    )
    job.inputs |= {"sample": "2", "base": ""}
    job.is_fork = is_fork
    assert job.run() == is_fork

    (comment,) = job.github.bodies
    assert f"| sample of 2 | {'⚠️' if is_fork else '❌'} |" in comment
    assert ("::warning title=dbrun::sample of 2: dbrun: " in job.said) == is_fork


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("specs", "Validate"),
        ("target", "Plan"),
        ("base", "Compare with the base"),
        ("key", "Comment"),
        ("sample", "Run a sample"),
        ("fail-on", "Compare with the base"),
    ],
)
def test_inputs_are_never_run(job: Job, project: Project, name: str, step: str) -> None:
    job.only = (step,)
    project.branch()
    job.inputs[name] = "$(touch owned) `touch owned`; touch owned # ' \" \\"
    job.run()

    assert not list(project.folder.rglob("owned")) + list(job.folder.rglob("owned"))
    assert "::error title=dbrun::" in job.said or name in ("target", "base", "key", "specs")


def test_a_key_makes_a_comment_of_its_own(job: Job, changed: Project) -> None:
    job.only = ("Validate", "Name the report", "Comment")
    assert job.run(), job.said
    job.inputs["key"] = "nightly / two"
    assert job.run(), job.said

    assert [body.splitlines()[0] for body in job.github.bodies] == [
        "<!-- dbrun:comment: -->",
        "<!-- dbrun:comment:nightly-two -->",
    ]
    assert job.outputs["name"]["name"] == "dbrun-report-nightly-two"


def test_what_is_installed_is_the_action_with_its_extras(job: Job, project: Project) -> None:
    job.only = ("Install dbrun",)
    project.branch()
    job.inputs |= {"extras": "scores,http", "base": ""}
    job.run()

    assert (job.folder / "pip").read_text().splitlines()[-1] == f"{ROOT}[scores,http]"


@pytest.mark.parametrize(
    ("name", "value", "step", "said"),
    [
        (
            "specs",
            "",
            "Validate",
            "`specs` names no spec; write one path or pattern in a line",
        ),
        ("sample", "many", "Run a sample", "`sample` is 'many'; write a number of rows"),
        (
            "fail-on",
            "always",
            "Compare with the base",
            "`fail-on` is 'always'; write never or regression",
        ),
    ],
)
def test_inputs_that_make_no_sense(
    job: Job, project: Project, name: str, value: str, step: str, said: str
) -> None:
    job.only = (step,)
    project.branch()
    job.inputs[name] = value
    assert not job.run()
    assert f"::error title=dbrun::the input {said}" in job.said


# --- what is fixed --------------------------------------------------------------------------------


def test_actions_of_others_are_pinned_by_major_version() -> None:
    used = [step["uses"] for step in ACTION["runs"]["steps"] if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", one) for one in used)


def test_no_script_holds_an_expression_and_every_input_is_used() -> None:
    steps = ACTION["runs"]["steps"]
    assert not any("${{" in step.get("run", "") for step in steps)
    used = set(re.findall(r"inputs\.([\w-]+)", json.dumps(steps)))
    assert used == set(ACTION["inputs"])


def test_hooks_take_specs_and_nothing_else() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert [hook["id"] for hook in hooks] == ["dbrun-validate", "dbrun-test"]
    for hook in hooks:
        assert (hook["language"], hook["pass_filenames"]) == ("python", True)
        taken = re.compile(hook["files"])
        assert taken.search("pipelines/a.yaml")
        assert taken.search("team/pipelines/a.yml")
        assert not taken.search("pipelines/_part.yaml")
        assert not taken.search(".github/workflows/ci.yaml")
        assert not taken.search("pipelines/data/rows.yaml")
