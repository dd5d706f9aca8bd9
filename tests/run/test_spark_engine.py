"""The Spark engine, all but Spark: the results of the local engine, and no request twice."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from fakes.sparkless import ThreadSession, sparkless

import dbrun
from dbrun.errors import UserError
from dbrun.run.engines.local import conduct
from dbrun.run.items import Selection
from dbrun.run.opening import Surroundings
from dbrun.run.options import RunOptions
from dbrun.run.result import Run

SPEC = """\
name: shout
source: {path: rows.jsonl, id: id}
endpoint: {adapter: python, function: "functions:shout"}
prompt: "{{ text }}"
sink: out/shout.jsonl
engine: {type: spark, partitions: 3}
"""
STEPS = """\
name: shout
source: {path: rows.jsonl, id: id}
endpoint: {adapter: python, function: "functions:shout"}
steps:
  - {name: first, prompt: "{{ text }}"}
  - {name: second, prompt: "{{ steps.first.output[:1] }}", when: "row.text != 'text 3'"}
  - {name: third, prompt: "{{ steps.second.output }} again"}
transforms: {row: "functions:twice"}
sink: {path: out/shout.jsonl, omit: [usage]}
"""
FUNCTIONS = """\
import helper

def shout(prompt):
    with open({calls!r}, "a") as stream:
        stream.write(prompt + "\\n")
    if prompt == "text 20":  # of one row only
        raise ValueError("no")
    return helper.upper(prompt)

def asked(prompt, row):
    return {{"prompt": prompt + row["text"][-1]}}

def twice(row):
    if row["text"] == "text 1":
        return None
    return [row, {{**row, "text": row["text"] + "!"}}] if row["text"] == "text 2" else row
"""

Start = Callable[..., Run]


class Project:
    """A spec with rows and functions, and ways to run it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls_file = folder.parent / "calls"
        (folder / "pyproject.toml").touch()
        (folder / "helper.py").write_text("def upper(text):\n    return text.upper()\n")
        (folder / "functions.py").write_text(FUNCTIONS.format(calls=str(self.calls_file)))
        self.rows(40, texts=25)

    def rows(self, count: int, texts: int) -> None:
        """So many rows, every *texts*-th of which asks the same."""
        rows = [{"id": f"r{number}", "text": f"text {number % texts}"} for number in range(count)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (self.folder / "rows.jsonl").write_text(text)

    def spec(self, text: str) -> dbrun.Pipeline:
        (self.folder / "spec.yaml").write_text(text)
        return dbrun.load(self.folder / "spec.yaml", environ={})

    def run(self, text: str = SPEC, session: ThreadSession | None = None, **options: Any) -> Run:
        """Run on the engine, without Spark."""
        spec = self.spec(text).spec
        return conduct(sparkless(session or ThreadSession()), spec, RunOptions(**options), around())

    def calls(self) -> Counter[str]:
        """What was asked since this was last called."""
        if not self.calls_file.exists():
            return Counter()
        lines = self.calls_file.read_text().splitlines()
        self.calls_file.unlink()
        return Counter(lines)

    @property
    def results(self) -> bytes:
        return (self.folder / "out/shout.jsonl").read_bytes()

    def clear(self) -> None:
        for path in sorted((self.folder / "out").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()


def around(environ: Mapping[str, str] = os.environ) -> Surroundings:
    return Surroundings(environ=environ)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("DBRUN_SPOOL", str(tmp_path / "spool"))
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder)


VARIANTS = {
    "one step": SPEC,
    "a function has a say in the request": SPEC + "transforms: {input: 'functions:asked'}\n",
    "steps": STEPS,
    "repeats": SPEC + "repeats: 2\n",
    "no sharing": SPEC + "journal: {share: false}\n",
    "fields": SPEC.replace("out/shout.jsonl", "{path: out/shout.jsonl, add: [index, text]}"),
}


@pytest.mark.parametrize("text", VARIANTS.values(), ids=VARIANTS)
def test_results_and_requests_are_those_of_the_local_engine(project: Project, text: str) -> None:
    local = project.spec(text.replace("type: spark", "type: local")).run(environ={})
    expected, asked = project.results, project.calls()
    project.clear()

    run = project.run(text)

    assert project.results == expected
    assert project.calls() == asked
    assert run.exit_code == local.exit_code
    assert run.first_failures == local.first_failures
    for part in ("counts", "requests", "tokens"):
        assert run.manifest[part] == local.manifest[part], part


def test_nothing_is_left_behind_but_the_journal(project: Project) -> None:
    project.run()
    assert sorted(os.listdir(project.folder / "out")) == [
        "shout.jsonl",
        "shout.jsonl.journal",
        "shout.run.json",
    ]
    assert os.listdir(project.folder / "out/shout.jsonl.journal") == ["answers.jsonl"]


def test_what_is_answered_is_not_asked_again_by_either_engine(project: Project) -> None:
    project.run(selection=Selection(limit=10))
    assert project.calls().total() == 10
    pipeline = project.spec(SPEC.replace("type: spark", "type: local"))
    pipeline.run(limit=20, environ={})
    assert project.calls() == {f"text {n}": 1 for n in range(10, 20)}
    project.run()
    assert project.calls() == {f"text {n}": 1 for n in range(20, 25)}
    assert project.run(replay=True).manifest["requests"]["sent"] == 0


def test_two_workers_at_one_partition_send_nothing_twice(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    project.run(session=ThreadSession(twice=True))
    assert set(project.calls().values()) == {1}
    assert "spark.speculation is on" in caplog.text


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("journal: {mode: 'off'}\n", "journal.mode is off"),
        (
            "limits: {max_cost: 1}\n",
            "limits.max_cost is not kept by engine spark",
        ),
    ],
)
def test_what_partitions_cannot_keep_is_refused(project: Project, more: str, said: str) -> None:
    text = SPEC.replace('shout"}', 'shout", price: {input_per_million: 1}}') + more
    with pytest.raises(UserError, match=said):
        project.spec(text).run(environ={})


def test_there_are_no_more_partitions_than_limits_allow(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    session = ThreadSession()
    project.run(SPEC + "limits: {concurrency: 2}\n", session)
    assert [order.share.parts for order in session.orders] == [2, 2]
    assert "2 partitions instead of 3" in caplog.text
