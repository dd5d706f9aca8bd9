"""Projects on disk, a workspace on the loopback, and the command line in this process and outside.

After every test all that was written and said is looked through: records and manifests are what
the schemas say, and the workspace's token is nowhere.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.workspace import TOKEN, FakeWorkspace
from jsonschema import Draft202012Validator

from dbrun.cli.main import main
from dbrun.spec.schema import read_schema

RECORD = Draft202012Validator(read_schema("record"))
MANIFEST = Draft202012Validator(read_schema("manifest"))

SPEC = """\
name: tickets
source: {path: rows.jsonl, id: id}
endpoint: {adapter: databricks, name: chat, task: chat}
prompt: "Summarize: {{ text }}"
sink: out/tickets.jsonl
"""


@dataclass(frozen=True)
class Said:
    """How a call of the command line ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """The JSON Lines on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def summary(self) -> dict[str, Any]:
        """The JSON object on standard output."""
        return dict(json.loads(self.out))


class Project:
    """A folder with a spec and rows, and the ways to run it."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture
        self.said: list[str] = []
        self.write("pyproject.toml", "")
        self.write("tickets.yaml", SPEC)
        self.rows(10)

    def write(self, name: str, text: str) -> Path:
        """Make a file of *text*."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def rows(self, count: int, **texts: str) -> None:
        """Rows T-0 … with texts of their own; *texts* replace some, by number: t3='…'."""
        rows = [
            {"id": f"T-{number}", "text": texts.get(f"t{number}", f"ticket number {number}")}
            for number in range(count)
        ]
        self.write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    def run(self, *words: str) -> Said:
        """The command line in this process."""
        self._capture.readouterr()
        code = main(list(words))
        out, err = self._capture.readouterr()
        self.said += [out, err]
        return Said(code, out, err)

    def start(self, *words: str, command: Sequence[str] = ()) -> subprocess.Popen[str]:
        """The command line in a process of its own; *command* is what starts it, if given."""
        return subprocess.Popen(
            [*command, sys.executable, "-m", "dbrun", *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Whoever started the tests in the background made them deaf to Ctrl-C; heirs are, too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def end(self, process: subprocess.Popen[str], timeout: float = 20) -> Said:
        """Wait until *process* ends; one that does not in time is killed."""
        with process:
            try:
                out, err = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        self.said += [out, err]
        return Said(process.returncode, out, err)

    def bytes(self, name: str = "out/tickets.jsonl") -> bytes:
        """What a file holds."""
        return (self.folder / name).read_bytes()

    def records(self, name: str = "out/tickets.jsonl") -> list[dict[str, Any]]:
        """The records of a results file."""
        return [json.loads(line) for line in self.bytes(name).splitlines()]

    def files(self, folder: str = "out") -> dict[str, bytes]:
        """What every file below a folder holds."""
        paths = (path for path in (self.folder / folder).rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}

    def manifest(self, name: str = "out/tickets.run.json") -> dict[str, Any]:
        """A manifest."""
        return dict(json.loads(self.bytes(name)))


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Project]:
    """A project in the current folder."""
    for name in [name for name in os.environ if name.startswith(("DATABRICKS_", "DBRUN_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    made = Project(folder, capsys)
    yield made
    check_files(folder)
    assert not any(TOKEN in said for said in made.said)


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWorkspace]:
    """A workspace that the environment gives access to."""
    with FakeWorkspace() as made:
        for name, value in made.environ.items():
            monkeypatch.setenv(name, value)
        yield made


def check_files(folder: Path) -> None:
    """Every record and manifest below *folder* is what its schema says; the token is nowhere."""
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        assert TOKEN.encode() not in content, f"{path} holds the token"
        if path.name.endswith((".run.json", ".run.json.partial")):
            MANIFEST.validate(json.loads(content))
        elif path.parent.name == "out" and ".jsonl" in path.name:
            for line in content.split(b"\n")[:-1]:
                RECORD.validate(json.loads(line))
