"""The files of a new project."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from dbrun import __version__
from dbrun.deploy import project
from dbrun.deploy.project import project_files, requirement, write_new
from dbrun.errors import RunError, UserError
from dbrun.spec.schema import read_schema

PLAIN = project_files("demo", "dbrun==1", bundle=False)
BUNDLE = project_files("demo", "dbrun==1", bundle=True)


def test_a_bundle_has_more() -> None:
    assert BUNDLE.keys() - PLAIN.keys() == {"databricks.yml"}
    assert PLAIN.keys() - BUNDLE.keys() == set()
    changed = {path for path in PLAIN if PLAIN[path] != BUNDLE[path]}
    assert changed == {
        ".github/workflows/dbrun.yml",
        ".gitignore",
        ".pre-commit-config.yaml",
        "README.md",
        "pipelines/tickets.yaml",
        "requirements.txt",
    }


@pytest.mark.parametrize("files", [PLAIN, BUNDLE], ids=["plain", "bundle"])
def test_nothing_of_the_templates_is_left(files: dict[str, str]) -> None:
    for path, text in files.items():
        assert "#bundle" not in text, path
        assert "@NAME@" not in text, path
        assert "@REQUIREMENT@" not in text, path
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
        assert not any(line.endswith(" ") for line in text.splitlines()), path


@pytest.mark.parametrize("files", [PLAIN, BUNDLE], ids=["plain", "bundle"])
def test_every_file_is_what_its_name_says(files: dict[str, str]) -> None:
    for path, text in files.items():
        if path.endswith((".yaml", ".yml")):
            yaml.safe_load(text)
        elif path.endswith(".json"):
            json.loads(text)
        elif path.endswith(".jsonl"):
            ids = [json.loads(line)["id"] for line in text.splitlines()]
            assert len(set(ids)) == 10
        elif path.endswith(".py"):
            compile(text, path, "exec")
    assert json.loads(files["schemas/pipeline.schema.json"]) == read_schema()
    assert files["requirements.txt"].splitlines()[-1] == "dbrun==1"


@pytest.mark.parametrize(
    ("folder", "name"),
    [("demo", "demo"), ("My prompts (2)", "My-prompts-2"), ("…", "prompts"), ("a_b-c", "a_b-c")],
)
def test_the_name_is_one_that_bundles_take(folder: str, name: str) -> None:
    files = project_files(folder, "dbrun==1", bundle=True)
    assert yaml.safe_load(files["databricks.yml"])["bundle"] == {"name": name}
    assert f'name = "{name}"' in files["pyproject.toml"]


def test_files_that_are_there_are_kept(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    files = {"README.md": "theirs", "dangling": "x", "a/b/c.txt": "new\n"}
    assert write_new(str(tmp_path), files) == (["a/b/c.txt"], ["README.md", "dangling"])
    assert (tmp_path / "README.md").read_text() == "mine"
    assert not (tmp_path / "nothing").exists()
    assert (tmp_path / "a/b/c.txt").read_text() == "new\n"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(UserError, match="x is a file; name a folder"):
        write_new(str(tmp_path / "x"), {"a": ""})


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "pipelines").touch()
    with pytest.raises(RunError, match=r"pipelines/a\.yaml cannot be written"):
        write_new(str(tmp_path), {"pipelines/a.yaml": ""})


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (None, f"dbrun=={__version__}"),
        ("{}", f"dbrun=={__version__}"),
        ("no JSON", f"dbrun=={__version__}"),
        ('{"url": "file:///a/b", "dir_info": {}}', "dbrun @ file:///a/b"),
        (
            '{"url": "https://example.com/dbrun", "vcs_info": {"vcs": "git", "commit_id": "abc"}}',
            "dbrun @ git+https://example.com/dbrun@abc",
        ),
        (
            '{"url": "https://example.com/dbrun-1-py3-none-any.whl", "archive_info": {}}',
            "dbrun @ https://example.com/dbrun-1-py3-none-any.whl",
        ),
    ],
)
def test_where_dbrun_comes_from(
    told: str | None, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = SimpleNamespace(read_text=lambda name: told)
    monkeypatch.setattr(project.metadata, "distribution", lambda name: installed)
    assert requirement() == line


def test_a_checkout_that_is_not_installed_goes_by_its_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(project.metadata, "distribution", missing)
    assert requirement() == f"dbrun=={__version__}"
