"""Disks that are full, folders that cannot be written, readers that leave.

A full disk is a small file system in memory, mounted where results go, in a namespace of its own;
where that is not allowed, a bound on the size of files.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence

import pytest
from acceptance.faults.bench import Bench
from acceptance.faults.ended import Ended

CALLS = 8
FULL = "no space left on device|file too large"
MOUNTED = """\
mount -t tmpfs -o size="$1"k none out
shift
set +e
"$@"
code=$?
cp -a out/. kept/
exit $code
"""
READ_ONLY = 'mount --bind out out; mount -o remount,ro,bind out; exec "$@"'


@functools.cache
def may_mount() -> bool:
    """Whether this user may mount file systems in a namespace of their own."""
    words = ["unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def namespace(script: str, *words: str) -> list[str]:
    """What starts a command in a file system of its own, by a shell script."""
    return ["unshare", "-Urm", "sh", "-ec", script, "sh", *words]


def on_a_disk_of(bench: Bench, size: int) -> Ended:
    """A run whose results and journal lie on a disk of so many KiB."""
    out, kept = bench.project.folder / "out", bench.project.folder / "kept"
    out.mkdir()
    kept.mkdir()
    if may_mount():
        command = namespace(MOUNTED, str(size))
    else:
        # The shells count in blocks of 512 bytes or of 1 KiB.
        command = ["sh", "-c", f'ulimit -f {size}; exec "$@"', "sh"]
    with bench.watching() as started:
        said = bench.finish(bench.start(command=command))
    if may_mount():
        out.rmdir()
        kept.rename(out)
    else:
        kept.rmdir()
    # Answers that were on their way when the disk filled up have no place to go.
    return bench.end(said, started(), abandoned=CALLS)


@pytest.fixture
def many(bench: Bench) -> Bench:
    """Rows whose answers take some 100 KiB of the journal, and 150 of the results."""
    bench.rows(
        [{"id": f"T-{n}", "text": f"ticket number {n} " + "of many " * 150} for n in range(50)]
    )
    bench.spec(concurrency=CALLS)
    return bench


@pytest.mark.parametrize("size", [4, 100])
def test_a_full_disk_ends_the_run_and_room_continues_it(many: Bench, size: int) -> None:
    ended = on_a_disk_of(many, size)
    assert ended.code == 3
    ended.says(f"(?i)dbrun: .*out/.*({FULL}); .*run the same command again")
    assert "error" not in {record["status"] for record in ended.records.values()}
    many.mend()


def test_a_disk_that_fills_up_when_all_is_answered(many: Bench) -> None:
    """The journal's segments are folded into one file at the end, which takes as much again."""
    out = many.project.folder / "out"
    assert many.run().code == 0
    need = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) // 1024
    shutil.rmtree(out)
    ended = on_a_disk_of(many, need + 20)
    assert len(ended.given) == 50
    assert ended.code in (0, 3)
    many.mend(lacking=0)


def test_standard_output_that_is_full(bench: Bench) -> None:
    command = ["sh", "-c", 'exec "$@" >/dev/full', "sh"]
    with bench.watching() as started:
        said = bench.finish(bench.start("--out", "-", command=command))
    assert said.code == 3
    assert "standard output cannot be written: no space left on device" in said.err.lower()
    bench.end(said, started())
    bench.mend()


def test_a_reader_that_leaves(bench: Bench) -> None:
    bench.workspace.latency = 0.02
    command = ["bash", "-c", '"$@" | head -1; exit ${PIPESTATUS[0]}', "bash"]
    with bench.watching() as started:
        said = bench.finish(bench.start("--out", "-", command=command))
    assert said.code == 3
    assert len(said.records) == 1
    bench.end(said, started())
    bench.workspace.latency = 0
    bench.mend()


@pytest.fixture
def unprivileged() -> Sequence[str]:
    """What starts a command without the power to write what nobody may."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


@pytest.fixture
def locked(bench: Bench) -> Iterator[Bench]:
    """A folder for the results that nobody may write to."""
    out = bench.project.folder / "out"
    out.mkdir()
    out.chmod(0o555)
    yield bench
    out.chmod(0o755)


def test_a_folder_that_nobody_may_write_to(locked: Bench, unprivileged: Sequence[str]) -> None:
    with locked.watching() as started:
        said = locked.finish(locked.start(command=unprivileged))
    refused(locked, said, started(), "out/.*permission denied")
    (locked.project.folder / "out").chmod(0o755)
    locked.mend(lacking=10)


def test_a_results_file_that_nobody_may_write_to(bench: Bench, unprivileged: Sequence[str]) -> None:
    assert bench.run().code == 0
    results = bench.project.folder / "out/tickets.jsonl"
    results.chmod(0o444)
    bench.rows([{"id": "T-new", "text": "a ticket that came in later"}])
    with bench.watching() as started:
        said = bench.finish(bench.start(command=unprivileged))
    refused(bench, said, started(), "out/tickets.jsonl.*permission denied")
    results.chmod(0o644)
    bench.mend(lacking=1)


def test_a_file_system_that_is_read_only(bench: Bench, unprivileged: Sequence[str]) -> None:
    out = bench.project.folder / "out"
    out.mkdir()
    if may_mount():
        command, says = namespace(READ_ONLY), "read-only file system"
    else:
        out.chmod(0o555)
        command, says = list(unprivileged), "permission denied"
    with bench.watching() as started:
        said = bench.finish(bench.start(command=command))
    out.chmod(0o755)
    refused(bench, said, started(), f"out/.*{says}")
    bench.mend(lacking=10)


IN_THE_WAY = {
    "a file as the folder": ("out", "out/.*not a directory"),
    "a file as the journal": ("out/tickets.jsonl.journal", "journal .*out/.*file exists"),
    "a folder as the partial results": ("out/tickets.jsonl.partial/", "is a directory"),
    "a folder as the manifest": ("out/tickets.run.json/", "tickets.run.json.*is a directory"),
}


@pytest.mark.parametrize(("place", "says"), IN_THE_WAY.values(), ids=IN_THE_WAY)
def test_something_in_the_way(bench: Bench, place: str, says: str) -> None:
    path = bench.project.folder / place
    if place.endswith("/"):
        path.mkdir(parents=True)
    else:
        bench.project.write(place, "this is somebody's\n")
    with bench.watching() as started:
        said = bench.finish(bench.start())
    if path.is_dir():
        path.rmdir()
    else:
        assert path.read_text() == "this is somebody's\n"
        path.unlink()
    refused(bench, said, started(), says)
    bench.mend(lacking=10)


def refused(bench: Bench, said, given, says: str) -> None:
    """The run ended before it had sent anything, and said where the trouble is."""
    assert said.code in (2, 3)
    ended = bench.end(said, given)
    ended.says(f"(?i): .*({says}).*; ")
    assert ended.given == []
