"""Sinks: what they write, that it is put in place whole, and what is said when it cannot be."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from fakes.json_values import JSON_VALUES
from hypothesis import given
from hypothesis import strategies as st
from sinks.conftest import FAILED, KINDS, LENIENT, create, record, write

from dbrun import files, storage
from dbrun.errors import SinkError
from dbrun.registry import Registry
from dbrun.sinks.stream import StreamSink
from dbrun.types import Record

# JSON Lines


def test_the_line_is_the_records_fields_in_their_order(tmp_path: Path) -> None:
    write("jsonl", tmp_path / "x.jsonl", [record(), FAILED])
    assert (tmp_path / "x.jsonl").read_text() == (
        '{"id":"T-0","status":"ok","output":"one","finish_reason":"stop",'
        '"usage":{"input_tokens":3},"row":{"text":"a","n":0},"key":"k"}\n'
        '{"id":"T-1","status":"error","output":null,'
        '"error":{"class":"timeout","message":"late","retryable":true},"row":{"text":"a","n":1}}\n'
    )


def test_fields_are_added_and_left_out(tmp_path: Path) -> None:
    write(
        "jsonl",
        tmp_path / "x.jsonl",
        [record()],
        add=frozenset({"index"}),
        omit=frozenset({"row", "usage", "key"}),
    )
    assert json.loads((tmp_path / "x.jsonl").read_text()) == {
        "id": "T-0",
        "status": "ok",
        "output": "one",
        "finish_reason": "stop",
        "index": 0,
    }


@LENIENT
@given(
    st.lists(st.tuples(st.text(), JSON_VALUES, st.dictionaries(st.text(), JSON_VALUES)), max_size=4)
)
def test_jsonl_gives_back_what_was_written(tmp_path: Path, values: Any) -> None:
    records = [record(id=one, output=output, row=row) for one, output, row in values]
    path = tmp_path / "x.jsonl"
    sink = write("jsonl", path, records)
    data = path.read_bytes()
    assert [json.loads(line) for line in data.splitlines()] == [one.to_json() for one in records]
    assert (sink.size, sink.digest) == (len(data), hashlib.sha256(data).hexdigest())


def test_text_is_kept_readable_and_lone_surrogates_survive(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    write("jsonl", path, [record(output="ä\u2028"), record(output="ä\ud800")])
    first, second = path.read_bytes().split(b"\n")[:2]
    assert "ä\u2028".encode() in first
    assert b"\\u00e4\\ud800" in second
    assert json.loads(second)["output"] == "ä\ud800"


# All kinds


@pytest.mark.parametrize("kind", KINDS)
def test_records_lie_in_the_partial_file_until_all_are_there(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "new" / "folder" / f"x.{kind}"
    sink = create(kind, path)
    sink.open()
    for number in range(200):
        sink.write(record(number))
    assert not path.exists()
    partial = Path(f"{path}.partial").read_bytes()
    assert json.loads(partial.splitlines()[0])["id"] == "T-0"
    sink.commit()
    assert os.listdir(path.parent) == [path.name]
    data = path.read_bytes()
    assert (sink.size, sink.digest) == (len(data), hashlib.sha256(data).hexdigest())
    sink.close()


@pytest.mark.parametrize("kind", KINDS)
def test_closing_without_commit_leaves_the_partial_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x.{kind}"
    path.write_bytes(b"before")
    sink = create(kind, path)
    sink.open()
    sink.write(record())
    sink.close()
    sink.close()
    assert path.read_bytes() == b"before"
    assert (tmp_path / f"x.{kind}.partial").read_bytes().startswith(b'{"id":"T-0"')
    assert sink.size is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("records", [[], [record(), FAILED]])
def test_equal_records_leave_the_file_alone(
    tmp_path: Path, kind: str, records: list[Record]
) -> None:
    path = tmp_path / f"x.{kind}"
    first = write(kind, path, records)
    os.utime(path, (1, 1))
    os.chmod(path, 0o640)
    second = write(kind, path, records)
    assert os.stat(path).st_mtime == 1
    assert (first.size, first.digest) == (second.size, second.digest)
    assert os.listdir(tmp_path) == [path.name]
    write(kind, path, [*records, record(7)])
    assert os.stat(path).st_mtime > 1
    assert os.stat(path).st_mode & 0o777 == 0o640


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_compressed_files_repeat(tmp_path: Path, kind: str, ending: str) -> None:
    path = tmp_path / f"x.{kind}{ending}"
    sink = write(kind, path, [record(n) for n in range(500)])
    data = path.read_bytes()
    assert (sink.size, sink.digest) == (len(data), hashlib.sha256(data).hexdigest())
    write(kind, tmp_path / f"y.{kind}{ending}", [record(n) for n in range(500)])
    assert (tmp_path / f"y.{kind}{ending}").read_bytes() == data
    with files.open_in(str(path)) as stream:
        content = stream.read()
    write(kind, tmp_path / f"x.{kind}", [record(n) for n in range(500)])
    assert content == (tmp_path / f"x.{kind}").read_bytes()
    if ending == ".gz":
        assert gzip.decompress(data) == content
        assert data[4:8] == b"\0\0\0\0"  # no time
    else:
        assert zstandard.ZstdDecompressor().decompressobj().decompress(data) == content


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_stays_a_link(tmp_path: Path, kind: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / f"x.{kind}").symlink_to(tmp_path / "real" / f"x.{kind}")
    write(kind, tmp_path / f"x.{kind}", [record()])
    assert (tmp_path / f"x.{kind}").is_symlink()
    assert os.listdir(tmp_path / "real") == [f"x.{kind}"]


@pytest.mark.parametrize("kind", KINDS)
def test_on_a_volume_the_file_is_one_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    volume = tmp_path / "volume"
    monkeypatch.setattr(storage, "REMOTE_ROOTS", (f"{volume}/",))
    path = volume / "out" / f"x.{kind}"
    sink = create(kind, path)
    sink.open()
    assert os.listdir(volume / "out") == []
    sink.write(record())
    sink.commit()
    assert os.listdir(volume / "out") == [path.name]
    assert not os.path.exists(files.spool_path(str(path)))
    os.utime(path, (1, 1))
    write(kind, path, [record()])
    assert os.stat(path).st_mtime == 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_volume_does_not_take_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    volume = tmp_path / "volume"
    monkeypatch.setattr(storage, "REMOTE_ROOTS", (f"{volume}/",))
    monkeypatch.setenv("DBRUN_SPOOL", str(tmp_path / "spool"))
    path = volume / f"x.{kind}"

    def refuse(source: str, target: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as now, pytest.raises(SinkError) as caught:
        now.setattr("dbrun.sinks.file.copy_whole", refuse)
        write(kind, path, [record()])
    head = f"{path}: the results cannot be written: no space left on device; they are kept in "
    assert str(caught.value).startswith(head)
    kept = Path(str(caught.value)[len(head) :].partition(";")[0])
    assert str(caught.value).endswith("run the same command again; it continues")
    complete = kept.read_bytes()
    write(kind, path, [record()])
    assert path.read_bytes() == complete
    assert not kept.parent.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_spool_that_is_full_is_told_from_a_volume_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(storage, "REMOTE_ROOTS", (f"{tmp_path}/volume/",))
    monkeypatch.setenv("DBRUN_SPOOL", str(tmp_path / "spool"))
    (tmp_path / "spool").write_text("in the way")
    with pytest.raises(SinkError, match=r"^.*/spool/.*\.partial: the results cannot be written"):
        create(kind, tmp_path / "volume" / f"x.{kind}").open()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("folder", "is a directory; the sink must be a file; add a file name"),
        ("file/x", "; a part of the path is a file; choose another sink"),
        ("n" * 300, "file name too long; choose a shorter name"),
    ],
)
def test_places_that_cannot_be_written_are_said_at_once(
    tmp_path: Path, kind: str, path: str, said: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError) as caught:
        create(kind, tmp_path / path).open()
    assert str(caught.value).startswith(f"{tmp_path / path}: the results cannot be written: ")
    assert str(caught.value).endswith(said)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "no space left on device; free some space and run the same command again"),
        (errno.EACCES, "permission denied; check the permissions of the folder"),
        (errno.EROFS, "the file system is read-only; choose another sink"),
        (errno.EIO, "mend the storage and run the same command again"),
    ],
)
def test_storage_that_fails_at_the_end_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, code: int, said: str
) -> None:
    path = tmp_path / f"x.{kind}"
    path.write_bytes(b"before")
    sink = create(kind, path)
    sink.open()
    sink.write(record())

    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SinkError) as caught:
        sink.commit()
    sink.close()
    assert said in str(caught.value)
    assert path.read_bytes() == b"before"
    assert os.path.exists(f"{path}.partial")


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_is_said_while_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    sink = create(kind, tmp_path / "x")
    sink.open()

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.HashingWriter, "write", fail)

    def fill() -> None:
        for _ in range(200):
            sink.write(record())

    with pytest.raises(SinkError, match="no space left on device; free some space"):
        fill()
    sink.close()


# Streams


def test_a_stream_gets_each_record_at_once() -> None:
    stream = io.BytesIO()
    sink = StreamSink(stream, add=frozenset({"index"}), omit=frozenset({"row"}))
    sink.open()
    sink.write(record())
    assert json.loads(stream.getvalue())["index"] == 0
    sink.commit()
    sink.close()
    assert not stream.closed
    assert sink.size is None


def test_a_stream_that_nobody_reads_is_said() -> None:
    class Closed(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, _: Any) -> int:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with pytest.raises(SinkError, match="standard output cannot be written: Broken pipe"):
        StreamSink(Closed()).write(record())  # type: ignore[arg-type]


def test_the_stream_plugin_is_standard_output(capfdbinary: Any) -> None:
    write("stream", "-", [record()], omit=frozenset({"row"}))
    assert json.loads(capfdbinary.readouterr().out)["id"] == "T-0"


def test_every_sink_is_a_plugin() -> None:
    made: list[Callable[..., Any]] = [
        Registry(entry_points=False).get("sinks", kind) for kind in (*KINDS, "stream")
    ]
    assert all(callable(getattr(one, "create", None)) for one in made)
