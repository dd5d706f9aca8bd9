"""Folding where files can only be written whole: one new file first, the others gone after."""

import json
import os

import pytest

from dbrun.client.journal import Journal, compact, gather, pieces
from dbrun.client.journal.pieces import extent_of
from dbrun.errors import SinkError


def fill(journal, key, answer, numbers):
    for number in numbers:
        journal.record(key(number), answer({"n": number}))


def files(volume):
    return sorted(name for name in os.listdir(volume) if name.endswith(".jsonl"))


def numbers(journal):
    return sorted(entry.body["n"] for _, entry in journal.items())


def age(path, seconds):
    there = os.stat(path)
    os.utime(path, (there.st_atime - seconds, there.st_mtime - seconds))


def test_a_finished_run_leaves_one_whole_file_sorted_by_key(publishing, volume, key, answer):
    for part in range(3):
        with publishing() as journal:
            fill(journal, key, answer, range(part * 10, part * 10 + 12))
    assert len(files(volume)) == 3
    journal = publishing()
    fill(journal, key, answer, range(40, 50))
    journal.finish()
    (name,) = files(volume)
    assert name.startswith("answers-")
    assert extent_of(str(volume / name)).start == 0
    lines = (volume / name).read_bytes().splitlines()
    keys = [json.loads(line)["key"] for line in lines[:-1]]
    assert keys == sorted(map(key, [*range(32), *range(40, 50)]))
    for each in (journal, publishing(mode="replay")):
        assert numbers(each) == [*range(32), *range(40, 50)]
        assert (each.entries, each.segments, each.damaged) == (42, 1, 0)


def test_a_run_goes_on_after_finishing(publishing, volume, key, answer):
    journal = publishing()
    for number in range(4):
        fill(journal, key, answer, [number])
        journal.finish()
        assert numbers(journal) == list(range(number + 1))
    assert len(files(volume)) == 1
    assert len(os.listdir(volume)) == 1


def test_nothing_new_leaves_everything_alone(publishing, volume, key, answer):
    with publishing() as journal:
        fill(journal, key, answer, range(3))
        journal.finish()
    before = [(entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(volume)]
    with publishing() as journal:
        journal.finish()
        assert not journal.compact()
    assert [(entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(volume)] == before


def test_the_newest_answer_is_kept_whatever_the_files_are_called(publishing, volume, key, answer):
    with publishing() as journal:
        fill(journal, key, answer, range(3))
        journal.finish()
    with publishing(mode="refresh") as journal:
        journal.begin_generation("fresh", "x")
        journal.record(key(1), answer({"n": 100}))
    with publishing() as journal:
        journal.finish()
        assert numbers(journal) == [0, 2, 100]
    assert len(files(volume)) == 1


def test_what_a_kill_between_writing_and_removing_leaves_says_the_same(
    publishing, volume, key, answer, monkeypatch
):
    with publishing() as journal:
        fill(journal, key, answer, range(5))
    (piece,) = files(volume)
    kept = (volume / piece).read_bytes()
    with publishing() as journal:
        fill(journal, key, answer, range(5, 8))
        journal.finish()
    (volume / piece).write_bytes(kept)
    assert len(files(volume)) == 2
    with publishing() as journal:
        assert numbers(journal) == list(range(8))
        journal.finish()
        assert numbers(journal) == list(range(8))
    assert len(files(volume)) == 1


@pytest.mark.parametrize("name", ["20260101T000000000000-aaaaaaaa-000001.jsonl", "answers.jsonl"])
def test_a_file_without_its_end_is_folded_and_stays_until_it_is_old(
    publishing, volume, key, answer, name
):
    """It may be on its way from another machine, or be copied there just now."""
    with publishing() as journal:
        fill(journal, key, answer, range(3))
        journal.finish()
    (whole,) = files(volume)
    lines = (volume / whole).read_bytes().splitlines(keepends=True)
    (volume / name).write_bytes(lines[0].replace(b'"n":', b'"m":') + lines[1][:30])
    with publishing() as journal:
        fill(journal, key, answer, [7])
        journal.finish()
    assert name in files(volume)
    assert len(files(volume)) == 2
    age(volume / name, 4000)
    with publishing() as journal:
        fill(journal, key, answer, [8])
        journal.finish()
        assert journal.entries == 5
    assert [name.startswith("answers-") for name in files(volume)] == [True]


def test_a_torn_file_of_a_killed_process_of_this_machine_goes_at_once(
    publishing, volume, key, answer
):
    journal = publishing()
    fill(journal, key, answer, range(3))
    journal._store.publisher().publish()
    (name,) = files(volume)
    torn = volume / name.replace("-000001", "-000002")
    torn.write_bytes((volume / name).read_bytes()[:50])
    journal.finish()
    assert len(files(volume)) == 1


def test_answers_are_dropped_for_good(publishing, volume, key, answer):
    with publishing() as journal:
        fill(journal, key, answer, range(6))
    with publishing() as journal:
        fill(journal, key, answer, range(6, 9))
        kept = {key(number) for number in range(0, 9, 2)}
        assert journal.compact(kept.__contains__)
        assert numbers(journal) == [0, 2, 4, 6, 8]
    assert numbers(publishing(mode="replay")) == [0, 2, 4, 6, 8]
    assert len(files(volume)) == 1


def refuse(monkeypatch):
    def full(path, source, extent):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gather, "write_piece", full)


def test_folding_that_fails_is_no_trouble_where_all_is_published(
    publishing, volume, key, answer, monkeypatch, caplog
):
    with publishing() as journal:
        fill(journal, key, answer, range(4))
    with publishing() as journal, monkeypatch.context() as now:
        refuse(now)
        fill(journal, key, answer, range(4, 6))
        journal.finish()
        assert numbers(journal) == list(range(6))
    assert "no space left on device; all answers are there, in several files" in caplog.text
    assert len(files(volume)) == 2
    assert numbers(publishing(mode="replay")) == list(range(6))


def test_dropping_that_fails_is_trouble(publishing, volume, key, answer, monkeypatch):
    with publishing() as journal:
        fill(journal, key, answer, range(4))
        refuse(monkeypatch)
        with pytest.raises(SinkError, match="no space left on device; free some space"):
            journal.compact(lambda key: False)
        assert numbers(journal) == list(range(4))


def test_one_process_of_a_machine_folds_at_a_time(publishing, volume, key, answer, monkeypatch):
    monkeypatch.setattr(compact, "_LOOKS", 3)
    with publishing() as journal:
        fill(journal, key, answer, range(4))
    one, other = publishing(), publishing()
    write = pieces.write_piece

    def meanwhile(path, source, extent):
        assert not other.compact()
        write(path, source, extent)

    monkeypatch.setattr(gather, "write_piece", meanwhile)
    assert one.compact()
    assert len(files(volume)) == 1
    other.refresh()
    assert numbers(other) == list(range(4))


def test_two_machines_that_fold_at_once_lose_nothing(
    publishing, volume, key, answer, monkeypatch, tmp_path
):
    for part in range(2):
        with publishing() as journal:
            fill(journal, key, answer, range(part * 3, part * 3 + 3))
    here = publishing()
    monkeypatch.setenv("DBRUN_SPOOL", str(tmp_path / "elsewhere"))
    there = publishing()
    write = pieces.write_piece
    turn = [there]

    def meanwhile(path, source, extent):
        if turn:
            assert turn.pop().compact()
        write(path, source, extent)

    monkeypatch.setattr(gather, "write_piece", meanwhile)
    assert here.compact()
    assert numbers(publishing(mode="replay")) == list(range(6))
    fill(there, key, answer, [6])
    there.finish()
    assert numbers(there) == list(range(7))
    assert len(files(volume)) == 1


def test_the_clock_set_back_keeps_the_order(publishing, volume, key, answer, clock):
    with publishing() as journal:
        fill(journal, key, answer, range(2))
        journal.finish()
    (first,) = files(volume)
    clock.moment = clock.moment.replace(year=2020)
    with publishing() as journal:
        fill(journal, key, answer, [2])
        journal.finish()
    (second,) = files(volume)
    assert second > first


def test_a_local_journal_that_was_copied_there_is_one_like_any(
    publishing, volume, key, answer, tmp_path
):
    here = tmp_path / "here.journal"
    with Journal.open(str(here)) as journal:
        fill(journal, key, answer, range(3))
        journal.finish()
        fill(journal, key, answer, range(3, 5))
    volume.mkdir(parents=True)
    for name in os.listdir(here):
        (volume / name).write_bytes((here / name).read_bytes())
        age(volume / name, 4000)
    with publishing() as journal:
        assert numbers(journal) == list(range(5))
        journal.finish()
        assert numbers(journal) == list(range(5))
    assert [name.startswith("answers-") for name in files(volume)] == [True]
