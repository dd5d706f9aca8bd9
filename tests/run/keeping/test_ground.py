"""Results are left alone where spec, rows and answers are what they were made from; only there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dbrun
from dbrun.run.keeping.ground import names_files
from dbrun.run.result import Run

SPEC = """\
name: echo
vars: {tone: "${TONE}"}
source: {path: "rows/*.jsonl", id: id}
endpoint: {adapter: python, function: "model:answer"}
prompt: {file: prompt.j2}
sink: out.jsonl
journal: {path: answers}
"""
HELPERS = """\
def answer(prompt):
    if "bad" in prompt:
        raise RuntimeError("bad")
    return prompt.upper()

def shout(text):
    return text + "!"

def long(record):
    return len(record["output"]) > 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with three rows in two files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TONE", "plain")
    write("pyproject.toml", "")
    write("rows/1.jsonl", '{"id": "a", "text": "one"}\n{"id": "b", "text": "two"}\n')
    write("rows/2.jsonl", '{"id": "c", "text": "three"}\n')
    write("prompt.j2", "{{ vars.tone }}: {{ text }}")
    write("model.py", HELPERS)
    write("spec.yaml", SPEC)
    return tmp_path


def write(name: str, text: str) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(text)


def edit(name: str, old: str, new: str) -> None:
    text = Path(name).read_text()
    assert old in text
    Path(name).write_text(text.replace(old, new))


def run(**options: Any) -> Run:
    return dbrun.load("spec.yaml", overrides=options.pop("overrides", ())).run(**options)


def files() -> dict[str, bytes]:
    """All that a run has written."""
    written = [*Path("answers").rglob("*"), *Path(".").glob("out*")]
    return {str(path): path.read_bytes() for path in written if path.is_file()}


def test_the_same_command_again_changes_no_byte(folder: Path) -> None:
    first = run()
    before = files()
    again = run()
    assert (first.unchanged, again.unchanged) == (False, True)
    assert files() == before
    assert (again.exit_code, list(again.results)) == (0, list(first.results))
    assert again.manifest["counts"] == first.manifest["counts"]
    assert again.manifest["requests"]["sent"] == 0
    assert again.manifest["requests"]["reused"] == 3
    assert [(one.name, one.value, one.met) for one in again.verdicts] == [("success", 1.0, True)]


CHANGES: dict[str, Callable[[], object]] = {
    "a prompt's file": lambda: edit("prompt.j2", "text", "id"),
    "a row": lambda: edit("rows/2.jsonl", "three", "four"),
    "another row": lambda: write("rows/3.jsonl", '{"id": "d", "text": "x"}\n'),
    "a row less": lambda: os.remove("rows/2.jsonl"),
    "the files' names": lambda: os.rename("rows/1.jsonl", "rows/9.jsonl"),
    "the environment": lambda: os.environ.__setitem__("TONE", "loud"),
    "a field of the records": lambda: edit(
        "spec.yaml", "out.jsonl", "{path: out.jsonl, add: [text]}"
    ),
    "a score": lambda: edit("spec.yaml", "sink:", "scores: [{type: length, min: 1}]\nsink:"),
    "the model": lambda: edit("model.py", "upper", "lower"),
    "the journal is gone": lambda: shutil.rmtree("answers"),
    "an answer is gone": lambda: write("answers/answers.jsonl", ""),
    "a damaged answer": lambda: edit("answers/answers.jsonl", "ONE", "O"),
    "answers beside": lambda: shutil.copy("answers/answers.jsonl", "answers/x.jsonl"),
    "the results are gone": lambda: os.remove("out.jsonl"),
    "the results": lambda: edit("out.jsonl", "ONE", "TWO"),
    "the manifest is gone": lambda: os.remove("out.run.json"),
    "the manifest": lambda: edit("out.run.json", '"rows": 3', '"rows": 4'),
    "a run left unfinished": lambda: shutil.copy("out.run.json", "out.run.json.partial"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_has_changed_all_rows_are_looked_at(folder: Path, change: str) -> None:
    run()
    assert run().unchanged
    CHANGES[change]()
    seen = run()
    assert not seen.unchanged
    beside = Path("beside.jsonl")
    # What a run gives that has never seen the results is what is there now.
    assert run(out=str(beside)).exit_code == 0
    assert beside.read_bytes() == Path("out.jsonl").read_bytes()
    os.environ["TONE"] = "plain"


def test_the_next_run_finds_them_as_they_are_now(folder: Path) -> None:
    run()
    edit("rows/1.jsonl", "two", "zwei")
    assert [run().unchanged, run().unchanged] == [False, True]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("rows/1.jsonl", '{"id": "a", "text": "changed"}'),
        ("rows/3.jsonl", '{"id": "d", "text": "more"}'),
        ("rows/3.jsonl", ""),
    ],
    ids=["a row", "another row", "an empty file"],
)
def test_rows_that_change_while_they_are_worked_on_are_looked_at_again(
    folder: Path, file: str, text: str
) -> None:
    """Results stand on the rows as they were read, not as they were left."""
    meddling = f"""\
def answer(prompt):
    with open({file!r}, "w") as rows:
        rows.write({text!r})
    return prompt
"""
    write("model.py", meddling)
    assert [record["id"] for record in run().results] == ["a", "b", "c"]
    assert [run().unchanged, run().unchanged] == [False, True]


@pytest.mark.parametrize("options", [{"limit": 2}, {"fresh": True}, {"only_errors": True}])
def test_whoever_asks_for_something_gets_it(folder: Path, options: dict[str, Any]) -> None:
    run()
    assert not run(**options).unchanged


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        ("sink:", 'transforms: {output: "model:shout"}\nsink:'),
        ("sink:", 'transforms: {row: "model:shout"}\nsink:'),
        ("sink:", 'scores: [{type: python, function: "model:long"}]\nsink:'),
        ("sink:", 'templates: {filters: {shout: "model:shout"}}\nsink:'),
        ("sink:", "gates: {latency_p90: {max: 60}}\nsink:"),
        ("{file: prompt.j2}", '"{% include \\"prompt.j2\\" %}"'),
    ],
)
def test_what_may_read_anything_is_never_left_alone(folder: Path, part: str, changed: str) -> None:
    edit("spec.yaml", part, changed)
    assert [run().unchanged for _ in range(2)] == [False, False]


@pytest.mark.parametrize(
    ("prompt", "may"),
    [
        ("prompt: {file: prompt.j2}", False),
        ("messages: [{role: user, content: [{text: x}]}]", False),
        ("messages: [{role: user, content: [{text: x}, {image: '{{ id }}.png'}]}]", True),
        ("messages: {column: text}", True),
    ],
)
def test_rows_may_name_files_to_be_sent(folder: Path, prompt: str, may: bool) -> None:
    edit("spec.yaml", "prompt: {file: prompt.j2}", prompt)
    (step,) = dbrun.load("spec.yaml").spec.steps
    assert names_files(step) is may


def test_rows_that_failed_are_tried_again(folder: Path) -> None:
    edit("rows/1.jsonl", "two", "bad")
    assert [run().unchanged for _ in range(2)] == [False, False]


def test_rows_handed_over_are_not_those_of_the_source(folder: Path) -> None:
    run()
    assert not run(rows=[{"id": "a", "text": "one"}]).unchanged


def test_a_matrix_is_judged_as_before(folder: Path) -> None:
    matrix = "matrix: {vars.tone: [plain, loud]}\ngates: {success: {min: 0.5}, rows: {min: 3}}\n"
    write("spec.yaml", SPEC + matrix)
    first, again = run(), run()
    assert again.unchanged
    assert again.verdicts == first.verdicts
    assert len(again.verdicts) == 4
