"""The example pipelines: valid, complete, and true to what they say, on a copy of the folder."""

from __future__ import annotations

import doctest
import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from fakes.models import Endpoint, standard_endpoints
from fakes.workspace import FakeWorkspace

import dbrun
from dbrun.cli.main import main

ROOT = Path(__file__).parent.parent
SPECS = sorted(path.name for path in (ROOT / "pipelines").glob("*.yaml"))
TWO_TARGETS = [name for name in SPECS if name != "function.yaml"]
FIRST_LINE = "# yaml-language-server: $schema=../schemas/pipeline.schema.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of `pipelines/` in a project of its own."""
    (tmp_path / "pyproject.toml").touch()
    return Path(shutil.copytree(ROOT / "pipelines", tmp_path / "pipelines"))


@pytest.fixture
def workspace() -> Iterator[FakeWorkspace]:
    """A workspace that has the endpoints which the examples name."""
    with FakeWorkspace() as fake:
        known = standard_endpoints()
        fake.endpoints["databricks-meta-llama-3-3-70b-instruct"] = known["chat"]
        fake.endpoints["my-custom-model"] = Endpoint(kind="custom")
        yield fake


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", SPECS)
def test_example_satisfies_the_schema_that_its_first_line_names(name: str) -> None:
    text = (ROOT / "pipelines" / name).read_text(encoding="utf-8")
    schema = json.loads((ROOT / "schemas/pipeline.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(text))

    assert text.splitlines()[0] == FIRST_LINE


@pytest.mark.parametrize("target", ["local", "prod"])
@pytest.mark.parametrize("name", TWO_TARGETS)
def test_example_loads_without_warnings_for_either_target(name: str, target: str) -> None:
    problems, warnings = dbrun.validate(ROOT / "pipelines" / name, target=target, environ={})
    assert problems == []
    assert warnings == []


@pytest.mark.parametrize("name", SPECS)
def test_results_of_the_examples_lie_together_outside_the_tree_under_review(name: str) -> None:
    spec = dbrun.load(ROOT / "pipelines" / name, environ={}).spec
    assert Path(spec.sink.path).parent == ROOT / "out"
    assert "out/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_the_example_functions_do_as_their_docstrings_say() -> None:
    path = ROOT / "pipelines" / "functions.py"
    spec = importlib.util.spec_from_file_location("example_functions", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    done = doctest.testmod(module)

    assert done.attempted >= 3
    assert done.failed == 0


def test_the_example_rows_name_their_source_and_licence_beside_them() -> None:
    rows = rows_of(ROOT / "pipelines/data/addresses.jsonl")
    about = (ROOT / "pipelines/data/README.md").read_text(encoding="utf-8")

    assert len({row["id"] for row in rows}) == len(rows) == 10
    assert all(set(row) == {"id", "year", "speaker", "text"} for row in rows)
    assert "addresses.jsonl" in about
    assert "public domain" in about.lower()


@pytest.mark.parametrize("name", TWO_TARGETS)
def test_on_databricks_every_row_of_every_example_is_answered(
    folder: Path, workspace: FakeWorkspace, name: str
) -> None:
    run = dbrun.load(folder / name, target="prod", environ=workspace.environ).run(
        environ=workspace.environ
    )
    records = list(run.results)

    assert run.exit_code == 0, run.first_failures
    assert len(records) in (5, 10)
    assert {record["status"] for record in records} == {"ok"}


def test_a_custom_model_is_sent_the_prompt_and_the_stop_strings(
    folder: Path, workspace: FakeWorkspace
) -> None:
    pipeline = dbrun.load(folder / "custom_model.yaml", target="prod", environ=workspace.environ)
    pipeline.run(environ=workspace.environ)
    (call,) = workspace.calls
    sent = json.loads(call.body)["dataframe_split"]

    assert {"prompt", "stop"} <= set(sent["columns"])
    assert len(sent["data"]) == 5


def test_a_function_can_stand_in_for_a_model(folder: Path) -> None:
    run = dbrun.load(folder / "function.yaml", environ={}).run(environ={})
    first = next(iter(run.results))

    assert run.exit_code == 0
    assert first["output"].startswith("James K. Polk, 1847: During the past year")


@pytest.mark.local_model
def test_the_quick_start_gives_equal_bytes_and_pays_once(folder: Path) -> None:
    def summarize() -> tuple[bytes, dict[str, Any]]:
        pipeline = dbrun.load(folder / "summarize.yaml", overrides=["source.limit=1"], environ={})
        run = pipeline.run(environ={})
        assert run.exit_code == 0, run.first_failures
        assert run.path is not None
        return Path(run.path).read_bytes(), dict(run.manifest["requests"])

    fresh, asked = summarize()
    again, reused = summarize()
    shutil.rmtree(folder.parent / "out")
    anew, _ = summarize()

    assert (asked["sent"], asked["reused"]) == (1, 0)
    assert (reused["sent"], reused["reused"]) == (0, 1)
    assert fresh == again == anew
    for line in fresh.decode().splitlines():
        assert 20 < len(json.loads(line)["output"]) < 250


@pytest.mark.parametrize("target", ["local", "prod"])
@pytest.mark.parametrize("name", SPECS)
def test_example_passes_its_own_tests(
    name: str, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = ["--target", target] if name in TWO_TARGETS else []
    assert main(["test", str(ROOT / "pipelines" / name), *chosen]) == 0
    assert " passed in " in capsys.readouterr().out
