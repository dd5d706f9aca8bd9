"""One run a sink, several sinks a journal, and no lock that outlives its holder."""

import contextlib
import os
import subprocess
import sys
import threading

import pytest

from dbrun.client.journal import SinkLock, lock
from dbrun.client.journal.lock import try_lock
from dbrun.errors import SinkError, SinkInUse

HOLD = """
import sys
from dbrun.client.journal import SinkLock
held = SinkLock(sys.argv[1], *sys.argv[2:])
held.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def hold(folder):
    """Have another process hold the lock of a sink, or of the journal; gives the process."""
    with contextlib.ExitStack() as stack:

        def start(*sink):
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", HOLD, folder, *sink],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            stack.callback(process.kill)
            assert process.stdout.readline() == b"held\n"
            return process

        yield start


@pytest.fixture
def holder(hold):
    """Another process that holds the lock."""
    return hold("a.jsonl")


@pytest.mark.parametrize(
    ("sink", "what"), [("a.jsonl", "writing this sink"), (None, "writing this journal")]
)
def test_a_second_run_is_refused_and_told_who_is_at_it(folder, holder, sink, what):
    told = rf"another run is {what} \(process {holder.pid} on .+ since 20\d\d-"
    with pytest.raises(SinkInUse, match=told) as refused:
        SinkLock(folder, sink).acquire()
    assert folder in refused.value.message
    assert refused.value.hint
    assert refused.value.exit_code == 2


def test_the_lock_dies_with_its_holder(folder, holder):
    holder.kill()
    holder.wait()
    with SinkLock(folder, "a.jsonl"):
        assert len(os.listdir(folder)) == 2
    assert not os.path.exists(folder)


def test_runs_of_several_sinks_share_the_journal(folder, hold):
    theirs = hold("a.jsonl")
    with SinkLock(folder, "b.jsonl"), SinkLock(folder, "../c/a.jsonl"):
        with pytest.raises(SinkInUse, match=rf"this sink \(process {os.getpid()} on"):
            SinkLock(folder, "b.jsonl").acquire()
        theirs.kill()
        theirs.wait()
        with SinkLock(folder, "a.jsonl"):
            pass
    with SinkLock(folder):
        assert os.listdir(folder) == ["lock"]
    assert not os.path.exists(folder)


@pytest.mark.parametrize("last", [0, 1, 2])
def test_whoever_is_last_clears_up(folder, last):
    sinks = [SinkLock(folder, str(number)) for number in range(3)]
    for sink in sinks:
        sink.acquire()
    open(os.path.join(folder, "claims"), "w").close()
    for number in {0, 1, 2} - {last}:
        sinks[number].release()
        assert "claims" in os.listdir(folder)
        with pytest.raises(SinkInUse):
            SinkLock(folder).acquire()
    sinks[last].release()
    assert not os.path.exists(folder)


def test_what_is_alone_with_the_journal_keeps_runs_out(folder, hold):
    theirs = hold()
    told = rf"another run is writing this journal \(process {theirs.pid} on"
    with pytest.raises(SinkInUse, match=told):
        SinkLock(folder, "a.jsonl").acquire()
    theirs.kill()
    theirs.wait()
    with SinkLock(folder, "a.jsonl"):
        pass


def test_it_is_taken_and_given_back(folder, clock):
    for _ in range(2):
        with SinkLock(folder, clock=clock), pytest.raises(SinkInUse, match="2026-03-21T10:15:30"):
            SinkLock(folder).acquire()


def test_nothing_stays_behind(folder):
    with SinkLock(folder):
        pass
    assert not os.path.exists(folder)


def test_a_folder_that_holds_something_stays(folder):
    with SinkLock(folder):
        open(os.path.join(folder, "answers.jsonl"), "w").close()
    assert os.listdir(folder) == ["answers.jsonl"]


def test_giving_back_twice_is_harmless(folder):
    held = SinkLock(folder)
    held.release()
    held.acquire()
    held.release()
    held.release()
    with SinkLock(folder):
        held.release()
        with pytest.raises(SinkInUse):
            SinkLock(folder).acquire()


def test_a_sink_is_refused_though_its_holder_does_not_tell(folder):
    with SinkLock(folder, "a.jsonl"):
        (name,) = set(os.listdir(folder)) - {"lock"}
        open(os.path.join(folder, name), "w").close()
        with pytest.raises(SinkInUse, match="another run is writing this sink;"):
            SinkLock(folder, "a.jsonl").acquire()


@pytest.mark.parametrize("said", [b"", b"{", b"[]", b'{"pid": 1}', b"\xff\xfe"])
def test_a_holder_that_does_not_tell_is_not_named(folder, said):
    with SinkLock(folder):
        with open(os.path.join(folder, "lock"), "wb") as file:
            file.write(said)
        with pytest.raises(SinkInUse, match="another run is writing this journal;"):
            SinkLock(folder).acquire()


def test_what_a_killed_run_left_is_overwritten(folder):
    os.makedirs(folder)
    with open(os.path.join(folder, "lock"), "w") as file:
        file.write("x" * 10_000)
    with SinkLock(folder), pytest.raises(SinkInUse, match=f"process {os.getpid()} on"):
        SinkLock(folder).acquire()


@pytest.mark.parametrize("sink", [None, "a.jsonl"])
def test_only_one_of_many_threads_holds_it_at_a_time(folder, sink):
    inside, most, refused = [], [], []

    def work():
        for _ in range(10):
            try:
                with SinkLock(folder, sink):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
            except SinkInUse:
                refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(most) + len(refused) == 40
    assert set(most) == {1}


def test_a_file_system_without_locks_lets_the_run_go_on(folder, monkeypatch):
    def refuse(fd, shared):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock, "_lock", refuse)
    with SinkLock(folder), SinkLock(folder):
        assert os.listdir(folder) == ["lock"]
        with SinkLock(folder, "a.jsonl"):
            pass
    with open(os.devnull) as file:
        assert try_lock(file.fileno()) is None


def test_a_file_in_the_way_is_said_with_its_mend(folder):
    os.makedirs(os.path.dirname(folder))
    open(folder, "w").close()
    with pytest.raises(SinkError, match=r"results\.jsonl\.journal: file exists; move the file"):
        SinkLock(folder).acquire()
