"""The job every peer is given: rows in as JSONL, one chat completion each, answers out in order.

Each script of this folder is one peer, written as its documentation tells a user to, and takes

    SCRIPT ROWS BASE_URL OUT CONCURRENCY

What it asks for is the same everywhere: this prompt, this model, these two parameters. Answers
are written as `{"id": …, "output": …}`, which is less than dbrun writes for a row.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass

MODEL = "m"
PARAMS = {"temperature": 0, "max_tokens": 64}
KEY = "benchmark"  # any will do, the loopback server asks for none


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the command line names."""

    rows: list[dict[str, str]]
    path: str
    base_url: str
    out: str
    concurrency: int

    @property
    def prompts(self) -> list[str]:
        """What to ask, a prompt for each row."""
        return [f"Summarize: {row['text']}" for row in self.rows]

    def answered(self, outputs: Iterable[object]) -> None:
        """Write the answers, which come in the order of the rows."""
        with open(self.out, "w", encoding="utf-8") as sink:
            for row, output in zip(self.rows, outputs, strict=True):
                sink.write(json.dumps({"id": row["id"], "output": output}) + "\n")


def job() -> Job:
    """The job of this process."""
    path, base_url, out, concurrency = sys.argv[1:5]
    with open(path, encoding="utf-8") as source:
        rows = [json.loads(line) for line in source]
    return Job(rows=rows, path=path, base_url=base_url, out=out, concurrency=int(concurrency))


def messages(prompt: str) -> list[dict[str, str]]:
    """A chat of one message."""
    return [{"role": "user", "content": prompt}]
