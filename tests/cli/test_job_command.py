"""`dbrun job`: printing, and comparing with a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dbrun.cli.main import main

SPEC = """\
name: tickets
vars: {{day: null}}
source: rows.jsonl
endpoint: {{adapter: databricks, name: chat}}
prompt: "{{{{ text }}}}"
sink: "/Volumes/main/default/{name}/${{vars.day}}.jsonl"
journal: {{path: "/Volumes/main/default/{name}/journal-${{vars.day}}"}}
job:
  schedule: {{quartz_cron_expression: "0 0 3 * * ?", timezone_id: UTC}}
  parameters: {{day: "{{{{job.start_time.iso_date}}}}"}}
  task: {{timeout_seconds: 7200}}
targets: {{prod: {{}}}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "databricks.yml").touch()
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "tickets.yaml").write_text(SPEC.format(name="tickets"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


WORDS = ["job", "pipelines/tickets.yaml", "--target", "prod", "--set", "stop=[a b]"]


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    assert main(WORDS) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_the_resource_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys)
    assert text.startswith(
        "# Made by: dbrun job pipelines/tickets.yaml --target prod --set 'stop=[a b]'\n"
        "# Change the spec, then make it again.\nresources:\n  jobs:\n    tickets:\n"
    )
    (task,) = yaml.safe_load(text)["resources"]["jobs"]["tickets"]["tasks"]
    assert task["timeout_seconds"] == 7200
    assert task["python_wheel_task"]["parameters"][2:4] == ["--target", "prod"]


def test_a_file_that_says_the_same_passes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = yaml.safe_load(printed(capsys))
    # In other words, by somebody else, and beside another job.
    said["resources"]["jobs"]["other"] = {"name": "other"}
    Path("r.yml").write_text(yaml.safe_dump(said, default_flow_style=True))
    assert main([*WORDS, "--check", "r.yml"]) == 0
    assert capsys.readouterr().err == "r.yml: ok\n"


def test_drift_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys)
    Path("r.yml").write_text(text.replace("7200", "3600").replace("timezone_id: UTC", "paused: 1"))
    assert main([*WORDS, "--check", "r.yml"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "+ tickets.schedule.timezone_id: UTC",
        "- tickets.schedule.paused: 1",
        "- tickets.tasks[run].timeout_seconds: 3600",
        "+ tickets.tasks[run].timeout_seconds: 7200",
    ]
    assert err == (
        "r.yml is not what the spec says; make it again: "
        "dbrun job pipelines/tickets.yaml --target prod --set 'stop=[a b]' > r.yml\n"
    )


def test_a_job_that_is_not_in_the_file_is_drift(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("r.yml").write_text("resources: {jobs: {}}")
    assert main([*WORDS, "--check", "r.yml"]) == 1
    assert capsys.readouterr().out == "+ tickets: is not in the file\n"


def test_a_file_that_is_not_there_is_no_drift(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WORDS, "--check", "r.yml"]) == 2
    said = "dbrun: r.yml cannot be read: No such file or directory; write it with: dbrun job"
    assert capsys.readouterr().err.startswith(said)


def test_several_specs_make_one_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    second = SPEC.format(name="more").replace("name: tickets", "name: more")
    Path("pipelines/more.yaml").write_text(second)
    assert main(["job", "pipelines/*.yaml"]) == 0
    jobs = yaml.safe_load(capsys.readouterr().out)["resources"]["jobs"]
    assert list(jobs) == ["more", "tickets"]


def test_two_of_one_name_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("pipelines/more.yaml").write_text(SPEC.format(name="more"))
    assert main(["job", "pipelines/*.yaml"]) == 2
    assert capsys.readouterr().err == (
        "dbrun: pipelines/more.yaml and pipelines/tickets.yaml are both named 'tickets'; "
        "give one of them another name\n"
    )


def test_every_problem_of_every_spec_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        Path(f"pipelines/{name}.yaml").write_text(
            SPEC.format(name=name).replace("timezone_id", "timezone")
        )
    assert main(["job", "pipelines/one.yaml", "pipelines/two.yaml"]) == 2
    assert capsys.readouterr().err.count("did you mean 'timezone_id'?") == 2


def test_only_fragments_are_no_job(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("pipelines/tickets.yaml").rename("pipelines/_base.yaml")
    assert main(["job", "pipelines/*.yaml"]) == 2
    assert "there are only fragments" in capsys.readouterr().err


def test_what_is_unwise_is_said_aside(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "--set", "journal=null", "--set", "sink=/Volumes/a.jsonl"]) == 0
    out, err = capsys.readouterr()
    assert "resources:" in out
    assert "job.schedule: every run shares one journal" in err
