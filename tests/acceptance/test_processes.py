"""Runs in several processes: the same bytes as in one, each request sent once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from acceptance.conftest import Project
from fakes.server import Received, Reply, Server, as_json

import dbrun
from dbrun.errors import UserError
from dbrun.registry import Registry

ROWS = 60
ALONE = ("--set", "limits.processes=1")
SPEC = """\
name: tickets
source: {path: rows.jsonl, id: id}
endpoint: {adapter: openai, base_url: "URL/v1", model: m}
prompt: "Summarize: {{ text }}"
sink: out/tickets.jsonl
limits: {concurrency: 8, processes: 2}
"""


class Chat:
    """A chat endpoint whose answers follow from the requests, and what it was asked."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.delay = 0.0
        self.refuses = False
        self.server = Server(self._answer)

    def _answer(self, request: Received) -> Reply:
        self.bodies.append(request.body)
        if self.refuses:
            return as_json({"error": {"message": "who are you?"}}, 401)
        asked = request.json["messages"][-1]["content"]
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        choice = {"index": 0, "message": {"content": f"re {asked}"}, "finish_reason": "stop"}
        reply = as_json({"object": "chat.completion", "choices": [choice], "usage": usage})
        reply.delay = self.delay
        return reply

    @property
    def twice(self) -> int:
        """How many requests were sent that had been sent before."""
        return len(self.bodies) - len(set(self.bodies))


@pytest.fixture
def chat(project: Project) -> Iterator[Chat]:
    made = Chat()
    made.server.start()
    project.write("tickets.yaml", SPEC.replace("URL", made.server.url))
    project.rows(ROWS)
    yield made
    made.server.close()


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """The worker processes of a run."""
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(word) for word in found.stdout.split()]


def started(project: Project, chat: Chat, *words: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A run that has had some answers, and its worker processes."""
    chat.delay = 0.1
    process = project.start("tickets.yaml", *words)
    wait_for(lambda: len(chat.bodies) >= 12, process)
    workers = workers_of(process)
    assert len(workers) == 2
    return process, workers


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        assert process is None or process.poll() is None
        time.sleep(0.01)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def in_one(project: Project, chat: Chat, *words: str) -> tuple[bytes, bytes]:
    """Results and journal of the same run in one process, in a place of its own."""
    chat.delay = 0.0
    place = ["--out", "one/tickets.jsonl", "--set", "journal.path=one.journal"]
    assert project.run("tickets.yaml", *ALONE, *place, *words).code == 0
    return project.bytes("one/tickets.jsonl"), project.bytes("one.journal/answers.jsonl")


def both(project: Project) -> tuple[bytes, bytes]:
    return project.bytes(), project.bytes("out/tickets.jsonl.journal/answers.jsonl")


FUNCTIONS = """\
def several(row):
    number = int(row["id"].partition("-")[2])
    if number % 7 == 0:
        return None
    if number % 5 == 0:
        raise ValueError("no fives")
    return [row, {**row, "text": "the same for all"}]

def shout(text):
    return text.upper()

def vowels(record):
    return sum(letter in "AEIOU" for letter in record["output"]) / len(record["output"])
"""
MORE = """\
steps:
  - name: first
    prompt: "First: {{ text }}"
    transforms: {output: "functions:shout"}
  - name: second
    when: "{{ text != 'the same for all' }}"
    prompt: "Then: {{ steps.first.output }}"
    response_schema: {schema: {type: object}, reask: 1}
repeats: 2
transforms: {row: "functions:several"}
scores:
  - {type: contains, name: said, expected: SAME}
  - {type: python, name: vowels, function: "functions:vowels"}
gates: {success: {min: 0}, said: {min: 0}}
"""


def test_what_comes_of_it_is_what_one_process_makes(project: Project, chat: Chat) -> None:
    project.write("functions.py", FUNCTIONS)
    spec = (project.folder / "tickets.yaml").read_text()
    project.write("tickets.yaml", spec.replace('prompt: "Summarize: {{ text }}"\n', MORE))
    assert project.run("tickets.yaml").code == 0
    sent, peak = len(chat.bodies), chat.server.peak_in_flight
    expected = in_one(project, chat)
    assert both(project) == expected
    assert len(chat.bodies) == 2 * sent
    told, alone = project.manifest(), project.manifest("one/tickets.run.json")
    for part in ("counts", "requests", "tokens", "scores", "status", "exit_code"):
        assert told[part] == alone[part], part
    assert told["counts"]["error"] > told["counts"]["filtered"] > 0
    assert [limit["history"] for limit in told["limits"]] == [[[0.0, 8, "start"]]]
    assert set(told["latency"]) == {"p50", "p90", "p99"}
    assert peak <= 8, "the limit holds for all processes together"


def test_what_is_there_is_not_sent_again_unless_it_is_wanted(project: Project, chat: Chat) -> None:
    assert project.run("tickets.yaml").code == 0
    files = project.files()
    assert len(chat.bodies) == ROWS
    assert project.run("tickets.yaml").code == 0
    assert project.files() == files
    assert len(chat.bodies) == ROWS
    assert project.run("tickets.yaml", "--fresh").code == 0
    assert len(chat.bodies) == 2 * ROWS
    assert project.bytes() == files["out/tickets.jsonl"]
    assert project.run("tickets.yaml", "--replay").code == 0
    assert len(chat.bodies) == 2 * ROWS


def test_equal_requests_in_flight_share_one_call(project: Project, chat: Chat) -> None:
    chat.delay = 0.2
    project.rows(ROWS, **{f"t{number}": f"{number % 3}" for number in range(ROWS)})
    assert project.run("tickets.yaml").code == 0
    assert len(chat.bodies) == 3
    requests = project.manifest()["requests"]
    assert (requests["sent"], requests["reused"]) == (3, ROWS - 3)


def test_a_worker_that_is_killed_is_replaced(project: Project, chat: Chat) -> None:
    process, workers = started(project, chat)
    os.kill(workers[0], signal.SIGKILL)
    said = project.end(process)
    assert said.code == 0, said.err
    assert f"(pid {workers[0]}) was killed by signal 9 (SIGKILL) in the middle" in said.err
    assert "another takes its place" in said.err
    assert "Traceback" not in said.err
    assert chat.twice <= 4, "only what the killed one had in flight may be sent again"
    assert both(project) == in_one(project, chat)


DEADLY = """
import os, signal
def asked(**fields):
    if "number 7" in str(fields["prompt"]):
        os.kill(os.getpid(), signal.SIGKILL)
    return fields
"""


def test_what_kills_every_worker_ends_the_run_and_loses_nothing(
    project: Project, chat: Chat
) -> None:
    project.write("deadly.py", DEADLY)
    said = project.end(project.start("tickets.yaml", "--set", "transforms.input=deadly:asked"))
    assert said.code == 3
    assert said.err.count("another takes its place") == 3
    assert "run the same command again to continue; if memory is short, lower" in said.err
    assert "Traceback" not in said.err
    answered = len(chat.bodies)
    assert project.run("tickets.yaml", *ALONE).code == 0
    assert len(chat.bodies) < answered + ROWS
    assert both(project) == in_one(project, chat)


def test_workers_do_not_outlive_the_run(project: Project, chat: Chat) -> None:
    process, workers = started(project, chat)
    process.kill()
    project.end(process)
    wait_for(lambda: not any(map(lives, workers)))
    chat.delay = 0.0
    assert project.run("tickets.yaml", *ALONE).code == 0
    assert chat.twice <= 8, "only what was in flight at the kill may be sent again"
    assert both(project) == in_one(project, chat)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_lets_what_is_in_flight_finish(
    project: Project, chat: Chat, number: int, code: int
) -> None:
    process, workers = started(project, chat)
    process.send_signal(number)
    said = project.end(process)
    assert said.code == code
    assert "run the same command again to continue" in said.err
    assert "Traceback" not in said.err
    assert not any(map(lives, workers))
    before = len(chat.bodies)
    assert before < ROWS
    assert project.manifest("out/tickets.run.json.partial")["requests"]["sent"] == before
    chat.delay = 0.0
    assert project.run("tickets.yaml", *ALONE).code == 0
    assert len(chat.bodies) == ROWS
    assert both(project) == in_one(project, chat)


@pytest.mark.parametrize("words", [("--grace", "0"), ()], ids=["no grace", "two signals"])
def test_what_takes_too_long_is_left(project: Project, chat: Chat, words: tuple[str, ...]) -> None:
    chat.delay = 30.0
    process = project.start("tickets.yaml", *words)
    wait_for(lambda: len(chat.bodies) >= 8, process)
    workers = workers_of(process)
    process.send_signal(signal.SIGINT)
    if not words:
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
    said = project.end(process)
    assert said.code == 130
    assert not any(map(lives, workers))
    assert project.manifest("out/tickets.run.json.partial")["requests"] == {
        "sent": 8,
        "reused": 0,
        "retried": 0,
        "waited": 0,
        "maybe_paid": 8,
        "by_status": {"abandoned": 8},
    }


def test_what_concerns_every_row_ends_the_run_as_in_one_process(
    project: Project, chat: Chat
) -> None:
    chat.refuses = True
    said = project.run("tickets.yaml", "--quiet")
    alone = project.run("tickets.yaml", "--quiet", *ALONE)
    assert (said.code, said.err) == (alone.code, alone.err)
    assert said.code == 3


def test_failed_rows_stop_the_run_by_their_number(project: Project, chat: Chat) -> None:
    project.write("functions.py", "def fail(text):\n    raise ValueError(text)\n")
    words = ["--set", "transforms.output=functions:fail", "--set", "limits.max_failures=2"]
    said = project.run("tickets.yaml", *words)
    assert said.code == 3
    assert "3 of 3 rows failed, more than limits.max_failures (2) allows" in said.err


def test_spend_is_capped_over_all_processes(project: Project, chat: Chat) -> None:
    price = "{input_per_million: 1000000, output_per_million: 1000000}"
    words = ["--set", f"endpoint.price={price}", "--set", "params.max_tokens=5"]
    said = project.run("tickets.yaml", *words, "--max-cost", "500")
    assert said.code == 3
    assert "limits.max_cost is reached: of 500 USD" in said.err
    sent = len(chat.bodies)
    assert 20 < sent <= 500 // 15
    assert project.run("tickets.yaml", *ALONE, *words, "--max-cost", "500").code == 3
    assert len(chat.bodies) == sent
    assert project.run("tickets.yaml", *words, "--max-cost", "2000").code == 0
    assert len(chat.bodies) == ROWS
    assert project.manifest()["cost"]["run"] == 15 * ROWS


def test_rows_travel_together_in_batches(project: Project) -> None:
    sizes: Counter[int] = Counter()

    def answer(request: Received) -> Reply:
        rows = request.json["dataframe_records"]
        sizes[len(rows)] += 1
        return as_json({"predictions": [f"re {row['prompt']}" for row in rows]})

    server = Server(answer)
    server.start()
    try:
        endpoint = (
            f'{{adapter: mlflow, url: "{server.url}", format: dataframe_records, batch_size: 5}}'
        )
        spec = SPEC.replace('{adapter: openai, base_url: "URL/v1", model: m}', endpoint)
        project.write("tickets.yaml", spec)
        project.rows(100)
        assert project.run("tickets.yaml").code == 0
    finally:
        server.close()
    assert sizes == {5: 20}
    assert [record["output"] for record in project.records()] == [
        f"re Summarize: ticket number {number}" for number in range(100)
    ]


def test_rows_of_standard_input_are_dealt_as_they_come(project: Project, chat: Chat) -> None:
    project.write("functions.py", "def loud(text):\n    print('loud')\n    return text\n")
    rows = project.bytes("rows.jsonl").decode().splitlines(keepends=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "dbrun", "tickets.yaml", "--set", "source={path: '-', id: id}",
         "--set", "transforms.output=functions:loud", "--out", "-", "--quiet"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        for row in rows[:3]:
            process.stdin.write(row)
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == json.loads(row)["id"]
        process.stdin.close()
    assert process.returncode == 0


SINK = """\
class Lengths:
    size, digest = 0, "0" * 64
    written = []

    @classmethod
    def create(cls, spec):
        return cls()

    def write(self, record):
        self.written.append((record.id, record.output, record.index))

    def open(self): pass
    def commit(self): pass
    def close(self): pass
"""


def test_a_sink_that_takes_no_lines_gets_records(
    project: Project, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And rows from Python stay where they are."""
    project.write("sink_of_records.py", SINK)
    monkeypatch.syspath_prepend(str(project.folder))
    from sink_of_records import Lengths  # type: ignore[import-not-found]

    registry = Registry(extra={"sinks": {"lengths": Lengths}})
    pipeline = dbrun.load("tickets.yaml", registry=registry)
    sink = replace(pipeline.spec.sink, kind="lengths")
    pipeline = replace(pipeline, spec=replace(pipeline.spec, sink=sink))
    pipeline.run(rows=({"id": str(number), "text": f"x{number}"} for number in range(4)))
    assert Lengths.written == [
        (str(number), f"re Summarize: x{number}", number) for number in range(4)
    ]


def test_what_cannot_travel_is_said(project: Project, chat: Chat) -> None:
    class Here:
        """Known to this process alone."""

    registry = Registry(extra={"sinks": {"here": Here}})
    with pytest.raises(UserError, match="the pipeline cannot travel"):
        dbrun.load("tickets.yaml", registry=registry).run()


def test_one_process_imports_nothing_of_it(project: Project, chat: Chat) -> None:
    code = (
        "import sys; from dbrun.cli.main import main; "
        "assert main(['tickets.yaml', '--set', 'limits.processes=1']) == 0; "
        "sys.exit(any('processes' in name for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_more_processes_than_the_limits_have_calls_are_not_started(
    project: Project, chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    assert project.run("tickets.yaml", "--set", "limits.concurrency=1").code == 0
    assert "limits.processes: 1 instead of 2" in caplog.text
