"""What a disk refuses is said well, and what a file system does not know is passed over."""

import errno
import os

import pytest

from dbrun.client.journal.disk import make_folder, reported, sync_file, sync_folder, write_all
from dbrun.errors import SinkError


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "no space left on device; free some space"),
        (errno.EDQUOT, "disk quota exceeded; free some of the quota"),
        (errno.EACCES, "permission denied; make it writable, or set journal.path"),
        (errno.EROFS, "read-only file system; set journal.path"),
        (errno.EMFILE, "too many open files; raise the limit of open files"),
        (errno.EIO, "input/output error; mend this and run the same command again"),
    ],
)
def test_trouble_names_path_and_mend(number, said):
    with pytest.raises(SinkError) as raised, reported("out/x.journal"):
        raise OSError(number, os.strerror(number))
    assert str(raised.value).startswith(f"journal out/x.journal: {said}")
    assert raised.value.exit_code == 3
    assert isinstance(raised.value.__cause__, OSError)


def test_trouble_without_a_number_is_said_too():
    with pytest.raises(SinkError, match="journal x: the disk refused") as raised, reported("x"):
        raise OSError
    assert raised.value.hint


@pytest.mark.parametrize("number", [22, 38, 95])
def test_a_file_system_without_fsync_will_do(number, monkeypatch, tmp_path):
    def refuse(fd):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    sync_file(0)
    sync_folder(str(tmp_path))


def test_a_disk_that_fails_to_sync_is_not_passed_over(monkeypatch):
    def refuse(fd):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="Input/output"):
        sync_file(0)


def test_folders_are_made_with_their_parents(tmp_path):
    make_folder(str(tmp_path / "a" / "b"))
    make_folder(str(tmp_path / "a" / "b"))
    assert (tmp_path / "a" / "b").is_dir()


def test_small_writes_add_up(monkeypatch, tmp_path):
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data[:3])))
    with open(tmp_path / "file", "wb") as file:
        write_all(file.fileno(), b"0123456789")
    monkeypatch.undo()
    assert (tmp_path / "file").read_bytes() == b"0123456789"
