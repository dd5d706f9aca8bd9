"""Files that one process writes and any number read, whatever state they are in."""

import os
import subprocess
import sys

import pytest

from dbrun.adapters.base import Answer
from dbrun.client.journal import lock
from dbrun.client.journal import segment as module
from dbrun.client.journal.lines import encode
from dbrun.client.journal.lock import try_lock
from dbrun.client.journal.segment import COMPACTED, Segment, Writer, names


@pytest.fixture
def lines(key):
    """Three lines as a journal has them, of different lengths."""
    return [encode(key(n), 1, Answer(body={"n": "ä\n" * n}), {}) for n in range(3)]


def scanned(segment):
    """Offset and size of each whole line, and how many were damaged."""
    damaged = []
    found = [(line[0], line[1]) for line in segment.scan(lambda: damaged.append(1))]
    return found, len(damaged)


def written(folder, data, name="20260101T000000000000-00000000.jsonl"):
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(data)
    return Segment(path)


def test_a_writer_takes_lines_and_a_reader_finds_them(folder, clock, lines):
    writer = Writer(folder, clock)
    offsets = [writer.append(line) for line in lines]
    reader = Segment(writer.path)
    assert [reader.read(*place) for place in zip(offsets, map(len, lines), strict=True)] == lines
    assert scanned(reader) == (list(zip(offsets, map(len, lines), strict=True)), 0)
    assert scanned(reader) == ([], 0)
    offset = writer.append(lines[0])
    assert scanned(reader) == ([(offset, len(lines[0]))], 0)
    writer.close()
    reader.release()


def test_names_tell_the_time_and_never_go_back(folder, clock):
    made = []
    for shift in (0, 0, -3600, 0, 7200):
        clock.moment = clock.moment.fromtimestamp(
            clock.moment.timestamp() + shift, clock.moment.tzinfo
        )
        writer = Writer(folder, clock)
        made.append(os.path.basename(writer.path))
        writer.close()
    assert made == sorted(made)
    assert len(set(made)) == 5
    assert made[0].startswith("20260321T101530000000-")
    assert made[4].startswith("20260321T111530000000-")


@pytest.mark.parametrize("stamp", ["20261399T990000000000", "99991231T235959999999"])
def test_a_name_that_is_no_time_does_not_hinder(folder, clock, stamp):
    written(folder, b"", f"{stamp}-00000000.jsonl").release()
    writer = Writer(folder, clock)
    writer.close()
    assert len(names(folder)) == 2


def test_files_are_read_oldest_first(folder):
    for name in (
        "20260321T101530000001-00000000.jsonl",
        "20260321T101530000000-ffffffff.jsonl",
        "imported.jsonl",
        COMPACTED,
        COMPACTED + ".partial",
        "state.json",
        "lock",
    ):
        written(folder, b"", name).release()
    assert names(folder) == [
        COMPACTED,
        "imported.jsonl",
        "20260321T101530000000-ffffffff.jsonl",
        "20260321T101530000001-00000000.jsonl",
    ]
    assert names(os.path.join(folder, "missing")) == []


def test_a_torn_tail_loses_nothing_before_it(folder, lines):
    whole = b"".join(lines)
    start = len(whole) - len(lines[-1])
    for end in range(start, len(whole)):
        reader = written(folder, whole[:end])
        found, damaged = scanned(reader)
        assert len(found) == 2
        assert damaged == 0
        assert reader.scanned == start
        reader.release()


def test_a_tail_that_is_completed_later_is_found_then(folder, lines):
    reader = written(folder, lines[0] + lines[1][:50])
    assert scanned(reader) == ([(0, len(lines[0]))], 0)
    with open(reader.path, "ab") as file:
        file.write(lines[1][50:])
    assert scanned(reader) == ([(len(lines[0]), len(lines[1]))], 0)
    reader.release()


@pytest.mark.parametrize("rot", [b"\n", b"\0" * 50 + b"\n", b"=======\n", b"{}\n", b"\xff\n"])
def test_a_damaged_line_costs_itself_only(folder, lines, rot):
    reader = written(folder, lines[0] + rot + lines[1] + rot)
    found, damaged = scanned(reader)
    assert found == [(0, len(lines[0])), (len(lines[0]) + len(rot), len(lines[1]))]
    assert damaged == 2
    reader.release()


def test_the_compacted_file_may_lack_its_last_newline(folder, lines):
    reader = written(folder, (lines[0] + lines[1])[:-1], COMPACTED)
    assert len(scanned(reader)[0]) == 2
    reader.release()
    torn = written(folder, (lines[0] + lines[1])[:-2], COMPACTED)
    assert (len(scanned(torn)[0]), scanned(torn)) == (1, ([], 0))
    torn.release()


def test_a_writer_is_locked_while_it_lives(folder, clock):
    writer = Writer(folder, clock)
    for expected in (False, True):
        fd = os.open(writer.path, os.O_RDWR)
        assert try_lock(fd) is expected
        os.close(fd)
        if not expected:
            writer.close()


def test_a_segment_taken_away_before_it_was_locked_is_not_used(folder, clock, monkeypatch):
    """Somebody who folds sees the new file unlocked, takes it for a dead one, and removes it."""
    taken = []

    def locking(fd):
        if len(taken) < 2:
            taken.append(os.path.join(folder, names(folder)[-1]))
            os.unlink(taken[-1])
        return try_lock(fd)

    monkeypatch.setattr(lock, "try_lock", locking)
    writer = Writer(folder, clock)
    assert len(taken) == 2
    assert names(folder) == [os.path.basename(writer.path)]
    writer.close()


def test_a_folder_taken_away_before_the_file_was_made_is_made_again(folder, clock, monkeypatch):
    left = [1]
    made = module.new_stem

    def stem(older, clock):
        if left and left.pop():
            os.rmdir(folder)
        return made(older, clock)

    monkeypatch.setattr(module, "new_stem", stem)
    writer = Writer(folder, clock)
    assert names(folder) == [os.path.basename(writer.path)]
    writer.close()


def test_a_failed_write_leaves_nothing_of_its_line(folder, clock, lines, monkeypatch):
    writer = Writer(folder, clock)
    writer.append(lines[0])
    write = os.write

    def short(fd, data):
        if len(data) == len(lines[1]):
            return write(fd, bytes(data[:40]))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(OSError, match="No space"):
        writer.append(lines[1])
    monkeypatch.undo()
    assert writer.is_sound
    assert writer.append(lines[2]) == len(lines[0])
    writer.close()
    with open(writer.path, "rb") as file:
        assert file.read() == lines[0] + lines[2]


def test_a_writer_that_cannot_cut_back_is_not_sound(folder, clock, lines, monkeypatch):
    def refuse(*given):
        raise OSError(5, "Input/output error")

    writer = Writer(folder, clock)
    monkeypatch.setattr(os, "write", refuse)
    monkeypatch.setattr(os, "ftruncate", refuse)
    with pytest.raises(OSError, match="Input/output"):
        writer.append(lines[0])
    assert not writer.is_sound
    monkeypatch.undo()
    writer.close()


def test_a_disk_that_is_really_full(folder, clock, lines):
    """The kernel itself cuts the write short: a limit on the size of files does that."""
    script = (
        "import resource, signal, sys\n"
        "from dbrun.client.journal.segment import Writer\n"
        "from dbrun.clock import Clock\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "writer = Writer(sys.argv[1], Clock())\n"
        "for n in range(9, -1, -1):\n"
        "    try:\n"
        "        writer.append(b'%d' % n * n * 40 + b'\\n')\n"
        "    except OSError:\n"
        "        print(n)\n"
        "writer.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, folder], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["6", "5", "4", "3", "2", "1"]
    with open(os.path.join(folder, names(folder)[0]), "rb") as file:
        assert file.read().splitlines() == [b"9" * 360, b"8" * 320, b"7" * 280, b""]


@pytest.mark.parametrize("has_pread", [True, False])
def test_a_closed_reader_opens_its_file_for_each_read(folder, lines, monkeypatch, has_pread):
    monkeypatch.setattr(module, "_HAS_PREAD", has_pread)
    reader = written(folder, b"".join(lines))
    second = (len(lines[0]), len(lines[1]))
    assert reader.read(*second) == lines[1]
    reader.release()
    reader.release()
    assert reader.read(*second) == lines[1]
    assert reader.read(len(b"".join(lines)), 100) == b""
    assert len(scanned(reader)[0]) == 3
    reader.release()
    os.unlink(reader.path)
    with pytest.raises(FileNotFoundError):
        reader.read(*second)
