"""Folding: one sorted file, the same bytes each time, and no moment at which a kill loses."""

import json
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from dbrun.client.journal import Journal, compact, lock, segment
from dbrun.errors import SinkError


def content(folder, name="answers.jsonl"):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def fill(journal, key, answer, names):
    for name in names:
        journal.record(key(name), answer({"n": name}))


def test_segments_of_live_writers_stay(opened, key, answer, folder):
    for part in range(3):
        fill(opened(), key, answer, range(part * 10, part * 10 + 12))
    journal = opened()
    fill(journal, key, answer, range(40, 50))
    for other in range(3):
        assert journal.lookup(key(other)) is not None
    assert journal.segments == 4
    # The others' journals are still open: their segments are left to them.
    journal.finish()
    assert len(os.listdir(folder)) == 4


def test_a_finished_run_leaves_one_file_sorted_by_key(opened, key, answer, folder):
    for part in range(3):
        with Journal.open(folder) as writer:
            fill(writer, key, answer, range(part * 10, part * 10 + 12))
    journal = opened()
    fill(journal, key, answer, range(40, 50))
    size = sum(len(content(folder, name)) for name in os.listdir(folder))
    journal.finish()
    assert os.listdir(folder) == ["answers.jsonl"]
    lines = content(folder).splitlines(keepends=True)
    keys = [json.loads(line)["key"] for line in lines]
    assert keys == sorted({key(name) for name in (*range(32), *range(40, 50))})
    assert len(content(folder)) < size
    for each in (journal, opened()):
        assert (each.entries, each.segments, each.bytes_) == (42, 1, len(content(folder)))
        assert all(each.lookup(key(name)).body == {"n": name} for name in range(32))


def test_the_same_answers_give_the_same_bytes(key, answer, tmp_path):
    written = set()
    for seed in range(3):
        names = list(range(40))
        random.Random(seed).shuffle(names)
        path = str(tmp_path / f"{seed}.journal")
        for half in (names[:25], names[20:]):
            with Journal.open(path) as journal:
                fill(journal, key, answer, half)
                if seed == 1:
                    journal.finish()
        with Journal.open(path) as journal:
            journal.finish()
        assert os.listdir(path) == ["answers.jsonl"]
        written.add(content(path))
    assert len(written) == 1


def test_nothing_new_leaves_the_file_alone(opened, key, answer, folder):
    journal = opened()
    fill(journal, key, answer, range(3))
    journal.finish()
    before = os.stat(os.path.join(folder, "answers.jsonl"))
    journal.finish()
    again = opened()
    assert again.lookup(key(1)).body == {"n": 1}
    again.finish()
    assert not again.compact()
    assert os.stat(os.path.join(folder, "answers.jsonl")) == before


def test_a_read_only_folder_with_nothing_new_is_left_alone(
    opened, key, answer, folder, monkeypatch
):
    with Journal.open(folder) as killed:
        fill(killed, key, answer, range(3))
    journal = opened()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    journal.finish()
    assert "answers.jsonl" not in os.listdir(folder)


def test_a_run_goes_on_after_finishing(opened, key, answer, folder):
    journal = opened()
    for name in range(5):
        journal.record(key(name), answer({"n": name}))
        journal.finish()
        assert all(journal.lookup(key(each)).body == {"n": each} for each in range(name + 1))
    assert os.listdir(folder) == ["answers.jsonl"]
    assert opened().entries == 5


def test_bodies_are_kept_byte_for_byte(opened, key, answer, folder):
    raw = b'{ "text" : "\\u00e4\\ud800",\t"n": 1.50 }'
    with Journal.open(folder) as writer:
        writer.record(key("a"), answer(json.loads(raw), raw))
    opened().compact()
    assert content(folder).endswith(b',"body":' + raw + b"}\n")


def test_lines_laid_out_by_somebody_else_are_set_right(opened, key, answer, folder):
    fill(opened(), key, answer, range(5))
    (name,) = os.listdir(folder)
    lines = [json.loads(line) for line in content(folder, name).splitlines()]
    opened().close()
    tidy = content(folder, name).splitlines(keepends=True)
    os.unlink(os.path.join(folder, name))
    with open(os.path.join(folder, "answers.jsonl"), "w", newline="\r\n") as file:
        file.writelines(json.dumps(line, sort_keys=True) + "\n" for line in lines)
    journal = opened()
    assert [journal.lookup(key(n)).body for n in range(5)] == [{"n": n} for n in range(5)]
    journal.record(key(5), answer({"n": 5}))
    journal.finish()
    assert sorted(tidy) == [
        line for line in content(folder).splitlines(keepends=True) if key(5).encode() not in line
    ]


def test_the_newest_of_all_generations_is_kept(opened, key, answer, folder):
    for generation in range(1, 4):
        journal = opened(mode="refresh")
        if generation > 1:
            journal.begin_generation("fresh", str(generation))
        for name in range(generation, 5):
            journal.record(key(name), answer([name, generation]))
        journal.close()
    opened().compact()
    lines = [json.loads(line) for line in content(folder).splitlines()]
    assert {line["key"]: line["body"] for line in lines} == {
        key(1): [1, 1],
        key(2): [2, 2],
        key(3): [3, 3],
        key(4): [4, 3],
    }
    assert len(lines) == 4


def test_damaged_lines_are_left_behind(opened, key, answer, folder):
    with Journal.open(folder) as writer:
        fill(writer, key, answer, range(4))
    (name,) = os.listdir(folder)
    lines = content(folder, name).splitlines(keepends=True)
    lines[1] = lines[1].replace(b'{"n"', b'{n"')
    lines.insert(2, b"rot\n")
    lines.append(lines[0][:50])
    with open(os.path.join(folder, name), "wb") as file:
        file.writelines(lines)
    journal = opened()
    assert journal.compact()
    assert journal.damaged == 2
    assert sorted(json.loads(line)["body"]["n"] for line in content(folder).splitlines()) == [
        0,
        2,
        3,
    ]
    assert journal.lookup(key(1)) is None
    assert journal.entries == 3


def test_a_key_that_rotted_is_left_behind(opened, key, answer, folder):
    journal = opened()
    fill(journal, key, answer, range(3))
    (name,) = os.listdir(folder)
    rotten = content(folder, name).replace(key(1).encode(), b"0" * 64)
    with open(os.path.join(folder, name), "r+b") as file:
        file.write(rotten)
    journal.finish()
    assert sorted(json.loads(line)["body"]["n"] for line in content(folder).splitlines()) == [0, 2]


def test_segments_without_a_whole_line_just_go(opened, folder):
    os.makedirs(folder)
    with open(os.path.join(folder, "torn.jsonl"), "w") as file:
        file.write('{"key":"')
    assert opened().compact()
    assert os.listdir(folder) == []


def test_pruning_drops_what_is_not_to_be_kept(opened, key, answer, folder):
    journal = opened()
    fill(journal, key, answer, range(10))
    journal.finish()
    kept = {key(name) for name in range(4)}
    assert journal.compact(keep=kept.__contains__)
    for each in (journal, opened()):
        assert each.entries == 4
        assert [each.lookup(key(name)) is not None for name in range(10)] == [True] * 4 + [
            False
        ] * 6
    assert journal.compact(keep=lambda key: False)
    assert content(folder) == b""
    assert (journal.entries, opened().entries) == (0, 0)


class TestOthers:
    def test_a_live_writers_segment_stays_and_goes_on(self, opened, key, answer, folder):
        live, ending = opened(), opened()
        fill(live, key, answer, [1])
        fill(ending, key, answer, [2])
        ending.finish()
        assert len(os.listdir(folder)) == 2
        assert not opened().compact()
        fill(live, key, answer, [3])
        assert all(opened().lookup(key(name)) for name in (1, 2, 3))
        live.finish()
        assert os.listdir(folder) == ["answers.jsonl"]
        assert all(opened().lookup(key(name)) for name in (1, 2, 3))

    def test_what_others_wrote_since_opening_is_folded_too(self, opened, key, answer, folder):
        journal = opened()
        with Journal.open(folder) as worker:
            fill(worker, key, answer, range(5))
        assert journal.lookup(key(1)) is None
        journal.finish()
        assert journal.lookup(key(1)).body == {"n": 1}
        assert os.listdir(folder) == ["answers.jsonl"]

    def test_what_others_folded_since_opening_is_not_lost(self, opened, key, answer, folder):
        journal = opened()
        fill(journal, key, answer, [1])
        with Journal.open(folder) as other:
            fill(other, key, answer, [2])
            other.finish()
        with Journal.open(folder) as other:
            fill(other, key, answer, [3])
            other.finish()
        journal.finish()
        assert [opened().lookup(key(name)) is not None for name in (1, 2, 3)] == [True] * 3

    def test_two_do_not_fold_at_once(self, opened, key, answer, folder, monkeypatch):
        monkeypatch.setattr(compact, "_LOOKS", 3)
        journal = opened()
        fill(journal, key, answer, range(3))
        path = os.path.join(folder, "answers.jsonl.partial")
        with open(path, "wb") as partial:
            partial.write(b"half")
            partial.flush()
            assert lock.try_lock(partial.fileno())
            assert not journal.compact()
            assert content(folder, "answers.jsonl.partial") == b"half"
        assert journal.compact()
        assert os.listdir(folder) == ["answers.jsonl"]

    def test_one_waits_for_another_that_folds(self, opened, key, answer, folder, monkeypatch):
        """Who folds may have looked before the last answers were written."""
        first, last = opened(), opened()
        fill(first, key, answer, range(3))
        fill(last, key, answer, range(3, 6))
        put_in_place = compact.Beside.put_in_place
        waiting = []

        def meanwhile(self, *args):
            monkeypatch.undo()
            waiting.append(pool.submit(last.compact))
            with pytest.raises(TimeoutError):
                waiting[0].result(0.1)
            put_in_place(self, *args)

        monkeypatch.setattr(compact.Beside, "put_in_place", meanwhile)
        with ThreadPoolExecutor() as pool:
            assert first.compact()
            assert waiting[0].result(10)
        assert os.listdir(folder) == ["answers.jsonl"]
        assert opened().entries == 6

    def test_a_segment_that_comes_to_life_is_not_removed(
        self, opened, key, answer, folder, monkeypatch
    ):
        """Found free between being made and being locked, and written to before its removal."""
        with Journal.open(folder) as writer:
            fill(writer, key, answer, range(3))
        born = os.path.join(folder, "20990101T000000000000-00000000.jsonl")
        open(born, "wb").close()
        line = content(folder, sorted(os.listdir(folder))[0]).splitlines(keepends=True)[0]
        fold = compact.fold

        def fold_slowly(*given):
            fold(*given)
            with open(born, "ab") as file:
                file.write(line)

        monkeypatch.setattr(compact, "fold", fold_slowly)
        assert opened().compact()
        assert sorted(os.listdir(folder)) == [os.path.basename(born), "answers.jsonl"]

    def test_without_locks_nothing_is_folded(self, opened, key, answer, folder, monkeypatch):
        def refuse(fd, shared):
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(lock, "_lock", refuse)
        journal = opened()
        fill(journal, key, answer, range(3))
        journal.finish()
        assert "answers.jsonl" not in os.listdir(folder)
        assert opened().entries == 3

    def test_where_open_files_cannot_be_renamed_they_are_closed(
        self, opened, key, answer, folder, monkeypatch
    ):
        monkeypatch.setattr(compact, "_LETS_RENAME_OPEN_FILES", False)
        monkeypatch.setattr(segment, "_HAS_PREAD", False)
        replace = os.replace

        def closed(path):
            held = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
            assert os.path.realpath(path) not in held

        def replace_closed(old, new):
            closed(old)
            closed(new)
            replace(old, new)

        monkeypatch.setattr(os, "replace", replace_closed)
        journal = opened()
        for name in range(4):
            fill(journal, key, answer, [name])
            journal.finish()
            assert [journal.lookup(key(each)).body["n"] for each in range(name + 1)] == list(
                range(name + 1)
            )
        assert os.listdir(folder) == ["answers.jsonl"]


class TestTrouble:
    @pytest.mark.parametrize("renames_open_files", [True, False])
    @pytest.mark.parametrize("call", ["write", "fsync", "replace"])
    def test_a_disk_that_refuses_loses_nothing(
        self, opened, key, answer, folder, monkeypatch, call, renames_open_files
    ):
        monkeypatch.setattr(compact, "_LETS_RENAME_OPEN_FILES", renames_open_files)
        monkeypatch.setattr(compact, "_BLOCK", 300)
        with Journal.open(folder) as writer:
            fill(writer, key, answer, range(5))
            writer.finish()
        journal = opened()
        fill(journal, key, answer, range(5, 10))
        journal.sync()

        def refuse(*given):
            raise OSError(28, "No space left on device")

        real = getattr(os, call)
        monkeypatch.setattr(os, call, refuse)
        with pytest.raises(SinkError, match="no space left on device; free some space"):
            journal.finish()
        monkeypatch.setattr(os, call, real)
        assert len([name for name in os.listdir(folder) if name.endswith(".jsonl")]) == 2
        for each in (journal, opened()):
            assert [each.lookup(key(name)).body["n"] for name in range(10)] == list(range(10))
        journal.finish()
        assert os.listdir(folder) == ["answers.jsonl"]
        assert opened().entries == 10

    def test_a_generation_stays_open_if_folding_fails(
        self, opened, key, answer, folder, monkeypatch
    ):
        journal = opened(mode="refresh")
        journal.begin_generation("fresh", "f")
        fill(journal, key, answer, [1])

        def refuse(*given):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "replace", refuse)
        with pytest.raises(SinkError):
            journal.finish()
        monkeypatch.undo()
        journal.close()
        again = opened(mode="refresh")
        assert again.begin_generation("fresh", "f") == 2
        assert again.lookup(key(1)).body == {"n": 1}


KILLED = """
import os, sys
from dbrun.adapters.base import Answer
from dbrun.client.journal import Journal, compact

path, moment = sys.argv[1], int(sys.argv[2])
compact._BLOCK = 700  # several writes
journal = Journal.open(path)
journal.begin_generation("fresh", "f")
seen = 0

def dying(call):
    def wrapped(*given, **options):
        global seen
        if seen == moment:
            os._exit(9)
        seen += 1
        return call(*given, **options)
    return wrapped

for name in ("write", "fsync", "replace", "unlink", "ftruncate", "close"):
    setattr(os, name, dying(getattr(os, name)))
journal.finish()
os._exit(0)
"""


def test_a_kill_at_any_moment_loses_nothing(key, answer, folder):
    """The process ends, for good, before each of the calls by which folding changes the disk."""
    names = range(12)
    moment = 0
    while True:
        for part in (names[:8], names[6:]):
            with Journal.open(folder) as writer:
                fill(writer, key, answer, part)
                writer.record(key("twice"), answer(list(part)))
            if part[0] == 0 and moment % 2:
                with Journal.open(folder) as writer:
                    writer.finish()
        done = subprocess.run(
            [sys.executable, "-c", KILLED, folder, str(moment)], check=False
        ).returncode
        with Journal.open(folder, mode="replay") as journal:
            assert [journal.lookup(key(name)).body["n"] for name in names] == list(names)
            assert journal.lookup(key("twice")).body == list(names[6:])
            assert (journal.entries, journal.damaged) == (13, 0)
        if done == 0:
            break
        assert done == 9
        moment += 1
    assert moment > 12
    assert set(os.listdir(folder)) == {"answers.jsonl", "state.json"}
