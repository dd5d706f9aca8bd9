"""One run a sink, and no lock that outlives its holder."""

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
SinkLock(sys.argv[1]).acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(folder):
    """Another process that holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_run_is_refused_and_told_who_is_at_it(folder, holder):
    with pytest.raises(SinkInUse, match=rf"\(process {holder.pid} on .+ since 20\d\d-") as refused:
        SinkLock(folder).acquire()
    assert folder in refused.value.message
    assert refused.value.hint
    assert refused.value.exit_code == 2


def test_the_lock_dies_with_its_holder(folder, holder):
    holder.kill()
    holder.wait()
    with SinkLock(folder):
        assert os.path.exists(os.path.join(folder, "lock"))


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


@pytest.mark.parametrize("said", [b"", b"{", b"[]", b'{"pid": 1}', b"\xff\xfe"])
def test_a_holder_that_does_not_tell_is_not_named(folder, said):
    with SinkLock(folder):
        with open(os.path.join(folder, "lock"), "wb") as file:
            file.write(said)
        with pytest.raises(SinkInUse, match="another run is writing this sink;"):
            SinkLock(folder).acquire()


def test_what_a_killed_run_left_is_overwritten(folder):
    os.makedirs(folder)
    with open(os.path.join(folder, "lock"), "w") as file:
        file.write("x" * 10_000)
    with SinkLock(folder), pytest.raises(SinkInUse, match=f"process {os.getpid()} on"):
        SinkLock(folder).acquire()


def test_only_one_of_many_threads_holds_it_at_a_time(folder):
    inside, most, refused = [], [], []

    def work():
        for _ in range(10):
            try:
                with SinkLock(folder):
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
    def refuse(fd):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock, "_lock", refuse)
    with SinkLock(folder), SinkLock(folder):
        assert os.listdir(folder) == ["lock"]
    with open(os.devnull) as file:
        assert try_lock(file.fileno()) is None


def test_a_file_in_the_way_is_said_with_its_mend(folder):
    os.makedirs(os.path.dirname(folder))
    open(folder, "w").close()
    with pytest.raises(SinkError, match=r"results\.jsonl\.journal: file exists; move the file"):
        SinkLock(folder).acquire()
