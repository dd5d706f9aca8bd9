"""Generations and facts: one small file that may be lost, damaged or read-only."""

import json
import os
import subprocess
import sys

import pytest

from dbrun.client.journal import state
from dbrun.client.journal.state import State
from dbrun.errors import SinkError


def state_file(folder):
    return os.path.join(folder, "state.json")


def test_facts_are_remembered(folder):
    State(folder, writable=True).remember("databricks:llama", {"task": "chat"})
    assert State(folder, writable=False).recall("databricks:llama") == {"task": "chat"}
    assert State(folder, writable=False).recall("databricks:other") is None


def test_the_file_is_fit_for_git(folder):
    state = State(folder, writable=True)
    state.remember("b", ["\ud800"])
    state.remember("a", 1)
    state.begin("fresh", "f1", newest=1)
    with open(state_file(folder)) as file:
        text = file.read()
    assert text == (
        '{\n "facts": {\n  "a": 1,\n  "b": [\n   "\\ud800"\n  ]\n },\n "generation": 2,\n'
        ' "open": {\n  "fresh": {\n   "fingerprint": "f1",\n   "generation": 2\n  }\n }\n}\n'
    )
    assert os.listdir(folder) == ["state.json"]


def test_remembering_the_same_again_does_not_touch_the_file(folder):
    state = State(folder, writable=True)
    state.remember("a", None)
    before = os.stat(state_file(folder))
    state.remember("a", None)
    assert os.stat(state_file(folder)) == before


def test_what_others_remembered_meanwhile_stays(folder):
    one, other = State(folder, writable=True), State(folder, writable=True)
    one.remember("a", 1)
    other.remember("b", 2)
    assert other.recall("a") == 1
    again = State(folder, writable=False)
    assert (again.recall("a"), again.recall("b")) == (1, 2)


def test_a_reader_keeps_facts_for_itself(folder):
    state = State(folder, writable=False)
    state.remember("a", 1)
    assert state.recall("a") == 1
    assert not os.path.exists(folder)


def test_without_a_folder_all_is_in_memory():
    state = State(None, writable=True)
    state.remember("a", 1)
    assert state.recall("a") == 1
    assert state.begin("fresh", "f", newest=5) == 6


def test_an_unfinished_generation_is_continued_by_the_same_command(folder):
    assert State(folder, writable=True).begin("fresh", "f1", newest=1) == 2
    assert State(folder, writable=True).begin("fresh", "f1", newest=2) == 2
    state = State(folder, writable=True)
    assert state.begin("fresh", "f1", newest=2) == 2
    state.end("fresh")
    assert State(folder, writable=True).begin("fresh", "f1", newest=2) == 3


def test_another_command_opens_a_generation_of_its_own(folder):
    state = State(folder, writable=True)
    assert state.begin("fresh", "f1", newest=1) == 2
    assert state.begin("only-errors", "f1", newest=1) == 3
    assert state.begin("fresh", "f1", newest=3) == 2
    assert state.begin("fresh", "f2", newest=3) == 4
    assert state.begin("fresh", "f1", newest=4) == 5


def test_generations_follow_those_of_the_answers(folder):
    assert State(folder, writable=True).begin("fresh", "f1", newest=9) == 10


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"facts": [], "generation": "2", "open": 3}',
        b'{"generation": -1, "open": {"fresh": 1}}',
        b'{"generation": true, "open": {"fresh": {"fingerprint": "f1"}}}',
        b'{"open": {"fresh": {"fingerprint": 1, "generation": 7}}}',
    ],
)
def test_a_damaged_file_counts_as_empty(folder, text):
    os.makedirs(folder)
    with open(state_file(folder), "wb") as file:
        file.write(text)
    state = State(folder, writable=True)
    assert state.generation == 1
    assert state.recall("a") is None
    state.remember("a", 1)
    assert state.begin("fresh", "f1", newest=1) == 2
    with open(state_file(folder), "rb") as file:
        assert json.load(file)["facts"] == {"a": 1}


def test_trouble_with_the_file_is_said_with_path_and_mend(folder):
    os.makedirs(state_file(folder))
    with pytest.raises(SinkError, match=r"state\.json: is a directory"):
        State(folder, writable=True)


def test_a_refused_write_leaves_the_old_file(folder, monkeypatch):
    state = State(folder, writable=True)
    state.remember("a", 1)

    def full(fd, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(SinkError, match=r"state\.json: no space left on device; free some space"):
        state.remember("b", 2)
    monkeypatch.undo()
    assert os.listdir(folder) == ["state.json"]
    assert State(folder, writable=False).recall("a") == 1


def test_a_kill_leaves_the_old_facts_or_the_new(folder):
    """The process ends, for good, at each of the calls that change the disk."""
    script = (
        "import os, sys\n"
        "from dbrun.client.journal.state import State\n"
        "state = State(sys.argv[1], writable=True)\n"
        "def dead(*given): os._exit(9)\n"
        "setattr(os, sys.argv[2], dead)\n"
        "state.remember('a', 2)\n"
    )
    for call in ("close", "write", "fsync", "replace"):
        State(folder, writable=True).remember("a", 1)
        done = subprocess.run([sys.executable, "-c", script, folder, call], check=False)
        assert done.returncode == 9
        assert State(folder, writable=False).recall("a") == 1
    State(folder, writable=True).remember("a", 3)
    assert os.listdir(folder) == ["state.json"]


def test_where_nothing_can_be_moved_one_of_two_files_is_whole(volume):
    folder = str(volume)
    state = State(folder, writable=True)
    state.remember("a", 1)
    assert sorted(os.listdir(folder)) == ["state.json", "state.json.copy"]
    whole = (volume / "state.json").read_bytes()
    for torn in (b"", whole[:-5]):
        (volume / "state.json").write_bytes(torn)
        assert State(folder, writable=False).recall("a") == 1
    (volume / "state.json").unlink()
    assert State(folder, writable=False).recall("a") == 1
    (volume / "state.json").write_bytes(whole)
    (volume / "state.json.copy").write_bytes(whole[:9])
    assert State(folder, writable=False).recall("a") == 1
    (volume / "state.json").write_bytes(b"")
    assert State(folder, writable=True).recall("a") is None
    State(folder, writable=True).remember("b", 2)
    assert State(folder, writable=False).recall("b") == 2


def test_the_copy_is_written_before_the_file(volume, monkeypatch):
    folder = str(volume)
    State(folder, writable=True).remember("a", 1)
    write = state.write_anew

    def torn(path, data):
        write(path, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state, "write_anew", torn)
    with pytest.raises(SinkError):
        State(folder, writable=True).remember("a", 2)
    assert State(folder, writable=False).recall("a") == 1
