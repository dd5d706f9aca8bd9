"""One run a journal where there are no locks: signs of life, and what is done without them."""

import json
import os
import subprocess
import sys

import pytest

from dbrun import storage
from dbrun.client.journal import SinkLock, heartbeat
from dbrun.client.journal.heartbeat import BEAT, PATIENCE, Heartbeat
from dbrun.errors import SinkError, SinkInUse

from .conftest import StillClock

HOLD = """
import sys
from dbrun import storage
from dbrun.client.journal import SinkLock
storage.REMOTE_ROOTS = (sys.argv[1],)
SinkLock(sys.argv[2]).acquire()
print("held", flush=True)
sys.stdin.read()
"""
STRANGER = {"pid": 7, "host": "lost", "since": "2026-03-21T09:00:00+00:00", "beats": 3}


class SleptClock(StillClock):
    """Its time passes when somebody sleeps; *meanwhile* is called with the time then."""

    def __init__(self, meanwhile=lambda seconds: None):
        super().__init__()
        self.meanwhile = meanwhile

    def sleep(self, seconds, stop=None):
        if stop is not None:
            return stop.wait()  # the thread that gives signs of life rests
        self.seconds += seconds
        self.meanwhile(self.seconds)
        return False


@pytest.fixture
def slept():
    return SleptClock()


@pytest.fixture
def holder(volume):
    """Another process of this machine that holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, f"{volume.parent}/", str(volume)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def claims(volume):
    return sorted(name for name in os.listdir(volume) if name.startswith("lock-"))


def stranger(volume, **said):
    """The file of a run on another machine; writes it anew when called."""
    volume.mkdir(parents=True, exist_ok=True)
    path = volume / "lock-00000000000000aa.json"
    path.write_text(json.dumps({**STRANGER, **said}))
    return path


def test_it_is_taken_and_given_back(volume, slept):
    for _ in range(2):
        with SinkLock(str(volume), clock=slept) as lock:
            (name,) = claims(volume)
            said = json.loads((volume / name).read_text())
            assert said["pid"] == os.getpid()
            assert said["since"] == said["at"] == "2026-03-21T10:15:30+00:00"
            lock.check()
        assert not volume.exists()
    assert slept.seconds == 0
    assert not os.path.exists(storage.spool_folder(str(volume)))


def test_a_run_on_this_machine_is_refused_at_once(volume, holder, slept):
    with pytest.raises(SinkInUse, match=rf"\(process {holder.pid} on .+ since 20\d\d-") as refused:
        SinkLock(str(volume), clock=slept).acquire()
    assert refused.value.exit_code == 2
    assert slept.seconds == 0


def test_a_killed_run_of_this_machine_is_not_waited_for(volume, holder, slept):
    holder.kill()
    holder.wait()
    with SinkLock(str(volume), clock=slept):
        assert len(claims(volume)) == 1
    assert slept.seconds == 0
    assert not os.path.exists(storage.spool_folder(str(volume)))


def test_a_run_that_is_not_heard_of_any_more_is_outlasted(volume, slept, caplog):
    stranger(volume)
    with SinkLock(str(volume), clock=slept):
        assert len(claims(volume)) == 1
    assert PATIENCE <= slept.seconds < PATIENCE + 2
    assert caplog.messages == [
        f"{volume}: another run may be writing this journal (process 7 on lost since "
        "2026-03-21T09:00:00+00:00); waiting up to 90 s for a sign of life"
    ]


@pytest.mark.parametrize("at", [1, BEAT, PATIENCE - 1])
def test_a_run_that_gives_a_sign_of_life_is_left_alone(volume, slept, at):
    path = stranger(volume)

    def beat(seconds):
        if seconds >= at:
            stranger(volume, beats=4)

    slept.meanwhile = beat
    with pytest.raises(SinkInUse, match=r"another run is writing this journal \(process 7 on lost"):
        SinkLock(str(volume), clock=slept).acquire()
    assert slept.seconds < at + 2
    assert claims(volume) == [path.name]


def test_a_run_that_ends_while_it_is_watched_is_not_waited_for(volume, slept):
    path = stranger(volume)
    slept.meanwhile = lambda seconds: seconds >= 5 and path.unlink(missing_ok=True)
    with SinkLock(str(volume), clock=slept):
        assert len(claims(volume)) == 1
    assert slept.seconds < 7


@pytest.mark.parametrize("torn", ["", "{", "[]", '{"pid": 1}'])
def test_a_torn_file_is_one_like_any(volume, slept, torn):
    stranger(volume).write_text(torn)
    with SinkLock(str(volume), clock=slept):
        assert len(claims(volume)) == 1
    assert slept.seconds >= PATIENCE
    slept.seconds = 0
    stranger(volume).write_text(torn)
    slept.meanwhile = lambda seconds: stranger(volume)
    with pytest.raises(SinkInUse, match=r"another run is writing this journal \(process 7"):
        SinkLock(str(volume), clock=slept).acquire()


@pytest.mark.parametrize("unread", [{0, 1, 2}, {3, 4}, {1}])
def test_a_file_that_cannot_be_read_for_a_while_is_no_sign_of_life(
    volume, slept, monkeypatch, unread
):
    stranger(volume)
    read, looks = Heartbeat._read, []

    def failing(self, token):
        looks.append(token)
        return None if len(looks) - 1 in unread else read(self, token)

    monkeypatch.setattr(Heartbeat, "_read", failing)
    with SinkLock(str(volume), clock=slept):
        assert slept.seconds >= PATIENCE


def test_of_two_that_begin_at_once_one_steps_back(volume, slept, monkeypatch):
    """The other announces itself between our look and our own announcement."""
    announce = Heartbeat._announce
    met = []

    def late(self):
        announce(self)
        if not met:
            met.append(stranger(volume))

    monkeypatch.setattr(Heartbeat, "_announce", late)
    seen = []
    slept.meanwhile = lambda seconds: (seen.append(claims(volume)), met[0].unlink(missing_ok=True))
    with SinkLock(str(volume), clock=slept):
        assert seen == [[met[0].name]], "ours was taken back"
        assert len(claims(volume)) == 1
    assert slept.seconds <= 1


def test_a_run_that_was_taken_for_lost_says_so_at_its_end(volume, slept):
    with SinkLock(str(volume), clock=slept) as lock:
        (ours,) = claims(volume)
        (volume / ours).unlink()
        stranger(volume)
        said = r"another one writes the journal now \(process 7"
        with pytest.raises(SinkError, match=said) as lost:
            lock.check()
        assert lost.value.exit_code == 3
        with pytest.raises(SinkError):
            lock.check()
    assert claims(volume) == ["lock-00000000000000aa.json"]


def test_a_run_that_was_taken_for_lost_by_one_that_has_ended_goes_on(volume, slept):
    with SinkLock(str(volume), clock=slept) as lock:
        (ours,) = claims(volume)
        (volume / ours).unlink()
        lock.check()
        assert claims(volume) == [ours]


def test_signs_of_life_are_given_by_themselves_through_trouble(volume, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT", 0.01)
    write = heartbeat.write_anew
    failures = [0]

    def failing(path, data):
        if 0 < failures[0] < 4:
            failures[0] += 1
            raise OSError(5, "Input/output error")
        write(path, data)

    monkeypatch.setattr(heartbeat, "write_anew", failing)
    with SinkLock(str(volume)) as lock:
        (ours,) = claims(volume)
        failures[0] = 1
        for _ in range(1000):
            if (
                failures[0] == 4
                and json.loads((volume / ours).read_text() or "{}").get("beats", 0) > 6
            ):
                break
            lock._clock.sleep(0.01)
        else:
            raise AssertionError("no sign of life came through")


def test_a_folder_that_cannot_be_written_is_said_and_nothing_stays(volume, slept, monkeypatch):
    def refused(path, data):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(heartbeat, "write_anew", refused)
    with pytest.raises(SinkError, match=r"lock-.*: permission denied; make it writable"):
        SinkLock(str(volume), clock=slept).acquire()
    assert not os.path.exists(storage.spool_folder(str(volume)))


def test_what_was_removed_from_elsewhere_is_cleared_away_here(volume, holder, slept):
    holder.kill()
    holder.wait()
    for name in claims(volume):
        (volume / name).unlink()
    assert len(os.listdir(storage.spool_folder(str(volume)))) == 1
    with SinkLock(str(volume), clock=slept):
        assert len(os.listdir(storage.spool_folder(str(volume)))) == 1
    assert not os.path.exists(storage.spool_folder(str(volume)))
