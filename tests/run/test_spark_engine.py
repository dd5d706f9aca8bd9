"""The Spark engine, all but Spark: the results of the local engine, and no request twice."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.sparkless import ThreadSession, sparkless
from fakes.workspace import FakeWorkspace

import dbrun
from dbrun.errors import AuthError, Interrupted, RunError, TooManyFailures, UserError
from dbrun.run.engines.local import conduct
from dbrun.run.engines.spark_session import Job, in_words
from dbrun.run.engines.spark_tasks import Order
from dbrun.run.opening import Surroundings
from dbrun.run.options import RunOptions
from dbrun.run.result import Run
from dbrun.run.rows.items import Selection
from dbrun.run.travel.recipe import packed
from dbrun.spec.model import JournalSpec

SPEC = """\
name: shout
source: {path: rows.jsonl, id: id}
endpoint: {adapter: python, function: "functions:shout"}
prompt: "{{ text }}"
sink: out/shout.jsonl
engine: {type: spark, partitions: 3}
"""
ENDPOINT = '{adapter: python, function: "functions:shout"}'
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
JUDGES = """\
scores:
  - type: judge
    name: j
    endpoint: {{adapter: python, function: "functions:judge"}}
    prompt: "{of}"
    value: points
"""
FUNCTIONS = """\
import helper

def shout(prompt):
    with open({calls!r}, "a") as stream:
        stream.write(prompt + "\\n")
    if prompt == "text 20":  # of one row only
        raise ValueError("no")
    return helper.upper(prompt)

def judge(prompt):
    with open({calls!r}, "a") as stream:
        stream.write(prompt + "\\n")
    if prompt == "length of TEXT 19":
        raise ValueError("no")
    return {{"points": len(prompt)}}

def asked(prompt, row):
    return {{"prompt": prompt + row["text"][-1]}}

def asked_loudly(prompt, row):
    return {{"prompt": prompt + row["text"][-1] + "!"}}

def twice(row):
    if row["text"] == "text 1":
        return None
    return [row, {{**row, "text": row["text"] + "!"}}] if row["text"] == "text 2" else row
"""

ENDINGS = (".jsonl", ".csv")


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
    def manifest(self) -> dict[str, Any]:
        """That of a run that did not finish."""
        return dict(json.loads((self.folder / "out/shout.run.json.partial").read_text()))

    @property
    def results(self) -> bytes:
        (path,) = (path for path in (self.folder / "out").glob("shout.*") if path.suffix in ENDINGS)
        return path.read_bytes()

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
    "a judge": SPEC + JUDGES.format(of="{{ output[:6] }}"),
    "a judge that fails": SPEC + JUDGES.format(of="length of {{ output }}"),
    "a judge after steps": STEPS + JUDGES.format(of="{{ output[:1] }}"),
    "two judges, repeats": SPEC
    + "repeats: 2\n"
    + JUDGES.format(of="{{ output[-1] }}")
    + JUDGES.format(of="{{ output[:5] }}").replace("scores:\n", "").replace("name: j", "name: k"),
    "a matrix with a judge of one of its endpoints": SPEC
    + JUDGES.format(of="{{ output[:5] }}")
    + "matrix: {prompt: ['{{ text }}', '{{ text }}?']}\n",
    "scores": SPEC + "scores: [{type: contains, name: five, expected: '5'}]\n",
    "matrix": SPEC + "matrix: {prompt: ['{{ text }}', '{{ text }}?', '{{ id[:1] }}']}\n",
    "matrix of functions, scores and repeats": SPEC
    + "matrix: {transforms.input: ['functions:asked', 'functions:asked_loudly']}\n"
    + "scores: [{type: contains, name: five, expected: '5'}]\nrepeats: 2\n",
    "matrix of steps": STEPS
    + "matrix:\n  steps:\n"
    + "  - {name: three, value: [{name: first, prompt: '{{ text }} more'}]}\n"
    + "  - {name: other, value: [{name: third, prompt: '{{ steps.first.output }} again'}]}\n",
    "matrix of different numbers of steps": SPEC
    + "matrix:\n  steps:\n"
    + "  - {name: one, value: [{name: a, prompt: '{{ text }}'}]}\n"
    + "  - {name: two, value: [{name: a, prompt: '{{ text }}!'},"
    + " {name: b, prompt: '{{ steps.a.output }} b'}]}\n",
    "csv": SPEC.replace("shout.jsonl", "shout.csv"),
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
    for part in ("counts", "requests", "tokens", "scores"):
        assert run.manifest.get(part) == local.manifest.get(part), part


def test_variants_are_timed(project: Project) -> None:
    text = SPEC + "matrix: {prompt: ['{{ text }}', '{{ text }}?']}\n"
    run = project.run(text + "gates: {success: {min: 0}, latency_p90: {max: 60}}\n")
    assert run.exit_code == 0
    for told in run.manifest["variants"].values():
        assert set(told["latency"]) == {"p50", "p90", "p99"}


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


def test_results_that_nothing_has_changed_for_are_left_alone(project: Project) -> None:
    project.rows(10, texts=5)
    first, again = project.run(), project.run()
    assert (first.unchanged, again.unchanged) == (False, True)
    assert again.manifest["requests"]["reused"] == 10
    assert project.calls().total() == 5


def test_a_replay_needs_no_spark(project: Project) -> None:
    (project.folder / "functions.py").write_text("def shout(prompt):\n    return prompt.upper()\n")
    project.run()
    before = project.results
    replay = project.spec(SPEC).run(replay=True, environ={})
    assert replay.exit_code == 0
    assert project.results == before


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


def test_a_pipeline_that_travelled_needs_nothing_from_home(project: Project) -> None:
    """Pickled, sent to a fresh interpreter, with the folder gone; the key is that of home."""
    spec = project.spec(SPEC)
    local = next(iter(spec.stream([{"id": "r1", "text": "one"}], environ={})))
    home = str(project.folder / "out/journal")
    recipe = packed(replace(spec, spec=replace(spec.spec, journal=JournalSpec(path=home))), {})
    sent = project.folder.parent / "recipe"
    sent.write_bytes(pickle.dumps(recipe))
    for name in ("functions.py", "helper.py", "spec.yaml"):
        (project.folder / name).unlink()
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(sent)], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == local


ELSEWHERE = """
import pickle, sys
from dbrun.run.rows.items import Item
from dbrun.run.travel.parcels import packed
from dbrun.run.travel.partition import Share, run_partition
from dbrun.run.travel.recipe import unpacked

recipe = pickle.load(open(sys.argv[1], "rb"))
item = Item(id="r1", index=0, values={"id": "r1", "text": "one"})
frames = run_partition(unpacked(recipe), Share(), [{"item": [packed(item)]}])
for frame in frames:
    for line in frame["result"]:
        print(line, end="")
"""


def test_credentials_reach_partitions_and_no_file(project: Project) -> None:
    with FakeWorkspace() as workspace:
        spec = project.spec(SPEC.replace(ENDPOINT, "{adapter: databricks, name: chat, task: chat}"))
        session = ThreadSession()
        run = conduct(sparkless(session), spec.spec, RunOptions(), around(workspace.environ))
        assert run.manifest["counts"]["ok"] == 40
        assert len(workspace.calls) == 25
        assert dict(session.orders[0].environ) == workspace.environ
        assert workspace.token not in repr(session.orders)
        for path in project.folder.rglob("*"):
            assert path.is_dir() or workspace.token.encode() not in path.read_bytes()


def test_what_is_missing_on_the_workers_is_said_before_anything_is_sent(project: Project) -> None:
    with pytest.raises(UserError, match=r"the driver has dbrun .* and Spark's workers have"):
        project.run(session=Elsewhere(version="0.0.1"))
    with pytest.raises(UserError, match=r"the driver runs Python 3.1 and Spark's workers Python"):
        project.run(session=Elsewhere(python="3.1"))
    with pytest.raises(UserError, match=r"cannot use the journal's folder .*set journal.path to"):
        project.run(session=Elsewhere(folder=str(project.folder / "other/spark-1")))
    assert not project.calls()


class Elsewhere(ThreadSession):
    """Workers that are not like the driver."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self._changes = changes

    def start(self, do: Any, order: Order, parts: int) -> Job:
        return super().start(do, replace(order, **self._changes), parts)


def test_trouble_with_every_row_ends_all_partitions(project: Project) -> None:
    with FakeWorkspace() as workspace:
        spec = project.spec(SPEC.replace(ENDPOINT, "{adapter: databricks, name: chat, task: chat}"))
        workspace.tokens.clear()
        with pytest.raises(AuthError):
            conduct(sparkless(ThreadSession()), spec.spec, RunOptions(), around(workspace.environ))
    assert not (project.folder / "out/shout.jsonl").exists()


def test_an_interrupt_reaches_partitions_and_the_same_command_continues(
    project: Project,
) -> None:
    project.rows(400, texts=400)
    slow = SPEC + "limits: {concurrency: 3}\n"
    spec = project.spec(slow).spec

    class Stopped(sparkless(ThreadSession())):  # type: ignore[misc]
        def _look_at_live(self, exchange: Any, parts: Any, total: int) -> None:
            super()._look_at_live(exchange, parts, total)
            self._interrupt(Interrupted("interrupted by a test"))

    (project.folder / "functions.py").write_text(
        FUNCTIONS.format(calls=str(project.calls_file)).replace(
            "def shout(prompt):", "def shout(prompt):\n    __import__('time').sleep(0.02)"
        )
    )
    with pytest.raises(Interrupted, match="by a test"):
        conduct(Stopped, spec, RunOptions(), around())
    first = project.calls()
    assert 0 < first.total() < 400
    assert project.manifest["status"] == "interrupted"
    assert project.manifest["requests"]["sent"] == first.total()
    project.run(slow)
    again = project.calls()
    assert set(first) & set(again) <= {"text 20"}  # which fails, and so is asked again
    assert len(set(first) | set(again)) == 400


def test_failures_over_all_partitions_are_counted(project: Project) -> None:
    text = SPEC.replace("endpoint:", "limits: {max_failures: 0}\nendpoint:")
    with pytest.raises(TooManyFailures, match=r"1 of \d+ rows failed"):
        project.run(text)


@pytest.mark.parametrize(
    ("said", "kind", "means"),
    [
        ("ModuleNotFoundError: No module named 'dbrun'", UserError, "no module 'dbrun'"),
        ("x: Python worker exited unexpectedly (crashed)", RunError, "lost more often than"),
        ("a\n  File x\nValueError: bad\n SQLSTATE: 38000", RunError, "ValueError: bad"),
        ("", RunError, "no reason given"),
    ],
)
def test_what_spark_says_in_plain_words(said: str, kind: type[Exception], means: str) -> None:
    error = in_words(Exception(said))
    assert type(error) is kind
    assert means in str(error)
