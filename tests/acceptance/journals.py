"""Looking at journals through the command line, and a batch API in miniature."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import time
from typing import Any

from acceptance.conftest import Project
from fakes.models import Endpoint, Refusal, chat

from dbrun.client.journal import Journal

JOURNAL = "out/tickets.jsonl.journal"
STEPS = """\
name: tickets
source: {path: rows.jsonl, id: id}
endpoint: {adapter: databricks, name: chat, task: chat}
steps:
  - {name: first, prompt: "Summarize: {{ text }}"}
  - {name: second, prompt: "Shorten: {{ steps.first.output }}"}
sink: out/tickets.jsonl
"""


def shown(project: Project, *words: str) -> dict[str, Any]:
    """What `dbrun journal` says as JSON."""
    said = project.run("journal", "tickets.yaml", "--json", *words)
    assert said.code == 0, said.err
    return said.summary


def entries(project: Project) -> dict[str, Any]:
    """Every answer of the journal by its key."""
    with Journal.open(str(project.folder / JOURNAL), mode="replay") as journal:
        return {key: entry.body for key, entry in journal.items()}


def run_batch(project: Project, requests: str, answers: str) -> int:
    """Do what a batch API does with a file; gives how many requests there were."""
    lines = []
    for text in (project.folder / requests).read_text(encoding="utf-8").splitlines():
        request = json.loads(text)
        assert set(request) == {"custom_id", "method", "url", "body"}
        assert (request["method"], request["url"]) == ("POST", "/v1/chat/completions")
        try:
            reply = chat(Endpoint(kind="foundation", model="batch-model"), request["body"])
        except Refusal as refusal:
            reply = refusal.reply
        lines.append(
            {
                "id": f"batch_req_{len(lines)}",
                "custom_id": request["custom_id"],
                "response": {
                    "status_code": reply.status,
                    "request_id": f"req_{len(lines)}",
                    "body": json.loads(reply.body),
                },
                "error": None,
            }
        )
    random.Random(3).shuffle(lines)  # a batch answers in any order
    project.write(answers, "".join(json.dumps(line) + "\n" for line in lines))
    return len(lines)


def record(journal: Journal, number: int) -> None:
    from dbrun.adapters.base import Answer

    key = hashlib.sha256(str(number).encode()).hexdigest()
    journal.record(key, Answer(body={"number": number}))


def kill_when(process: subprocess.Popen[str], seen: Any, seconds: float = 20) -> None:
    """`kill -9` as soon as *seen* says so."""
    until = time.monotonic() + seconds
    while process.poll() is None and not seen():
        assert time.monotonic() < until
        time.sleep(0.0005)
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
