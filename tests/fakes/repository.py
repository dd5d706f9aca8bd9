"""A project in a git repository, its model a function, and what it takes to change it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import dbrun

SPEC = """\
name: tickets
source: {path: ../data/rows.jsonl, id: id}
endpoint: {adapter: python, function: "model:answer"}
prompt: {file: prompts/ask.j2}
transforms: {output: "shaping:shape"}
scores:
  - {type: length, name: words, better: lower}
sink: ../out/tickets.jsonl
"""
FILES = {
    "pyproject.toml": "",
    ".gitignore": "__pycache__/\n",
    "data/rows.jsonl": "".join(
        json.dumps({"id": name, "text": f"the {name} is broken"}) + "\n" for name in ("a", "b", "c")
    ),
    "pipelines/tickets.yaml": SPEC,
    "pipelines/prompts/ask.j2": "Say: {{ text }}",
    "pipelines/model.py": "def answer(prompt):\n    return prompt.removeprefix('Say: ') + '.'\n",
    "pipelines/shaping.py": "def shape(text):\n    return text\n",
}
TICKETS = "pipelines/tickets.yaml"


class Project:
    """A repository with the branch `main`, and work on another one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.email", "me@example.com")
        self.git("config", "user.name", "Me")
        for name, text in FILES.items():
            self.write(name, text)

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=self.folder, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def commit(self, message: str = "work") -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def run(self, spec: str = TICKETS) -> None:
        dbrun.load(self.folder / spec).run()

    def branch(self) -> None:
        self.commit("base")
        self.git("checkout", "-q", "-b", "work")

    def results(self, spec: str = "tickets") -> Path:
        return self.folder / "out" / f"{spec}.jsonl"


def without_git_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have git know nothing of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
