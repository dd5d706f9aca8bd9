"""Journals whose folder takes whole files only: what is published when, and what a kill leaves."""

import json
import os
import random
import subprocess
import sys

import pytest

from dbrun import storage
from dbrun.client.journal import Journal, publish
from dbrun.client.journal.pieces import extent_of
from dbrun.errors import SinkError


def fill(journal, key, answer, numbers, pad=0):
    for number in numbers:
        journal.record(key(number), answer({"n": number, "pad": "x" * pad}))


def spooled(volume):
    folder = storage.spool_folder(str(volume))
    return sorted(os.listdir(folder)) if os.path.exists(folder) else []


def published(volume):
    return sorted(os.listdir(volume)) if volume.exists() else []


def numbers_in(journal, key, most=2000):
    return {number for number in range(most) if journal.lookup(key(number)) is not None}


def publish_now(journal):
    journal._store.publisher().publish()


def test_answers_are_spooled_and_published_whole(publishing, volume, key, answer):
    journal = publishing()
    fill(journal, key, answer, range(5))
    assert published(volume) == []
    publish_now(journal)
    fill(journal, key, answer, range(5, 7))
    publish_now(journal)
    publish_now(journal)
    (spool,) = spooled(volume)
    names = published(volume)
    assert names == [f"{spool[:-6]}-00000{number}.jsonl" for number in (1, 2)]
    first, second = (extent_of(str(volume / name)) for name in names)
    assert (first.start, first.end) == (0, second.start)
    journal.refresh()
    assert (journal.entries, journal.segments) == (7, 1), "what is spooled need not be read twice"
    assert numbers_in(journal, key, 10) == set(range(7))
    journal.close()
    assert spooled(volume) == []
    with publishing(mode="replay") as again:
        assert numbers_in(again, key, 10) == set(range(7))
        assert again.damaged == 0


def test_publishing_happens_by_itself(volume, key, answer):
    journal = Journal.open(str(volume), publish_every=0.01)
    fill(journal, key, answer, range(5))
    with Journal.open(str(volume), mode="replay") as reader:
        for _ in range(1000):
            if volume.exists() and any(extent_of(str(path)) for path in volume.iterdir()):
                break
            journal._clock.sleep(0.01)
        reader.refresh()
        assert numbers_in(reader, key, 10) == set(range(5))
    journal.close()


def test_a_reader_needs_no_spool_and_makes_none(publishing, volume, key):
    journal = publishing(mode="replay")
    assert numbers_in(journal, key, 10) == set()
    assert not volume.exists()
    assert spooled(volume) == []


def test_what_nobody_answered_makes_no_files(publishing, volume):
    publishing().finish()
    publishing().close()
    assert published(volume) == []
    assert spooled(volume) == []


def test_closing_joins_the_small_files(publishing, volume, key, answer):
    with publishing() as journal:
        for number in range(10):
            fill(journal, key, answer, [number])
            publish_now(journal)
        assert len(published(volume)) == 10
    (name,) = published(volume)
    assert name.endswith("-000011.jsonl")
    assert numbers_in(publishing(), key, 20) == set(range(10))


def test_a_long_run_makes_few_files(publishing, volume, key, answer, monkeypatch):
    monkeypatch.setattr(publish, "MOST_SMALL", 5)
    monkeypatch.setattr(publish, "LARGEST", 3000)
    luck = random.Random(3)
    journal = publishing()
    for number in range(300):
        fill(journal, key, answer, [number], pad=luck.choice([0, 0, 0, 400, 5000]))
        if luck.random() < 0.7:
            publish_now(journal)
    publish_now(journal)
    size = os.path.getsize(os.path.join(storage.spool_folder(str(volume)), *spooled(volume)))
    assert len(published(volume)) < 5 + 2 * size / 3000
    extents = sorted(extent_of(str(volume / name)) for name in published(volume))
    assert extents[0].start == 0
    assert extents[-1].end == size
    assert [one.start for one in extents[1:]] == [one.end for one in extents[:-1]]
    assert all(extent.end - extent.start <= 3000 for extent in extents if extent.end < 3000)
    journal.close()
    assert numbers_in(publishing(), key) == set(range(300))


def test_another_process_of_this_machine_writes_beside(publishing, volume, key, answer):
    one, other = publishing(), publishing()
    fill(one, key, answer, range(5))
    fill(other, key, answer, range(5, 9))
    assert len(spooled(volume)) == 2
    one.close()
    assert len(spooled(volume)) == 1
    other.close()
    assert numbers_in(publishing(), key, 20) == set(range(9))


def test_trouble_is_said_once_and_mended_by_itself(
    publishing, volume, key, answer, monkeypatch, caplog
):
    journal = publishing()
    fill(journal, key, answer, range(5))
    publisher = journal._store.publisher()
    write = publish.write_piece
    tries = []

    def full(path, source, extent):
        tries.append(os.path.basename(path))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publish, "write_piece", full)
    publisher.attempt()
    publisher.attempt()
    monkeypatch.setattr(publish, "write_piece", write)
    publisher.attempt()
    publisher.attempt()
    assert [record.getMessage() for record in caplog.records] == [
        f"journal {volume}: answers cannot be published: no space left on device; they are kept "
        f"in {storage.spool_folder(str(volume))}, and publishing them is tried again every 1000 s",
        f"journal {volume}: answers are being published again",
    ]
    assert len(set(tries)) == 2, "no name is written twice"
    assert len(published(volume)) == 1


@pytest.mark.parametrize("end", ["finish", "close"])
def test_what_cannot_be_published_stays_for_the_next_run(
    publishing, volume, key, answer, monkeypatch, end
):
    journal = publishing()
    fill(journal, key, answer, range(3))
    publish_now(journal)
    fill(journal, key, answer, range(3, 5))

    def refused(path, source, extent):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as now:
        now.setattr(publish, "write_piece", refused)
        with pytest.raises(SinkError) as failed:
            getattr(journal, end)()
        if end == "finish":
            with pytest.raises(SinkError):
                journal.close()
    assert str(failed.value) == (
        f"journal {volume}: permission denied; the answers that it does not hold yet are kept in "
        f"{storage.spool_folder(str(volume))}; mend this and run the same command again on this "
        "machine; it continues"
    )
    assert failed.value.exit_code == 3
    assert len(published(volume)) == 1
    with publishing() as again:
        assert numbers_in(again, key, 10) == set(range(5))
    assert spooled(volume) == []
    # Only what was missing is published: the first three were there.
    extents = sorted(extent_of(str(volume / name)) for name in published(volume))
    assert extents[0].end == extents[1].start


def test_what_a_live_process_could_not_publish_is_left_to_it(
    publishing, volume, key, answer, monkeypatch
):
    journal = publishing()
    fill(journal, key, answer, range(3))

    def refused(path, source, extent):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as now, pytest.raises(SinkError):
        now.setattr(publish, "write_piece", refused)
        journal.finish()
    with publishing() as other:
        assert numbers_in(other, key, 10) == set(range(3))
    assert published(volume) == []
    assert len(spooled(volume)) == 1
    journal.close()
    assert len(published(volume)) == 1


def test_an_error_that_came_first_is_not_covered(
    publishing, volume, key, answer, monkeypatch, caplog
):
    def refused(path, source, extent):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as now, pytest.raises(ZeroDivisionError):
        now.setattr(publish, "write_piece", refused)
        with publishing() as journal:
            fill(journal, key, answer, range(3))
            raise ZeroDivisionError
    assert "permission denied; the answers that it does not hold yet are kept in" in caplog.text


def test_joining_that_fails_costs_nothing(publishing, volume, key, answer, monkeypatch):
    monkeypatch.setattr(publish, "MOST_SMALL", 3)
    journal = publishing()
    write = publish.write_piece

    def no_second_copy(path, source, extent):
        if extent.start == 0 and published(volume):
            raise OSError(28, "No space left on device")
        write(path, source, extent)

    with monkeypatch.context() as now:
        now.setattr(publish, "write_piece", no_second_copy)
        for number in range(6):
            fill(journal, key, answer, [number])
            publish_now(journal)
        assert len(published(volume)) == 6
    fill(journal, key, answer, [6])
    publish_now(journal)
    assert len(published(volume)) == 1
    assert numbers_in(publishing(), key, 10) == set(range(7))


def test_a_spool_that_cannot_be_made_is_said(publishing, volume, key, answer, tmp_path):
    (tmp_path / "spool").write_text("in the way")
    with pytest.raises(SinkError, match=r"journal .*/spool/.*: file exists; move the file"):
        fill(publishing(), key, answer, [1])


def test_files_of_a_lost_machine_are_read_as_far_as_they_go(publishing, volume, key, answer):
    with publishing() as journal:
        fill(journal, key, answer, range(5))
    (name,) = published(volume)
    whole = (volume / name).read_bytes()
    cut = whole.index(key(3).encode()) + 10
    (volume / name).write_bytes(whole[:cut])
    with publishing() as journal:
        assert numbers_in(journal, key, 10) == {0, 1, 2}
        assert journal.damaged == 0


def test_a_journal_copied_to_a_disk_is_one_like_any(publishing, volume, key, answer, tmp_path):
    with publishing() as journal:
        fill(journal, key, answer, range(3))
        journal.finish()
        fill(journal, key, answer, range(3, 6))
    here = tmp_path / "here.journal"
    here.mkdir()
    for name in published(volume):
        (here / name).write_bytes((volume / name).read_bytes())
    with Journal.open(str(here)) as journal:
        assert numbers_in(journal, key, 10) == set(range(6))
        journal.record(key(6), answer(1))
        journal.finish()
        assert journal.damaged == 0
    assert os.listdir(here) == ["answers.jsonl"]
    lines = (here / "answers.jsonl").read_bytes().splitlines()
    assert sorted(json.loads(line)["key"] for line in lines) == sorted(map(key, range(7)))


def test_a_spool_left_behind_is_published_without_a_new_answer(publishing, volume, key, answer):
    abandon(volume, range(4))
    assert published(volume) == []
    publishing(mode="replay").close()
    assert published(volume) == []
    publishing().close()
    assert len(published(volume)) == 1
    assert spooled(volume) == []
    assert numbers_in(publishing(), key, 10) == set(range(4))


def abandon(volume, numbers):
    """A process that records answers and is killed."""
    script = (
        "import hashlib, os, sys\n"
        "from dbrun import storage\n"
        "from dbrun.adapters.base import Answer\n"
        "from dbrun.client.journal import Journal\n"
        "storage.REMOTE_ROOTS = (sys.argv[1],)\n"
        "journal = Journal.open(sys.argv[2], publish_every=1000)\n"
        "for number in map(int, sys.argv[3:]):\n"
        "    key = hashlib.sha256(str(number).encode()).hexdigest()\n"
        "    journal.record(key, Answer(body={'n': number}))\n"
        "os._exit(9)\n"
    )
    roots = [str(volume.parent) + "/", str(volume), *map(str, numbers)]
    done = subprocess.run([sys.executable, "-c", script, *roots], check=False)
    assert done.returncode == 9


KILLED = """
import hashlib, json, os, sys
from dbrun import storage
from dbrun.adapters.base import Answer
from dbrun.client.journal import Journal, compact, publish

volume, spool = sys.argv[1:]
os.fsync = lambda fd: None  # nothing here loses power
storage.REMOTE_ROOTS = (volume + "/",)
publish.MOST_SMALL, publish.LARGEST, compact._BLOCK = 3, 700, 500
left = [0]


def counted(name, torn=False):
    made = getattr(os, name)

    def call(*given, **more):
        left[0] -= name != "open" or bool(given[1] & os.O_CREAT)
        if not left[0]:
            if torn:
                made(given[0], bytes(given[1])[: len(given[1]) // 2])
            os._exit(9)
        return made(*given, **more)

    setattr(os, name, call)


def work(say):
    journal = Journal.open(volume + "/x.journal", publish_every=1000)
    for number in range(12):
        key = hashlib.sha256(str(number).encode()).hexdigest()
        journal.record(key, Answer(body={"n": number, "pad": "x" * (number % 4 * 90)}))
        say("recorded", number)
        if number % 2:
            journal._store.publisher().publish()
            say("published", number)
        if number == 3:
            journal.finish()
    journal.finish()
    journal.close()
    os._exit(0)


def run(at):
    out, told = os.pipe()
    pid = os.fork()
    if not pid:
        os.environ["DBRUN_SPOOL"] = spool
        write = os.write
        counted("open")
        counted("unlink")
        counted("write", torn=True)
        left[0] = at
        work(lambda what, number: write(told, f"{what} {number}\\n".encode()))
    os.close(told)
    with open(out) as said:
        lines = said.read().splitlines()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), lines


def known(spool, **options):
    os.environ["DBRUN_SPOOL"] = spool
    with Journal.open(volume + "/x.journal", **options) as journal:
        assert journal.damaged == 0
        found = [entry.body["n"] for _, entry in journal.items()]
        if options.get("mode") != "replay":
            journal.finish()
    return found


def clear(folder):
    for path, folders, files in os.walk(folder, topdown=False):
        for name in files:
            os.unlink(os.path.join(path, name))
        for name in folders:
            os.rmdir(os.path.join(path, name))


moments = 0
for at in range(1, 100000):
    code, lines = run(at)
    recorded = {int(line[9:]) for line in lines if line.startswith("recorded")}
    published = max([int(line[10:]) for line in lines if line.startswith("published")], default=-1)
    here, elsewhere = known(spool, mode="replay"), known(spool + "-other", mode="replay")
    assert recorded <= set(here), (at, recorded, here)
    assert set(range(published + 1)) <= set(elsewhere), (at, published, elsewhere)
    # The next process takes over, and leaves nothing behind.
    after = known(spool)
    assert sorted(after) == sorted(here), (at, here, after)
    assert sorted(known(spool + "-other", mode="replay")) == sorted(here), at
    for path, _, files in os.walk(spool):
        assert set(files) <= {"answers.partial"}, (at, path, files)
    clear(volume), clear(spool)
    if code == 0:
        break
    moments += 1
print(moments)
"""


def test_a_kill_at_any_moment_loses_nothing_on_this_machine_and_little_elsewhere(tmp_path):
    """The process ends, for good, at each of the calls that change a disk, writes half done."""
    (tmp_path / "volume").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "volume"), str(tmp_path / "spool")],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50
