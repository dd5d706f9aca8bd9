"""Files: whole writes, compression that repeats, and storage that takes one write a file."""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
from pathlib import Path

import pytest
import zstandard

from dbrun import files, storage
from dbrun.errors import PluginError


@pytest.mark.parametrize(
    ("path", "root", "said"),
    [
        ("/p/data/x", "/p", "data/x"),
        ("/p/data/x", "/p/", "data/x"),
        ("/pp/x", "/p", "/pp/x"),
        ("/q/x", "/p", "/q/x"),
    ],
)
def test_paths_are_shown_from_the_project(path: str, root: str, said: str) -> None:
    assert files.shown(path, root) == said


@pytest.fixture(params=["disk", "volume"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "volume":
        monkeypatch.setattr(storage, "REMOTE_ROOTS", (f"{tmp_path}/volume/",))

        def refuse(*_: object) -> None:
            raise OSError("renaming is not to be relied on here")

        monkeypatch.setattr(os, "replace", refuse)
    (tmp_path / request.param).mkdir()
    return tmp_path / request.param


def test_a_file_is_written_whole(folder: Path) -> None:
    path = str(folder / "x.json")
    for data in (b"one", b"another"):
        files.write_whole(path, data)
        assert Path(path).read_bytes() == data
    assert os.listdir(folder) == ["x.json"]


def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_whole(str(path), b"after")
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["x.json"]


def test_same_bytes(tmp_path: Path) -> None:
    for name, data in (("a", b"x" * 3_000_000), ("b", b"x" * 3_000_000), ("c", b"x" * 2_999_999)):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "d").write_bytes(b"x" * 2_999_999 + b"y")
    one = str(tmp_path / "a")
    assert [files.same_bytes(one, str(tmp_path / other)) for other in "abcd"] == [
        True,
        True,
        False,
        False,
    ]
    assert not files.same_bytes(one, str(tmp_path / "nowhere"))
    assert not files.same_bytes(one, str(tmp_path))


def test_a_copy_that_reads_back_differently_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"x")
    monkeypatch.setattr(files, "same_bytes", lambda *_: False)
    with pytest.raises(OSError, match="does not hold what was written to it"):
        files.copy_whole(str(tmp_path / "a"), str(tmp_path / "b"))


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_compression_repeats_and_is_undone(tmp_path: Path, ending: str) -> None:
    made = []
    for name in ("one", "two"):
        path = str(tmp_path / f"{name}.txt{ending}")
        with open(path, "wb") as raw:
            stream = files.compressed(path, raw)
            stream.write(b"line\n" * 1000)
            stream.flush()
            if stream is not raw:
                stream.close()
            assert not raw.closed
        digest = hashlib.sha256()
        with files.open_in(path, digest) as read:
            assert list(read) == [b"line\n"] * 1000
        made.append(Path(path).read_bytes())
        assert digest.hexdigest() == hashlib.sha256(made[-1]).hexdigest()
        assert files.file_digest(path) == digest.hexdigest()
    assert made[0] == made[1]
    undo = {"": bytes, ".gz": gzip.decompress}.get(ending)
    if undo is not None:
        assert undo(made[0]) == b"line\n" * 1000
    else:
        with zstandard.ZstdDecompressor().stream_reader(made[0]) as reader:
            assert reader.read() == b"line\n" * 1000


@pytest.mark.parametrize(
    ("path", "stem"),
    [("a.jsonl.gz", "a.jsonl"), ("a.csv.zst", "a.csv"), ("a.jsonl", "a.jsonl"), ("gz", "gz")],
)
def test_bare(path: str, stem: str) -> None:
    assert files.bare(path) == stem


@pytest.mark.parametrize("lost", [1, 4, 5, 40])
def test_a_zst_file_that_was_cut_off_is_not_taken_for_whole(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "x.jsonl.zst"
    lines = [b'{"a":%d}\n' % number for number in range(5000)]
    packed = zstandard.compress(b"".join(lines[:-1]))
    path.write_bytes(packed + zstandard.compress(lines[-1]))
    with files.open_in(str(path)) as whole:
        assert list(whole) == lines
    path.write_bytes(packed[:-lost])
    with files.open_in(str(path)) as cut_off, pytest.raises(EOFError, match="in the middle"):
        list(cut_off)


def test_zstandard_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.zst").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(
        PluginError, match=r"need the package zstandard; pip install 'dbrun\[zstd\]'"
    ):
        files.open_in(str(tmp_path / "x.zst"))


def test_what_is_made_for_a_volume_lies_on_the_local_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBRUN_SPOOL", str(tmp_path))
    one = files.spool_path("/Volumes/main/a/x.jsonl")
    other = files.spool_path("/Volumes/main/b/x.jsonl")
    assert one.startswith(str(tmp_path))
    assert one != other
    assert one.endswith("/x.jsonl.partial")


@pytest.mark.parametrize("number", [22, 38, 95])
def test_a_file_system_without_fsync_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(fd: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    files.write_whole(str(tmp_path / "a"), b"x")
    files.copy_whole(str(tmp_path / "a"), str(tmp_path / "b"))
    assert (tmp_path / "b").read_bytes() == b"x"


def test_a_copy_that_fails_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.copy_whole(str(tmp_path / "a"), str(tmp_path / "b"))
    assert os.listdir(tmp_path) == ["a"]
