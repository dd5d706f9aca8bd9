"""The README and the manual: their examples run, and they leave nothing out."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.models import Endpoint, standard_endpoints
from fakes.workspace import FakeWorkspace

import dbrun
from dbrun import errors
from dbrun.cli.main import COMMANDS, main, make_group
from dbrun.registry import Registry

ROOT = Path(__file__).parent.parent
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BASE = "name: base\nsource: {rows: []}\nendpoint: {adapter: local}\nprompt: hello\n"


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(language: str, *pages: str) -> list[tuple[str, str]]:
    """(page and number, text) of every fenced block of *language*."""
    found = []
    for page in pages or PAGES:
        for number, (fence, text) in enumerate(FENCE.findall(text_of(page))):
            if fence == language:
                found.append((f"{page}#{number}", text))
    return found


def named(found: list[tuple[str, str]]) -> list[Any]:
    return [pytest.param(text, id=name) for name, text in found]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of `pipelines/` in a project of its own."""
    (tmp_path / "pyproject.toml").touch()
    return Path(shutil.copytree(ROOT / "pipelines", tmp_path / "pipelines"))


@pytest.fixture
def workspace() -> Iterator[FakeWorkspace]:
    with FakeWorkspace() as fake:
        chat = standard_endpoints()["chat"]
        fake.endpoints |= {"databricks-meta-llama-3-3-70b-instruct": chat, "my-endpoint": chat}
        fake.endpoints["my-custom-model"] = Endpoint(kind="custom")
        yield fake


# --- examples -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", named(blocks("yaml")))
def test_yaml_of_the_manual_is_a_spec_or_a_part_of_one(folder: Path, text: str) -> None:
    data = yaml.safe_load(text) or {}
    whole = {"name", "source"} <= set(data)
    spec = folder / "example.yaml"
    (folder / "_base.yaml").write_text(BASE, encoding="utf-8")
    spec.write_text(text if whole else f"extends: _base.yaml\n{text}", encoding="utf-8")
    given = {name: "given" for name, value in (data.get("vars") or {}).items() if value is None}

    problems, _ = dbrun.validate(spec, vars=given, environ={})
    assert [str(problem) for problem in problems] == []


def test_the_readme_opens_with_the_spec_of_the_quick_start() -> None:
    (_, first), *_ = blocks("yaml", "README.md")
    assert first == text_of("pipelines/summarize.yaml")


@pytest.mark.local_model
def test_the_answers_in_the_readme_are_those_of_the_quick_start(folder: Path) -> None:
    ((_, shown),) = blocks("json", "README.md")
    lines = [json.loads(line) for line in shown.splitlines()]
    ids = ", ".join(f"'{line['id']}'" for line in lines)
    pipeline = dbrun.load(
        folder / "summarize.yaml", overrides=[f'source.where="id in [{ids}]"'], environ={}
    )
    records = list(pipeline.run(environ={}).results)

    assert lines == [{name: record[name] for name in lines[0]} for record in records]


@pytest.mark.parametrize("page", sorted({name.split("#")[0] for name, _ in blocks("python")}))
def test_python_of_the_manual_runs(
    page: str,
    folder: Path,
    workspace: FakeWorkspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder.parent)
    for name, value in workspace.environ.items():
        monkeypatch.setenv(name, value)
    space: dict[str, Any] = {}
    for _, text in blocks("python", page):
        exec(text, space)
    space["llm"].close()

    assert "I am happy to hear that you are in good health" in capsys.readouterr().out


def test_the_complaint_in_the_readme_is_the_one_that_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = folder / "summarize.yaml"
    text = spec.read_text(encoding="utf-8")
    spec.write_text(text.replace("{adapter: databricks, name", "{adapter: databricks, nmae"))
    monkeypatch.chdir(folder.parent)
    code = main(["validate", "pipelines/summarize.yaml"])
    said = capsys.readouterr().err
    (shown,) = [text for _, text in blocks("", "README.md") if "nmae" in text]

    assert code == errors.EXIT_USAGE
    assert said.startswith(shown)


def test_the_plan_in_the_manual_is_the_one_that_is_told(
    folder: Path,
    workspace: FakeWorkspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder.parent)
    for name, value in workspace.environ.items():
        monkeypatch.setenv(name, value)
    (priced,) = [text for _, text in blocks("yaml", "docs/running.md") if "price:" in text]
    (shown,) = [text for _, text in blocks("", "docs/running.md") if "to reuse" in text]
    first, second, *told = shown.splitlines()
    spec = folder / "summarize.yaml"
    data = yaml.safe_load(spec.read_text(encoding="utf-8"))
    data["targets"]["prod"]["endpoint"]["price"] = yaml.safe_load(priced)["endpoint"]["price"]
    data["limits"] = yaml.safe_load(priced)["limits"]
    spec.write_text(yaml.safe_dump(data), encoding="utf-8")
    assert main(first.removeprefix("dbrun ").split()) == errors.EXIT_OK
    capsys.readouterr()
    assert main(second.removeprefix("dbrun ").split()) == errors.EXIT_OK
    said = capsys.readouterr().out.splitlines()

    # How long it takes is another matter on every machine.
    timeless = [line for line in said if not line.startswith("  time ")]
    assert timeless == [line for line in told if not line.startswith("  time ")]
    assert len(said) == len(timeless) + 1


def test_the_failure_in_the_manual_is_the_one_that_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder.parent)
    (tests, *_) = [text for _, text in blocks("yaml", "docs/testing.md")]
    (shown,) = [text for _, text in blocks("", "docs/testing.md") if ": failed" in text]
    spec = folder / "summarize.yaml"
    text = spec.read_text(encoding="utf-8").partition("tests:\n")[0] + tests
    spec.write_text(text, encoding="utf-8")
    assert main(["test", "pipelines/summarize.yaml"]) == errors.EXIT_OK
    capsys.readouterr()
    spec.write_text(text.replace("functions:sentence", "functions:topic"), encoding="utf-8")
    assert main(["test", "pipelines/summarize.yaml"]) == errors.EXIT_UNMET

    def timeless(said: str) -> str:
        return re.sub(r"\d+ ms", "ms", said)

    assert timeless(capsys.readouterr().out) == timeless(shown)


def test_the_doctor_in_the_manual_is_the_one_that_speaks(
    folder: Path,
    workspace: FakeWorkspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder.parent)
    for name, value in workspace.environ.items():
        monkeypatch.setenv(name, value)
    (shown,) = [text for _, text in blocks("", "docs/running.md") if "dbrun doctor" in text]
    first, *told = shown.splitlines()
    assert main(first.removeprefix("dbrun ").split()) == errors.EXIT_OK
    said = capsys.readouterr().out

    # The machine is another one, and so are the workspace and what it serves.
    for there, here in {
        "https://my-workspace.cloud.databricks.com": workspace.url,
        "/home/me/project": str(folder.parent),
        "system.ai.llama": "system.ai.fake",
    }.items():
        told = [line.replace(there, here) for line in told]
    varying = re.compile(r"(dbrun|extras): .*|[\d.,]+ (GB|MB|s)\b")
    assert [varying.sub(r"\1", line) for line in said.splitlines()] == [
        varying.sub(r"\1", line) for line in told
    ]


def test_the_way_to_a_scheduled_job_can_be_gone(
    tmp_path: Path, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command of the walk-through, as they stand in the manual."""
    for name in [name for name in os.environ if name.startswith(("DATABRICKS_", "DBRUN_"))]:
        monkeypatch.delenv(name)
    programs = {
        "dbrun": "-m dbrun",
        "databricks": str(ROOT / "tests" / "fakes" / "databricks_cli.py"),
    }
    for name, words in programs.items():
        program = tmp_path / "programs" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        program.chmod(0o755)
    script = "".join(text for _, text in blocks("bash", "docs/databricks.md"))
    for name, value in workspace.environ.items():
        script = re.sub(rf"^export {name}=.*$", f"export {name}={value}", script, flags=re.M)
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=tmp_path,
        env={
            "PATH": f"{tmp_path}/programs:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(tmp_path),
            "DEPLOYED": str(tmp_path / "workspace"),
            "VOLUMES": str(tmp_path / "volumes"),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    here = tmp_path / "demo" / "out" / "tickets.jsonl"
    there = tmp_path / "volumes" / "main" / "default" / "dbrun" / "tickets" / "2026-11-22.jsonl"
    assert here.read_bytes() == there.read_bytes()
    assert len(here.read_text().splitlines()) == 10
    assert len(workspace.calls) == 20


# --- completeness -------------------------------------------------------------------------------


def commands() -> list[str]:
    return [name for table in COMMANDS.values() for name in table]


@pytest.mark.parametrize("command", commands())
def test_the_readme_lists_every_command(command: str) -> None:
    assert re.search(rf"^\| `dbrun {command}\b", text_of("README.md"), re.MULTILINE)


def test_every_command_that_the_manual_names_exists() -> None:
    for page in PAGES:
        typed = [text for _, text in blocks("", page)] + re.findall(r"`[^`]+`", text_of(page))
        for word in re.findall(r"^`?dbrun ([a-z]+)(?=[ `|]|$)", "\n".join(typed), re.MULTILINE):
            assert word in commands(), f"{page}: dbrun {word}"


@pytest.mark.parametrize("name", ["run", "journal", "doctor", "test"])
def test_the_manual_lists_every_option(name: str) -> None:
    command = make_group().get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    running = text_of("docs/running.md") + text_of("docs/testing.md")
    for parameter in command.params:
        for option in parameter.opts:
            if option.startswith("--") and option not in ("--verbose", "--engine", "--help"):
                assert f"`{option}" in running or f" {option} " in running, option


@pytest.mark.parametrize("page", ["README.md", "docs/running.md"])
def test_every_exit_code_is_explained(page: str) -> None:
    told = set(re.findall(r"^\| (\d+)(?:, (\d+))? \|", text_of(page), re.MULTILINE))
    codes = {int(code) for pair in told for code in pair if code}
    declared = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}

    assert codes == declared | {130, 143}


def properties(schema: Any) -> Iterator[str]:
    """The names of all properties in *schema*, its own mappings' included."""
    for name, inner in (schema.get("properties") or {}).items():
        yield name
        if isinstance(inner, dict):
            yield from properties(inner)


def pipeline_schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(text_of("schemas/pipeline.schema.json"))
    return schema


@pytest.mark.parametrize("name", sorted(pipeline_schema()["properties"]))
def test_every_key_of_a_spec_is_in_its_table(name: str) -> None:
    spec = text_of("docs/spec.md")
    assert re.search(rf"^\|.*`{name}`", spec, re.MULTILINE) or f"`{name}`" in spec.split("##")[2]


@pytest.mark.parametrize(
    ("part", "page", "yet_to_come"),
    [
        ("source", "docs/spec.md", {"table", "query", "warehouse_id", "version", "timestamp"}),
        ("step", "docs/spec.md", set()),
        ("limits", "docs/running.md", set()),
        (
            "sink",
            "docs/running.md",
            {"table", "warehouse_id", "mode", "key", "where", "columns", "errors"},
        ),
        ("endpoint_mapping", "docs/adapters.md", set()),
    ],
)
def test_every_key_below_is_explained(part: str, page: str, yet_to_come: set[str]) -> None:
    text = text_of(page)
    for name in set(properties(pipeline_schema()["$defs"][part])) - yet_to_come:
        assert re.search(rf"[`{{ ,]{name}[`}},:=]", text), f"{part}.{name} is not in {page}"


@pytest.mark.parametrize("adapter", Registry(entry_points=False).names("adapters"))
def test_every_adapter_and_its_options_are_explained(adapter: str) -> None:
    text = text_of("docs/adapters.md") + text_of("docs/databricks.md")
    options = Registry().get("adapters", adapter).options["properties"]

    assert f"\n## {adapter}\n" in text
    for name in options:
        assert re.search(rf"[`{{ ,]{name}[`}},:]", text), f"{adapter}.{name}"


@pytest.mark.parametrize("kind", ["sources", "sinks"])
def test_every_format_is_named(kind: str) -> None:
    text = text_of("docs/spec.md") + text_of("docs/running.md")
    for name in Registry(entry_points=False).names(kind):
        # `stream` is what `--out -` writes to; it cannot be named in a spec.
        assert f"`{name}`" in text or name == "stream", name


@pytest.mark.parametrize("name", Registry(entry_points=False).names("scores"))
def test_every_score_and_its_options_are_explained(name: str) -> None:
    text = text_of("docs/experiments.md")
    options = Registry().get("scores", name).options["properties"]

    (line,) = re.findall(rf"^\| `{name}` .*$", text, re.MULTILINE)
    for option in options:
        assert re.search(rf"[`{{ ,]{option}[`}},:]", line), f"{name}.{option}"


def test_every_error_class_is_named() -> None:
    def kinds(of: type[errors.RowError]) -> Iterator[str]:
        for child in of.__subclasses__():
            yield child.kind
            yield from kinds(child)

    running = text_of("docs/running.md")
    assert [kind for kind in set(kinds(errors.RowError)) if f"`{kind}`" not in running] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", text_of(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert anchor in slugs, target


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    for page in PAGES:
        named_here = re.findall(r"(?:`|^)make ([a-z]+)", text_of(page), re.MULTILINE)
        assert set(named_here) <= targets, page
