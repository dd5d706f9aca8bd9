"""What a folder takes is found by its name or by trying; spools are one's own."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from dbrun import storage


@pytest.mark.parametrize(
    ("path", "remote"),
    [
        ("/Volumes/main/x/y.jsonl", True),
        ("/Workspace/Users/a", True),
        ("/dbfs/tmp/x", True),
        ("/Volumes", False),
        ("/data/Volumes/x", False),
        ("out/x.jsonl", False),
        ("/local/../Volumes/x", True),
    ],
)
def test_storage_of_databricks_is_known_by_its_name(path: str, remote: bool) -> None:
    assert storage.is_remote(path) is remote


def test_what_is_known_by_name_is_not_tried() -> None:
    assert storage.wants_whole_files("/Volumes/main")
    assert storage.wants_whole_files("/dbfs")


def test_a_disk_takes_appends_and_nothing_of_the_trial_stays(tmp_path: Path) -> None:
    (tmp_path / ".dbrun-probe").write_text("left by a process that was killed")
    (tmp_path / ".dbrun-probe-renamed").write_text("left by another one")
    assert not storage.wants_whole_files(str(tmp_path))
    assert os.listdir(tmp_path) == []


def refusing(call: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have *call* (`append`, `create`, `write`, `replace`) fail with *code*."""
    made = {"append": os.open, "create": os.open, "write": os.write, "replace": os.replace}[call]

    def wrapped(*given: Any, **more: Any) -> Any:
        flags = given[1] if call in ("append", "create") else 0
        if {"append": flags & os.O_APPEND, "create": flags & os.O_CREAT}.get(call, True):
            raise OSError(code, os.strerror(code))
        return made(*given, **more)

    monkeypatch.setattr(os, made.__name__, wrapped)


@pytest.mark.parametrize(
    ("call", "code", "whole"),
    [
        ("append", errno.EOPNOTSUPP, True),
        ("write", errno.ESPIPE, True),
        ("write", errno.EIO, True),
        ("replace", errno.ENOSYS, True),
        ("replace", errno.EPERM, True),
        # These tell nothing; whoever writes there next says what is wrong.
        ("write", errno.ENOSPC, False),
        ("append", errno.EMFILE, False),
        ("create", errno.EACCES, False),
        ("create", errno.EROFS, False),
        ("create", errno.EOPNOTSUPP, False),
        ("append", errno.ENOENT, False),
    ],
)
def test_a_refusal_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, whole: bool
) -> None:
    refusing(call, code, monkeypatch)
    assert storage.wants_whole_files(str(tmp_path)) is whole
    monkeypatch.undo()
    assert os.listdir(tmp_path) == []


def test_appends_that_get_lost_are_no_appends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "write", lambda fd, data: len(data))
    assert storage.wants_whole_files(str(tmp_path))


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    (tmp_path / ".dbrun-probe").symlink_to(tmp_path / "precious")
    assert not storage.wants_whole_files(str(tmp_path))
    assert (tmp_path / "precious").read_text() == "x"


def test_a_spool_is_found_again_and_is_ours_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBRUN_SPOOL", str(tmp_path / "new"))
    folder = storage.spool_folder("/Volumes/a/x.journal")
    assert folder == storage.spool_folder("/Volumes/b/../a/x.journal")
    assert folder != storage.spool_folder("/Volumes/b/x.journal")
    assert os.path.basename(folder).startswith("x.journal-")
    assert not storage.is_own_spool(folder)
    assert not (tmp_path / "new").exists()
    for _ in range(2):
        assert storage.make_spool(folder) == folder
    assert storage.is_own_spool(folder)
    assert stat.S_IMODE(os.stat(os.path.dirname(folder)).st_mode) == 0o700
    storage.clear_spool(folder)
    assert not os.path.exists(folder)


def test_a_spool_that_others_can_write_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBRUN_SPOOL", str(tmp_path))
    folder = storage.make_spool(storage.spool_folder("/Volumes/a"))
    os.chmod(os.path.dirname(folder), 0o777)
    with pytest.raises(PermissionError, match="the spool belongs to somebody else"):
        storage.make_spool(folder)
    assert not storage.is_own_spool(folder)
    os.rmdir(folder)
    os.rmdir(os.path.dirname(folder))
    os.symlink(tmp_path, os.path.dirname(folder))
    with pytest.raises(PermissionError, match="the spool belongs to somebody else"):
        storage.make_spool(folder)


def test_a_spool_on_a_volume_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "REMOTE_ROOTS", (f"{tmp_path}/",))
    monkeypatch.setenv("DBRUN_SPOOL", str(tmp_path / "spool"))
    with pytest.raises(OSError, match="the spool must lie on a local disk"):
        storage.make_spool(storage.spool_folder("/Volumes/a"))


def test_a_spool_with_something_in_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBRUN_SPOOL", str(tmp_path))
    folder = storage.make_spool(storage.spool_folder("/Volumes/a"))
    Path(folder, "x").write_text("")
    storage.clear_spool(folder)
    assert os.listdir(folder) == ["x"]


def test_without_a_wish_the_spool_is_a_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.delenv("DBRUN_SPOOL", raising=False)
    assert storage.spool_folder("/x").startswith(os.path.join(tempfile.gettempdir(), "dbrun-"))


@pytest.mark.parametrize(
    ("path", "environ", "away"),
    [
        ("/Volumes/none-such/s/v/x.jsonl", {}, True),
        ("/Volumes/none-such/s/v", {}, True),
        ("/Volumes/none-such/s", {}, False),
        ("/Volumes//s/v/x", {}, False),
        ("/Volumes/none-such/s/v/x", {"DATABRICKS_RUNTIME_VERSION": "16.4"}, False),
        ("/Workspace/none-such/s/v/x", {}, False),
        ("Volumes/none-such/s/v/x", {}, False),
        ("-", {}, False),
    ],
)
def test_what_is_on_a_volume_elsewhere(path: str, environ: dict[str, str], away: bool) -> None:
    assert storage.is_away(path, environ) is away


def test_a_mirror_tells_what_it_mirrors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBRUN_SPOOL", str(tmp_path))
    path = "/Volumes/main/s/v/a b.jsonl"
    mirror = storage.mirror_of(path, "https://host.example:8443")
    assert mirror.startswith(str(tmp_path))
    assert mirror != storage.mirror_of(path, "https://other.example")
    assert storage.mirrored(mirror) == path
    assert storage.mirrored(path) is None
    assert storage.spoken(f"wrote {mirror}: 3 rows") == f"wrote {path}: 3 rows"
    assert os.listdir(tmp_path) == []
