"""What the doctor says of folders, of real disks and of one that refuses what a Volume refuses."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from dbrun import storage
from dbrun.doctor import folders
from dbrun.doctor.folders import folder_check
from dbrun.findings import Finding


def look(folder: Path | str) -> list[Finding]:
    return list(folder_check("sink", str(folder)).look())


def states(found: list[Finding]) -> list[tuple[str, str]]:
    return [(one.state, one.subject) for one in found]


def test_a_folder_of_a_disk(tmp_path: Path) -> None:
    able, free = look(tmp_path)
    assert (able.state, able.said) == ("ok", f"{tmp_path} takes new files, appends and renames")
    assert free.said.endswith(" free")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_to_be_made_is_not_made(tmp_path: Path) -> None:
    able, _ = look(tmp_path / "a/b")
    assert f"{tmp_path / 'a/b'} (to be made) takes" in able.said
    assert os.listdir(tmp_path) == []


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (found,) = look(tmp_path / "file/below")
    assert (found.state, found.said) == ("fail", f"{tmp_path / 'file'} is no folder")


def test_a_volume_that_is_not_there() -> None:
    (found,) = look("/Volumes/main/default/nowhere/below/it")
    assert (found.state, found.said) == ("fail", "there is no /Volumes/main/default/nowhere")
    (found,) = look("/dbfs/tmp/x")
    assert found.said == "there is no /dbfs"


@pytest.mark.parametrize(
    ("code", "mend"),
    [
        (errno.EACCES, "ask for the permission to write there, or write elsewhere"),
        (errno.EROFS, "it is mounted for reading only: write elsewhere"),
        (errno.ENOSPC, "make room, or write elsewhere"),
        (errno.EIO, "write elsewhere"),
    ],
)
def test_a_folder_that_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, mend: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("builtins.open", refuse)
    (found,) = look(tmp_path)
    monkeypatch.undo()
    assert found.state == "fail"
    assert found.said == f"{tmp_path} takes no new file: {os.strerror(code).lower()}"
    assert found.mend == mend


def test_a_folder_of_whole_files_and_the_spool_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume, spool = tmp_path / "volume", tmp_path / "spool"
    volume.mkdir()
    spool.mkdir()
    monkeypatch.setenv("DBRUN_SPOOL", str(spool))
    appends = storage._append
    monkeypatch.setattr(
        storage, "_append", lambda path: appends(path) if "volume" not in path else False
    )
    able, free, room = look(volume)
    assert f"takes new whole files; what grows is kept in {spool}" in able.said
    assert states([able, free, room]) == [("ok", "sink"), ("ok", "sink"), ("ok", "spool")]
    assert os.listdir(volume) == os.listdir(spool) == []
    monkeypatch.setattr(storage, "_append", lambda path: False)
    *_, room = look(volume)
    assert (room.state, room.mend) == ("fail", "set DBRUN_SPOOL to a folder of a local disk")


def test_little_room_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=12_000_000))
    *_, free = look(tmp_path)
    assert (free.state, free.said) == ("warn", "12 MB free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5_000_000_000))
    *_, free = look(tmp_path)
    assert (free.state, free.said) == ("ok", "5.0 GB free")


def test_what_is_read_is_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders.secrets, "token_hex", lambda _: "x")
    whole = folders._try(str(tmp_path))
    assert whole is None
    (tmp_path / ".dbrun-doctor-x").touch()
    taken = folders._try(str(tmp_path))
    assert taken is not None
    assert taken.errno == errno.EEXIST
