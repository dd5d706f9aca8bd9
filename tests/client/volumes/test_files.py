"""The Files API, against a workspace that is as strict as the real one."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.server import Reply, as_json
from fakes.volumes import VOLUME, FakeVolumes
from fakes.workspace import FakeWorkspace

from dbrun.client.volumes import Volumes, files
from dbrun.errors import RunError


@pytest.fixture
def workspace() -> Iterator[FakeWorkspace]:
    with FakeWorkspace() as made:
        yield made


@pytest.fixture
def there(workspace: FakeWorkspace) -> FakeVolumes:
    return workspace.volumes


@pytest.fixture
def volumes(workspace: FakeWorkspace) -> Iterator[Volumes]:
    with Volumes(workspace.environ) as made:
        yield made


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 9000], ids=len)
def test_there_and_back(volumes: Volumes, there: FakeVolumes, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    path = f"{VOLUME}/new folder/ü?#%.bin"
    volumes.make_folder(f"{VOLUME}/new folder")
    assert volumes.send(str(tmp_path / "a"), path).size == len(data)
    assert there.data(path) == data
    assert volumes.fetch(path, str(tmp_path / "b")).size == len(data)
    assert (tmp_path / "b").read_bytes() == data
    found = volumes.look(path)
    assert found is not None
    assert (found.size, found.name) == (len(data), "ü?#%.bin")
    volumes.remove(path)
    volumes.remove(path)
    assert volumes.look(path) is None


def test_a_listing_of_several_pages(volumes: Volumes, there: FakeVolumes) -> None:
    there.page = 2
    for number in range(5):
        there.put(f"{VOLUME}/in/{number}", b"12")
    there.put(f"{VOLUME}/in/sub/x", b"")
    found = sorted(volumes.listing(f"{VOLUME}/in"), key=lambda one: one.path)
    assert [(one.name, one.is_folder, one.size) for one in found] == [
        *((str(number), False, 2) for number in range(5)),
        ("sub", True, 0),
    ]
    with pytest.raises(FileNotFoundError):
        list(volumes.listing(f"{VOLUME}/none"))


def test_a_file_that_changes_while_it_comes_is_begun_anew(
    volumes: Volumes, there: FakeVolumes, tmp_path: Path
) -> None:
    old, new = b"o" * 3_000_000, b"n" * 2_000_000
    there.put(f"{VOLUME}/a", new)
    told = {"last-modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    there.fail("GET", "/a", Reply(200, old, told, cut=2_000_000))
    volumes.fetch(f"{VOLUME}/a", str(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == new


def test_a_put_whose_answer_was_lost_is_no_conflict(
    volumes: Volumes, there: FakeVolumes, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"x")
    there.put(f"{VOLUME}/a", b"x")
    there.fail("PUT", "/a", Reply(204, reset=True))
    assert volumes.send(str(tmp_path / "a"), f"{VOLUME}/a").size == 1


def test_what_did_not_arrive_whole_is_said(
    volumes: Volumes, there: FakeVolumes, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    there.put(f"{VOLUME}/a", b"123")
    there.fail("PUT", "/a", Reply(204))
    with pytest.raises(OSError, match="it does not hold what was sent to it"):
        volumes.send(str(tmp_path / "a"), f"{VOLUME}/a")


def test_what_is_too_large_is_not_even_sent(
    volumes: Volumes, there: FakeVolumes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(tmp_path / "a", "wb") as file:
        file.truncate(files.LARGEST + 1)  # nothing of it is on the disk
    with pytest.raises(OSError, match="the Files API takes 5 GiB a file") as caught:
        volumes.send(str(tmp_path / "a"), f"{VOLUME}/a")
    assert caught.value.errno == errno.EFBIG
    assert not there.calls


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (as_json({"error_code": "X", "message": "No READ VOLUME."}, 403), PermissionError, "No"),
        (as_json({"error_code": "X", "message": "Not here."}, 404), FileNotFoundError, "Not here"),
        (Reply(400, b"<html>what?</html>"), OSError, "<html>what"),
    ],
)
def test_refusals_are_said_in_the_workspace_s_words(
    volumes: Volumes, there: FakeVolumes, reply: Reply, kind: type[OSError], said: str
) -> None:
    there.fail("GET", "/a", reply)
    with pytest.raises(kind, match=said):
        volumes.read(f"{VOLUME}/a")


def test_a_login_that_is_refused_is_no_lack_of_permission(workspace: FakeWorkspace) -> None:
    environ = {**workspace.environ, "DATABRICKS_TOKEN": "dapi" + "f" * 32}
    with Volumes(environ) as volumes, pytest.raises(RunError, match="Invalid access token; renew"):
        volumes.look(f"{VOLUME}/a")
    assert not any("f" * 32 in str(request.path) for request in workspace.requests)
