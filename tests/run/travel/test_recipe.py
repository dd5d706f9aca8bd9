"""A pipeline on its way: what goes with it, and where it is put."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

import dbrun
from dbrun.errors import SinkError
from dbrun.run.travel.recipe import Recipe, is_picklable, packed, unpacked

SPEC = """\
name: shout
source: {rows: [{text: one}]}
endpoint: {adapter: python, function: "functions:shout"}
prompt: {file: prompts/main.j2}
transforms: {output: "more.parts:last"}
"""
FILES = {
    "pyproject.toml": "",
    "shout.yaml": SPEC,
    "functions.py": "import json\nimport helper\n\ndef shout(prompt): return helper.up(prompt)\n",
    "helper.py": "def up(text):\n    from deeper import way\n    return way(text)\n",
    "deeper.py": "def way(text):\n    return text.upper()\n",
    "idle.py": "raise RuntimeError('nobody imports this')\n",
    "more/__init__.py": "",
    "more/parts.py": "from . import ends\n\ndef last(text):\n    return text + ends.END\n",
    "more/ends.py": "END = '!'\n",
    "prompts/main.j2": "{% include 'prompts/part.j2' %} {{ text }}",
    "prompts/part.j2": "say",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DBRUN_SPOOL", str(tmp_path / "spool"))
    home = tmp_path / "home"
    for name, text in FILES.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    return home


def recipe_of(home: Path) -> Recipe:
    pipeline = dbrun.load(home / "shout.yaml", environ={})
    return packed(pipeline, {"prompts/part.j2": "say"})


def test_what_is_imported_beside_the_spec_goes_with_it(home: Path) -> None:
    carried = {os.path.relpath(path, home) for path in recipe_of(home).files}
    assert carried >= {"functions.py", "helper.py", "deeper.py", "more/parts.py", "more/ends.py"}
    assert "prompts/part.j2" in carried
    assert "idle.py" not in carried
    assert not any("json" in name for name in carried)


def test_it_runs_where_home_is_not(home: Path) -> None:
    recipe = recipe_of(home)
    assert is_picklable(recipe)
    sent = pickle.dumps(recipe)
    home.rename(home.parent / "gone")
    pipeline = unpacked(pickle.loads(sent))
    assert pipeline.process({"text": "one"}, environ={})["output"] == "SAY ONE!"
    assert str(home) != pipeline.spec.folder
    assert pipeline.spec.folder.endswith(str(home))


def test_the_same_recipe_is_put_there_once(home: Path) -> None:
    recipe = recipe_of(home)
    first, again = unpacked(recipe), unpacked(recipe)
    assert first.spec.folder == again.spec.folder
    path = first.spec.folder + "/helper.py"
    Path(path).write_text("spoilt")
    assert Path(unpacked(recipe).spec.folder, "helper.py").read_text() == FILES["helper.py"]


def test_another_text_makes_another_recipe(home: Path) -> None:
    recipe = recipe_of(home)
    (home / "deeper.py").write_text("def way(text):\n    return text\n")
    assert recipe_of(home).digest != recipe.digest
    assert replace(recipe, files=dict(reversed(recipe.files.items()))).digest == recipe.digest


def test_a_disk_that_refuses_is_told_with_a_mend(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(home)
    (tmp_path / "file").touch()
    monkeypatch.setenv("DBRUN_SPOOL", str(tmp_path / "file"))
    with pytest.raises(SinkError, match=r"functions of the spec cannot be put there.*DBRUN_SPOOL"):
        unpacked(recipe)


def test_what_cannot_be_pickled_is_found_out_before(home: Path) -> None:
    recipe = recipe_of(home)
    assert not is_picklable(replace(recipe, files={"x": lambda: None}))  # type: ignore[dict-item]
