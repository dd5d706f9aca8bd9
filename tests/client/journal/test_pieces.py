"""Whole files tell that they are whole, and a torn one of any length does not."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.client.journal.pieces import Extent, extent_of, is_mark, line_end, write_piece

LINES = b"".join(b'{"key":"%d"}\n' % number for number in range(40))


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "spooled.jsonl"
    path.write_bytes(LINES)
    return str(path)


@pytest.mark.parametrize("extent", [(0, len(LINES)), (12, 36), (0, 0)])
def test_a_whole_file_tells_what_it_holds(tmp_path, source, extent):
    path = tmp_path / "x-000001.jsonl"
    path.write_bytes(b"what was there before")
    write_piece(str(path), source, Extent(*extent))
    assert extent_of(str(path)) == extent
    assert path.read_bytes().startswith(LINES[slice(*extent)])
    mark = path.read_bytes()[extent[1] - extent[0] :]
    assert is_mark(mark)
    assert json.loads(mark) == {"end": "x-000001", "from": extent[0], "to": extent[1]}


def test_a_torn_file_of_any_length_is_not_whole(tmp_path, source):
    path = tmp_path / "x-000001.jsonl"
    write_piece(str(path), source, Extent(0, 60))
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert extent_of(str(path)) is None
    path.write_bytes(whole + b"x")
    assert extent_of(str(path)) is None


def test_what_lies_elsewhere_or_is_shorter_than_it_says_is_not_whole(tmp_path, source):
    path = tmp_path / "x-000001.jsonl"
    write_piece(str(path), source, Extent(0, 60))
    os.rename(path, tmp_path / "x-000002.jsonl")
    assert extent_of(str(path)) is None
    assert extent_of(str(tmp_path / "x-000002.jsonl")) is None
    path.write_bytes((tmp_path / "x-000002.jsonl").read_bytes()[13:])
    assert extent_of(str(path)) is None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b'{"end":"x"}\n',
        b'{"end":"x","from":1,"to":-2}\n',
        b'{"end":"x","from":1,"to":2}junk\n',
        b'{"key":"0"}\n',
    ],
)
def test_other_lines_are_no_marks(line):
    assert not is_mark(line)


def test_a_file_that_could_not_be_written_is_taken_away(tmp_path, source, monkeypatch):
    path = tmp_path / "x-000001.jsonl"
    write = os.write

    def full(fd, data):
        if len(data) > 50:
            return write(fd, bytes(data[:50]))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        write_piece(str(path), source, Extent(0, 60))
    assert not path.exists()


def test_a_file_that_reads_back_differently_is_refused(tmp_path, source, monkeypatch):
    path = tmp_path / "x-000001.jsonl"
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data).replace(b"7", b"8")))
    with pytest.raises(OSError, match="it does not hold what was written to it"):
        write_piece(str(path), source, Extent(0, len(LINES)))
    assert not path.exists()


def test_a_source_that_became_shorter_is_no_whole_file(tmp_path, source):
    with pytest.raises(OSError, match="has become shorter"):
        write_piece(str(tmp_path / "x-000001.jsonl"), source, Extent(0, len(LINES) + 1))
    assert os.listdir(tmp_path) == ["spooled.jsonl"]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=20), st.data())
def test_files_end_where_lines_do(tmp_path_factory, sizes, data):
    path = tmp_path_factory.mktemp("lines") / "x"
    text = b"".join(b"x" * size + b"\n" for size in sizes)
    path.write_bytes(text)
    ends = [at + 1 for at, char in enumerate(text) if char == 10]
    start = data.draw(st.sampled_from([0, *ends[:-1]]))
    most = data.draw(st.integers(start + 1, len(text)))
    before = [end for end in ends if start < end <= most]
    wanted = before[-1] if before else min(end for end in ends if end > most)
    assert line_end(str(path), start, most) == wanted
