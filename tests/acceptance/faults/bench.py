"""A project and a workspace under fire, and what must hold however a run of them ends.

`Bench.run` starts the command line in a process of its own and then looks through everything:
counts that add up, and agree with what the server counted; every answer that was paid for is in
the journal; no traceback; no credential in any file. `Bench.mend` takes the fault away and runs
again: only what the journal lacks is sent, and the results are those of an undisturbed run.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from acceptance.conftest import MANIFEST, Project, Said
from acceptance.faults.ended import Ended, answers, check_counts, check_requests, spelled
from fakes.server import Given
from fakes.workspace import TOKEN, FakeWorkspace

from dbrun.client.journal import Journal

SPEC = """\
name: tickets
source: {path: rows.jsonl, id: id}
endpoint: {adapter: databricks, name: chat, task: chat, identity: fake}
prompt: "Summarize: {{ text }}"
sink: out/tickets.jsonl
"""
LIMITS = {"concurrency": 4, "attempts": 2, "timeout": 1, "retry_for": 20}


class Bench:
    """See the module."""

    def __init__(self, project: Project, workspace: FakeWorkspace, known: dict[Any, Any]) -> None:
        self.project = project
        self.workspace = workspace
        # Requests and undisturbed results by all that they depend on: many tests have the same.
        self._known = known
        self._earlier: Mapping[str, int] = {}
        self.spec()

    def spec(self, more: str = "", base: str = SPEC, **limits: Any) -> None:
        """Write the spec: *base* with *more* lines, and `limits` over the usual ones."""
        flow = json.dumps({**LIMITS, **limits})
        self.project.write("tickets.yaml", f"{base}{more}limits: {flow}\n")
        self._recipe = base + more

    def rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the rows."""
        self.project.write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    @property
    def journal(self) -> Path:
        """The journal's folder."""
        return self.project.folder / "out/tickets.jsonl.journal"

    def answered(self) -> set[str]:
        """The keys that the journal holds an answer to."""
        with Journal.open(str(self.journal), mode="replay") as journal:
            return {key for key, _ in journal.items()}

    def keys(self) -> dict[str, str]:
        """Every request of the spec by its body, as canonical as it needs to be, with its key.

        Transforms of the project are left out: here none of them changes a request, and some
        would hang.
        """
        about = ("keys", self._recipe, self._rows())
        if about not in self._known:
            words = ["--set", "source={path: rows.jsonl, id: id}", "--set", "transforms=null"]
            said = self.project.run("render", "tickets.yaml", *words)
            assert said.code == 0, said.err
            self._known[about] = {spelled(line["request"]): line["key"] for line in said.records}
        keys: dict[str, str] = self._known[about]
        return keys

    def keys_of(self, given: Sequence[Given]) -> list[str]:
        """The keys of requests that the server got."""
        keys = self.keys()
        return [keys[spelled(one.request.json)] for one in given]

    def run(self, *words: str, abandoned: int = 0) -> Ended:
        """The spec in a process of its own, looked through; see `end`."""
        with self.watching() as started:
            said = self.finish(self.start(*words))
        return self.end(said, started(), abandoned=abandoned)

    def start(self, *words: str, command: Sequence[str] = ()) -> subprocess.Popen[str]:
        """The spec in a process of its own, started by *command* if given."""
        return self.project.start("tickets.yaml", *words, command=command)

    def finish(self, process: subprocess.Popen[str], seconds: float = 30) -> Said:
        """How *process* ended; the test fails if it takes longer than so many seconds."""
        try:
            return self.project.end(process, timeout=seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the run was still there after {seconds:g} s")

    @contextmanager
    def watching(self) -> Iterator[Callable[[], list[Given]]]:
        """What the server gives from here on, once it is done with all of it."""
        before = len(self.workspace.given)
        self._earlier = self._manifests()

        def since() -> list[Given]:
            self.wait_for(lambda: not self.workspace.in_flight)
            return self.workspace.given[before:]

        yield since

    def end(self, said: Said, given: Sequence[Given], *, abandoned: int = 0) -> Ended:
        """Look through what a run left. *abandoned*: answers that may have come too late."""
        manifest = self._read("out/tickets.run.json", finished=said.code in (0, 1))
        # A run that ended early enough, or changed nothing, leaves the manifest of one before.
        is_new = self._manifests() != self._earlier
        if not is_new and said.code not in (0, 1):
            manifest = {}
        lines = self._lines(finished=said.code in (0, 1))
        records = {line["id"]: line for line in lines}
        calls: list[Given] = []
        others: list[Given] = []
        for one in given:
            (calls if one.request.path.endswith("/invocations") else others).append(one)
        ended = Ended(said.code, said.out, said.err, records, manifest, calls, others)
        assert "Traceback" not in said.err + said.out
        assert self.holders_of(TOKEN) == []
        assert manifest or said.code not in (0, 1)
        if manifest and is_new:
            check_counts(ended)
            check_requests(ended, abandoned)
        kept = self.answered()
        lost = [key for key in self.keys_of(answers(calls)) if key not in kept]
        unsure = ended.manifest.get("requests", {}).get("maybe_paid", 0) + abandoned
        assert len(lost) <= unsure, "answers were given whole and are not in the journal"
        return ended

    def mend(self, code: int = 0, lacking: int | None = None) -> Ended:
        """The fault is gone and the same command is run again.

        *code* is 1 where answers of the journal are failures; *lacking* the number of rows that
        the journal has no answer to.
        """
        self.workspace.script([])
        before = self.answered()
        with self.watching() as started:
            said = self.project.run("tickets.yaml")
        ended = self.end(said, started())
        assert said.code == code, said.err
        sent = self.keys_of(ended.given)
        assert len(sent) == len(set(sent)), "the same request was sent twice"
        assert set(sent) == set(self.keys().values()) - before, "not just what was lacking"
        assert lacking is None or len(sent) == lacking
        assert not list((self.project.folder / "out").glob("*.partial"))
        assert self.project.bytes() == self.calm(code)
        return ended

    def calm(self, code: int) -> bytes:
        """The results of a run that nothing disturbs."""
        about = ("calm", self._recipe, self._rows())
        if about not in self._known:
            words = ["--set", "journal.path=calm.journal", "--out", "calm/tickets.jsonl"]
            said = self.project.run("tickets.yaml", "--quiet", *words)
            assert said.code == code, said.err
            self._known[about] = self.project.bytes("calm/tickets.jsonl")
        return bytes(self._known[about])

    @staticmethod
    def wait_for(condition: Callable[[], object]) -> None:
        """Return once *condition* holds."""
        until = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < until
            time.sleep(0.005)

    def holders_of(self, secret: str) -> list[str]:
        """The files of the project and the home folder in which *secret* stands."""
        files = (path for path in self.project.folder.parent.rglob("*") if path.is_file())
        return [str(path) for path in files if secret.encode() in path.read_bytes()]

    def _rows(self) -> str:
        return (self.project.folder / "rows.jsonl").read_text()

    def _manifests(self) -> dict[str, int]:
        """The manifests that there are, and when they were written."""
        paths = (self.project.folder / "out").glob("tickets.run.json*")
        return {path.name: path.stat().st_mtime_ns for path in paths}

    def _read(self, name: str, *, finished: bool) -> dict[str, Any]:
        path = self.project.folder / (name if finished else f"{name}.partial")
        if not path.is_file():
            return {}
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        MANIFEST.validate(manifest)
        return manifest

    def _lines(self, *, finished: bool) -> list[dict[str, Any]]:
        path = self.project.folder / "out/tickets.jsonl"
        partial = path.with_suffix(".jsonl.partial")
        if partial.exists() and not finished:
            path = partial
        if not path.is_file():
            return []
        return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
