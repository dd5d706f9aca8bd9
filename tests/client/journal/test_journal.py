"""The journal as a whole: modes, generations, and a dict that it must always agree with."""

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dbrun.adapters.base import Answer
from dbrun.client.journal import Entry, Journal, segment, store
from dbrun.client.waiting import blocking
from dbrun.errors import SinkError


def files(folder):
    return sorted(os.listdir(folder))


def test_an_answer_is_found_at_once_and_later(opened, key, answer):
    journal = opened()
    raw = b'{"id": 1,  "text":"\\ud800 yes"}'
    body = {"id": 1, "text": "\ud800 yes"}
    told = journal.record(key("a"), answer(body, raw, "m-2"), {"latency": 0.25})
    assert told == journal.lookup(key("a")) == opened().lookup(key("a"))
    assert told == Entry(body=body, model="m-2", generation=1, extra={"latency": 0.25})
    assert journal.lookup(key("b")) is None


def test_counts(opened, key, answer, folder):
    journal = opened()
    assert (journal.entries, journal.segments, journal.bytes_, journal.damaged) == (0, 0, 0, 0)
    for name in "abca":
        journal.record(key(name), answer(name))
    size = os.path.getsize(os.path.join(folder, files(folder)[0]))
    for each in (journal, opened()):
        assert (each.entries, each.segments, each.bytes_) == (3, 1, size)
    assert [(k, e.body) for k, e in journal.items()] == sorted((key(name), name) for name in "abc")


def test_nothing_is_created_before_the_first_answer(opened, folder, key):
    journal = opened()
    assert journal.lookup(key("a")) is None
    journal.sync()
    journal.finish()
    assert not os.path.exists(folder)


def test_the_newest_answer_wins(opened, key, answer):
    journal = opened()
    journal.record(key("a"), answer(1))
    journal.record(key("a"), answer(2))
    assert journal.lookup(key("a")).body == opened().lookup(key("a")).body == 2
    opened().record(key("a"), answer(3))
    assert opened().lookup(key("a")).body == 3


def test_unknown_modes_are_refused(folder):
    with pytest.raises(ValueError, match="unknown journal mode 'reply': there are reuse, refresh"):
        Journal.open(folder, mode="reply")


def test_it_closes_with_its_block(folder, key, answer):
    with Journal.open(folder) as journal:
        journal.record(key("a"), answer(1))
    with Journal.open(folder) as journal:
        assert journal.lookup(key("a")).body == 1


class TestGenerations:
    def test_refresh_sees_only_what_is_answered_anew(self, opened, key, answer):
        opened().record(key("a"), answer("old"))
        journal = opened(mode="refresh")
        assert journal.begin_generation("fresh", "f") == journal.generation == 2
        assert journal.lookup(key("a")) is None
        assert journal.claim(key("a")).leads
        journal.record(key("a"), answer("new"))
        assert journal.lookup(key("a")) == Entry(body="new", generation=2)
        assert opened().lookup(key("a")).body == "new"

    def test_an_unfinished_one_is_continued_by_the_same_command(self, opened, key, answer):
        opened().record(key("a"), answer("old"))
        killed = opened(mode="refresh")
        killed.begin_generation("fresh", "f")
        killed.record(key("b"), answer("new"))
        killed.close()
        again = opened(mode="refresh")
        assert again.begin_generation("fresh", "f") == 2
        assert again.lookup(key("a")) is None
        assert again.lookup(key("b")).body == "new"
        again.finish()
        after = opened(mode="refresh")
        assert after.begin_generation("fresh", "f") == 3
        assert after.lookup(key("b")) is None

    def test_only_the_run_that_began_it_ends_it(self, opened, key, answer):
        opened(mode="refresh").begin_generation("fresh", "f")
        ordinary = opened()
        ordinary.record(key("a"), answer(1))
        ordinary.finish()
        again = opened(mode="refresh")
        assert again.begin_generation("fresh", "f") == 2
        assert again.lookup(key("a")).body == 1  # asked since then, and paid for

    def test_since_asks_for_newer_ones_row_by_row(self, opened, key, answer):
        journal = opened()
        journal.record(key("bad"), answer("?"))
        journal.record(key("good"), answer("!"))
        since = journal.begin_generation("only-errors", "f")
        assert journal.lookup(key("good")).body == "!"
        assert journal.lookup(key("bad"), since) is None
        assert journal.claim(key("bad"), since).leads
        journal.record(key("bad"), answer("!"))
        assert journal.lookup(key("bad"), since).body == "!"

    def test_a_later_generation_wins_over_a_later_line(self, opened, key, answer):
        slow = opened()
        fresh = opened(mode="refresh")
        fresh.begin_generation("fresh", "f")
        fresh.record(key("a"), answer("new"))
        slow.record(key("a"), answer("late"))
        for _ in range(2):
            assert opened().lookup(key("a")).body == "new"
            fresh.close()
            slow.close()
            opened().compact()

    def test_a_lost_state_file_does_not_lower_the_generation(self, opened, key, answer, folder):
        journal = opened()
        journal.begin_generation("fresh", "f")
        journal.record(key("a"), answer(1))
        os.unlink(os.path.join(folder, "state.json"))
        again = opened()
        assert again.generation == 2
        assert again.begin_generation("fresh", "f") == 3


class TestReplay:
    def test_a_missing_folder_is_an_empty_journal(self, opened, key, folder):
        journal = opened(mode="replay")
        assert journal.lookup(key("a")) is None
        assert journal.recall("host") is None
        journal.finish()
        assert not os.path.exists(folder)

    def test_it_reads_and_never_writes(self, opened, key, answer, folder):
        first = opened()
        first.record(key("a"), answer(1))
        first.remember("host", "h")
        first.close()
        before = [(name, os.stat(os.path.join(folder, name))) for name in files(folder)]
        os.chmod(folder, 0o555)
        try:
            journal = opened(mode="replay")
            assert journal.lookup(key("a")).body == 1
            assert journal.recall("host") == "h"
            journal.remember("host", "other")
            assert journal.begin_generation("fresh", "f") == 2
            assert not journal.compact()
            journal.finish()
            journal.sync()
        finally:
            os.chmod(folder, 0o755)
        assert [(name, os.stat(os.path.join(folder, name))) for name in files(folder)] == before

    @pytest.mark.parametrize("options", [{"mode": "replay"}, {"writable": False}])
    def test_recording_is_refused(self, opened, key, answer, folder, options):
        with pytest.raises(SinkError, match="open for reading only"):
            opened(**options).record(key("a"), answer(1))
        assert not os.path.exists(folder)


class TestOff:
    def test_nothing_is_read_or_written(self, opened, key, answer, folder):
        opened().record(key("a"), answer(1))
        before = files(folder)
        journal = opened(mode="off")
        assert journal.lookup(key("a")) is None
        told = journal.record(key("b"), answer({"x": 1}, model="m"))
        assert told == Entry(body={"x": 1}, model="m")
        assert journal.lookup(key("b")) is None
        journal.remember("host", "h")
        assert journal.recall("host") == "h"
        journal.begin_generation("fresh", "f")
        journal.refresh()
        journal.finish()
        assert files(folder) == before
        assert opened().recall("host") is None

    def test_equal_requests_still_share_a_call(self, opened, key, answer):
        journal = opened(mode="off")
        first, second = journal.claim(key("a")), journal.flight().claim(key("a"))
        assert (first.leads, second.leads) == (True, False)
        first.settle(journal.record(key("a"), answer(1)))
        assert blocking(second.wait()).body == 1


class TestDamage:
    def last_line(self, folder):
        path = os.path.join(folder, files(folder)[-1])
        with open(path, "rb") as file:
            *before, last = file.read().splitlines(keepends=True)
        return path, b"".join(before), last

    def test_a_line_whose_body_rotted_is_no_answer(self, opened, key, answer, folder):
        journal = opened()
        for name in "ab":
            journal.record(key(name), answer({"text": name}))
        journal.close()
        path, before, last = self.last_line(folder)
        with open(path, "wb") as file:
            file.write(before + last.replace(b'{"text"', b'{text"'))
        journal = opened()
        assert journal.lookup(key("a")).body == {"text": "a"}
        assert (journal.entries, journal.damaged) == (2, 0)
        for _ in range(2):
            assert journal.lookup(key("b")) is None
            assert (journal.entries, journal.damaged) == (1, 1)
        journal.record(key("b"), answer("again"))
        assert journal.lookup(key("b")).body == "again"
        journal.finish()
        assert [e.body for _, e in journal.items()].count("again") == 1
        assert opened().damaged == 0

    def test_a_line_that_turned_into_another_keys_is_no_answer(self, opened, key, answer, folder):
        journal = opened()
        journal.record(key("a"), answer(1))
        path, before, last = self.last_line(folder)
        with open(path, "r+b") as file:
            file.write(before + last.replace(key("a").encode(), key("b").encode()))
        assert journal.lookup(key("a")) is None

    def test_damaged_lines_are_passed_over_when_listing(self, opened, key, answer, folder):
        journal = opened()
        for name in "ab":
            journal.record(key(name), answer({"text": name}))
        path, before, last = self.last_line(folder)
        with open(path, "r+b") as file:
            file.write(before + last.replace(b'{"text"', b'{text"'))
        assert [entry.body for _, entry in journal.items()] == [{"text": "a"}]
        assert journal.damaged == 1

    def test_every_torn_tail_costs_its_line_only(self, opened, key, answer, folder):
        journal = opened()
        for name in range(3):
            journal.record(key(name), answer({"n": name, "text": "ä"}, model="m"))
        journal.finish()
        journal.record(key(3), answer(3))
        journal.record(key(4), answer({"text": "ü" * 10}))
        journal.close()
        path = os.path.join(folder, files(folder)[0])
        assert "answers" not in path
        with open(path, "rb") as file:
            whole = file.read()
        cut = len(whole.splitlines(keepends=True)[0])
        for end in range(cut, len(whole)):
            with open(path, "wb") as file:
                file.write(whole[:end])
            again = opened(mode="replay")
            assert [again.lookup(key(name)) is not None for name in range(5)] == [True] * 4 + [
                False
            ]
            assert again.damaged == 0
            again.close()

    def test_keys_with_the_same_beginning_are_told_apart(self, opened, answer):
        keys = ["0123456789abcdef" + digit * 48 for digit in "fa07"]
        journal = opened()
        for number, key in enumerate(keys):
            journal.record(key, answer(number))
            journal.record(key, answer([number]))
        for _ in range(2):
            for each in (journal, opened()):
                assert [each.lookup(key).body for key in keys] == [[0], [1], [2], [3]]
                assert each.lookup("0123456789abcdef" + "1" * 48) is None
                assert [key for key, _ in each.items()] == sorted(keys)
            journal.finish()


class TestTrouble:
    def test_a_full_disk_is_said_and_leaves_a_journal_that_goes_on(
        self, opened, key, answer, folder, monkeypatch
    ):
        journal = opened()
        journal.record(key("a"), answer(1))

        def full(fd, data):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(SinkError, match=r"-[0-9a-f]{8}\.jsonl: no space left.*; free some"):
            journal.record(key("b"), answer(2))
        monkeypatch.undo()
        assert journal.lookup(key("b")) is None
        journal.record(key("c"), answer(3))
        assert [opened().lookup(key(name)) is not None for name in "abc"] == [True, False, True]
        assert journal.segments == 1

    def test_a_segment_that_cannot_be_cut_back_is_left(
        self, opened, key, answer, folder, monkeypatch
    ):
        journal = opened()
        journal.record(key("a"), answer(1))
        write = os.write

        def failing(fd, data):
            if len(data) > 60:
                return write(fd, bytes(data[:60]))
            raise OSError(5, "Input/output error")

        def refuse(fd, size):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "write", failing)
        monkeypatch.setattr(os, "ftruncate", refuse)
        with pytest.raises(SinkError, match="input/output error"):
            journal.record(key("b"), answer(2))
        monkeypatch.undo()
        journal.record(key("c"), answer(3))
        for each in (journal, opened()):
            assert [each.lookup(key(name)) is not None for name in "abc"] == [True, False, True]
        journal.finish()
        assert files(folder) == ["answers.jsonl"]
        assert (opened().entries, opened().damaged) == (2, 0)

    def test_a_file_in_the_way_is_said(self, opened, folder):
        os.makedirs(os.path.dirname(folder))
        open(folder, "w").close()
        with pytest.raises(SinkError, match=r"results\.jsonl\.journal: not a directory; move"):
            opened()

    def test_a_file_that_cannot_be_read_is_said(self, opened, key, answer, monkeypatch):
        journal = opened()
        journal.record(key("a"), answer(1))

        def broken(fd, size, offset):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "pread", broken)
        with pytest.raises(SinkError, match="input/output error; mend this"):
            journal.lookup(key("a"))

    def test_a_failing_sync_is_said(self, opened, key, answer, monkeypatch):
        journal = opened()
        journal.record(key("a"), answer(1))

        def broken(fd):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(SinkError, match="input/output error"):
            journal.sync()


def test_lines_are_synced_every_other_second_at_the_latest(opened, key, answer, clock, monkeypatch):
    synced = []
    journal = opened()
    journal.record(key("first"), answer(0))
    monkeypatch.setattr(os, "fsync", synced.append)
    for tenth in range(45):
        clock.seconds = tenth / 10
        journal.record(key(tenth), answer(tenth))
    assert len(synced) == 2
    journal.sync()
    journal.sync()
    assert len(synced) == 3


def test_more_files_than_are_kept_open(opened, key, answer, folder, monkeypatch):
    monkeypatch.setattr(store, "_KEPT_OPEN", 3)
    for name in range(8):
        with opened() as journal:
            journal.record(key(name), answer(name))
    journal = opened()
    assert journal.segments == 8
    assert [journal.lookup(key(name)).body for name in range(8)] == list(range(8))
    other = opened()
    assert opened().compact()
    other.refresh()
    for each in (journal, other):  # also of files that were taken away while they were not open
        assert [each.lookup(key(name)).body for name in range(8)] == list(range(8))
        assert each.damaged == 0
    assert files(folder) == ["answers.jsonl"]


def test_without_pread_reading_is_the_same(opened, key, answer, monkeypatch):
    monkeypatch.setattr(segment, "_HAS_PREAD", False)
    journal = opened()
    for name in range(50):
        journal.record(key(name), answer({"n": name}))
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda name: journal.lookup(key(name % 50)).body["n"], range(400))
        assert list(found) == [name % 50 for name in range(400)]


def test_threads_write_and_read_together(opened, key, answer):
    journal = opened()

    def work(worker):
        for number in range(200):
            name = (worker, number)
            journal.record(key(name), answer({"name": name, "pad": "x" * (number % 97)}))
            assert journal.lookup(key(name)).body["name"] == list(name)
            shared = key(("shared", number % 5))
            journal.record(shared, answer(list(name)))
            assert journal.lookup(shared) is not None
        return worker

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == list(range(8))
    assert journal.damaged == 0
    for each in (journal, opened()):
        assert each.entries == 8 * 200 + 5
        for worker in range(8):
            for number in range(200):
                assert each.lookup(key((worker, number))).body["name"] == [worker, number]


class AgreesWithADict(RuleBasedStateMachine):
    """Any order of recording, reopening, folding, crashing and asking anew."""

    names = st.integers(0, 12)

    @initialize()
    def start(self):
        self.folder = tempfile.mkdtemp()
        self.path = os.path.join(self.folder, "x.journal")
        self.journal = Journal.open(self.path)
        self.model = {}
        self.number = 0
        self.open_generation = None

    def key(self, name):
        # Some keys share their first 64 bits.
        return f"{name % 5:016x}{name:048x}"

    @rule(name=names, model=st.none() | st.text(max_size=3))
    def record(self, name, model):
        self.number += 1
        body = {"n": self.number, "pad": "x" * (self.number * 7 % 50)}
        told = self.journal.record(self.key(name), Answer(body=body, model=model))
        assert told.generation == self.journal.generation
        self.model[name] = told

    @rule(name=names, since=st.integers(0, 6))
    def lookup_since(self, name, since):
        known = self.model.get(name)
        found = self.journal.lookup(self.key(name), since)
        assert found == (known if known and known.generation >= since else None)

    @rule(mode=st.sampled_from(["reuse", "replay"]), tear=st.booleans())
    def reopen(self, mode, tear):
        self.journal.close()
        if tear:
            self.tear()
        if mode == "replay":
            with Journal.open(self.path, mode="replay") as journal:
                assert dict(journal.items()) == self.by_key()
        self.journal = Journal.open(self.path)

    def tear(self):
        """A line that another process was killed in the middle of."""
        os.makedirs(self.path, exist_ok=True)
        with open(os.path.join(self.path, f"torn{self.number}.jsonl"), "wb") as file:
            file.write(b'{"key":"' + self.key(1).encode() + b'","generation":1,"bod')

    @rule(kind=st.sampled_from(["fresh", "only-errors"]), fingerprint=st.sampled_from("ab"))
    def begin(self, kind, fingerprint):
        before = self.journal.generation
        generation = self.journal.begin_generation(kind, fingerprint)
        newest = max((entry.generation for entry in self.model.values()), default=1)
        assert generation > newest or generation <= before
        if generation < newest:  # the older of two unfinished ones: its answers come too late
            self.reopen("reuse", tear=False)

    @rule()
    def finish(self):
        self.journal.finish()
        if os.path.exists(self.path):
            assert set(os.listdir(self.path)) <= {"answers.jsonl", "state.json"}

    @rule()
    def fold_by_another_process(self):
        with Journal.open(self.path) as other:
            other.compact()

    @rule(name=names)
    def prune(self, name):
        self.journal.close()
        with Journal.open(self.path) as other:
            other.compact(keep=lambda key: key != self.key(name))
        self.model.pop(name, None)
        self.journal = Journal.open(self.path)

    @invariant()
    def all_is_there(self):
        assert self.journal.entries == len(self.model)
        for name in range(13):
            assert self.journal.lookup(self.key(name)) == self.model.get(name)

    def by_key(self):
        return {self.key(name): entry for name, entry in self.model.items()}

    def teardown(self):
        if hasattr(self, "journal"):
            assert self.journal.damaged == 0
            self.journal.close()
            shutil.rmtree(self.folder)


TestAgreesWithADict = AgreesWithADict.TestCase
TestAgreesWithADict.settings = settings(max_examples=40, stateful_step_count=25)
