"""The mirror of a journal: what it fetches, what it sends, and what it must never remove."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.volumes import VOLUME, FakeVolumes
from fakes.workspace import FakeWorkspace

from dbrun.adapters.base import Answer
from dbrun.client.journal import Journal, abroad
from dbrun.client.journal.abroad import Abroad
from dbrun.clock import Clock
from dbrun.storage import mirror_of

THERE = f"{VOLUME}/x.journal"


class Desk:
    """A machine with a mirror of the journal."""

    def __init__(self, workspace: FakeWorkspace, spool: Path) -> None:
        self.volumes: FakeVolumes = workspace.volumes
        self.spool = spool
        self.folder = mirror_of(THERE, workspace.url)
        self._environ = workspace.environ

    def mirror(self) -> Abroad:
        made = Abroad(self.folder, self._environ, Clock())
        made.fetch()
        return made

    def journal(self, **options: Any) -> Journal:
        return Journal.open(self.folder, **options)

    def answer(self, journal: Journal, *numbers: int) -> None:
        for number in numbers:
            journal.record(key(number), Answer(body={"n": number}))

    def lose(self) -> None:
        shutil.rmtree(self.spool)

    @property
    def pieces(self) -> list[str]:
        found = (path.rpartition("/")[2] for path in self.volumes.below(THERE))
        return [name for name in found if name.endswith(".jsonl")]

    @property
    def known(self) -> set[str]:
        """The keys of the answers on the volume."""
        found = self.volumes.below(THERE).items()
        lines = [ln for path, data in found if path.endswith("l") for ln in data.splitlines()]
        return {json.loads(line)["key"] for line in lines if line.startswith(b'{"key"')}


def key(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("DBRUN_SPOOL", str(tmp_path / "spool"))
    with FakeWorkspace() as workspace:
        yield Desk(workspace, tmp_path / "spool")


def test_only_what_is_new_is_sent(desk: Desk) -> None:
    mirror = desk.mirror()
    with desk.journal() as journal:
        desk.answer(journal, 1, 2)
        mirror.send()
        mirror.send()
        assert len(desk.pieces) == 1
        desk.answer(journal, 3)
        mirror.send()
        assert len(desk.pieces) == 2
    assert desk.known == {key(1), key(2), key(3)}


def test_a_line_that_is_being_written_waits(desk: Desk) -> None:
    mirror = desk.mirror()
    with desk.journal() as journal:
        desk.answer(journal, 1)
        (name,) = journal.written
        with open(os.path.join(desk.folder, name), "ab") as file:
            file.write(b'{"key":"')
        mirror.send()
    assert desk.known == {key(1)}
    (piece,) = (data for path, data in desk.volumes.below(THERE).items() if path.endswith(".jsonl"))
    assert piece.count(b"\n") == 2  # the answer, and the line that ends the file


def test_many_pieces_become_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abroad, "_MOST_PIECES", 3)
    mirror = desk.mirror()
    with desk.journal() as journal:
        for number in range(7):
            desk.answer(journal, number)
            mirror.send()
    assert len(desk.pieces) <= 3
    assert desk.known == set(map(key, range(7)))


def test_a_finished_journal_is_one_file_and_another_machine_reads_it(desk: Desk) -> None:
    mirror = desk.mirror()
    with desk.journal() as journal:
        desk.answer(journal, 1, 2)
        mirror.send()
        journal.finish()
    mirror.settle()
    assert [name.partition("-")[0] for name in desk.pieces] == ["answers"]
    desk.lose()
    mirror = desk.mirror()
    with desk.journal() as journal:
        assert journal.entries == 2
        desk.answer(journal, 3)
        journal.finish()
    mirror.settle()
    assert len(desk.pieces) == 1
    assert desk.known == {key(1), key(2), key(3)}


def test_a_mirror_that_was_cleared_out_in_part_removes_nothing_there(desk: Desk) -> None:
    mirror = desk.mirror()
    with desk.journal() as journal:
        desk.answer(journal, 1, 2)
        journal.finish()
    mirror.settle()
    os.unlink(os.path.join(desk.folder, "answers.jsonl"))
    mirror = desk.mirror()
    with desk.journal() as journal:
        assert journal.entries == 2
        desk.answer(journal, 3)
        journal.finish()
    mirror.settle()
    assert desk.known == {key(1), key(2), key(3)}


def test_what_somebody_else_brought_meanwhile_stays(desk: Desk) -> None:
    mirror = desk.mirror()
    other = "20260101T000000000000-0123abcd-000001.jsonl"
    line = json.dumps({"key": key(9), "generation": 1, "body": {}}) + "\n"
    with desk.journal() as journal:
        desk.answer(journal, 1)
        desk.volumes.put(f"{THERE}/{other}", line)
        journal.finish()
    mirror.settle()
    assert other in desk.pieces
    assert desk.known == {key(1), key(9)}


def test_a_generation_that_is_unfinished_is_gone_on_with_elsewhere(desk: Desk) -> None:
    mirror = desk.mirror()
    with desk.journal(mode="refresh") as journal:
        assert journal.begin_generation("fresh", "command") == 2
        desk.answer(journal, 1)
    mirror.send()
    desk.lose()
    desk.mirror()
    with desk.journal(mode="refresh") as journal:
        assert journal.begin_generation("fresh", "command") == 2
        assert journal.lookup(key(1)) is not None


def test_notes_that_cannot_be_read_cost_a_fetch_and_nothing_else(desk: Desk) -> None:
    mirror = desk.mirror()
    with desk.journal() as journal:
        desk.answer(journal, 1)
        journal.finish()
    mirror.settle()
    with open(os.path.join(desk.folder, "away.json"), "w") as file:
        file.write("{")
    mirror = desk.mirror()
    with desk.journal() as journal:
        assert journal.entries == 1
        desk.answer(journal, 2)
        journal.finish()
    mirror.settle()
    assert desk.known == {key(1), key(2)}
