"""What tests of `dbrun doctor` have in common."""

from __future__ import annotations

from acceptance.conftest import Said

HEAD = "name: tickets\nsource: {path: rows.jsonl, id: id}\nprompt: hello\nsink: out/t.jsonl\n"
NOBODY = "http://127.0.0.1:9"  # the port of a service that is gone for decades


def lines(said: Said, *subjects: str) -> list[str]:
    """What was said of *subjects*, the host's pace aside."""
    found = [line for line in said.out.splitlines() if line[6:].startswith(subjects)]
    return [line.partition(" in 0.")[0] for line in found]


def failing(said: Said) -> list[str]:
    return [line for line in said.out.splitlines() if line.startswith("fail")]
