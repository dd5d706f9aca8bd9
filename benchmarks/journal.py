"""Measure the journal: writing, opening, looking up and folding a million answers of 1 KB.

Run as a script; the number of answers is its only argument. Prints one line a measurement.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from dbrun.adapters.base import Answer
from dbrun.client.journal import Journal

_TEXT = "Printer jams after the update; " * 25


def key(number: int) -> str:
    """The same request keys each time."""
    return hashlib.sha256(number.to_bytes(8, "big")).hexdigest()


def answer(number: int) -> Answer:
    """An answer of about 1 KB, the size of a short chat completion."""
    raw = f'{{"id":"chatcmpl-{number}","choices":[{{"text":"{_TEXT}"}}],"usage":{{"total":412}}}}'
    return Answer(body=None, raw=raw.encode(), model="model-1")


def memory(field: str) -> float:
    """MB of this process's memory (`VmRSS` now, `VmHWM` at most); 0 where that is not told."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(field)), 0.0)


def measured(title: str, count: int, work: Callable[[], object]) -> None:
    """Time *work* and say what it took of wall clock and CPU, for all and for each."""
    before, wall, cpu = memory("VmRSS"), time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        f"{title:<32} {wall:7.2f} s wall {cpu:7.2f} s CPU {cpu / count * 1e6:7.2f} µs each"
        f"   {memory('VmRSS') - before:+7.1f} MB, peak {memory('VmHWM'):6.1f} MB",
        flush=True,
    )


def forked(work: Callable[[], None]) -> None:
    """Do *work* in a process of its own, so that its memory is its own."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    os.waitpid(child, 0)


def main(count: int) -> None:
    """Write, open, look up, fold, and open again."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "bench.journal")
        some = [key(number) for number in random.Random(1).sample(range(count), count // 20)]

        def write() -> None:
            with Journal.open(path) as journal:
                measured("record", count, lambda: _record(journal, count))

        def read(title: str) -> None:
            opened: list[Journal] = []
            measured(title, count, lambda: opened.append(Journal.open(path, mode="replay")))
            journal = opened[0]
            print(f"{'':<32} {journal.bytes_ / 1e6:7.0f} MB on disk, {journal.entries} entries")
            measured("look up, hits in random order", len(some), lambda: _look_up(journal, some))
            misses = [each[::-1] for each in some]
            measured("look up, misses", len(some), lambda: _look_up(journal, misses))
            journal.close()

        def fold() -> None:
            with Journal.open(path) as journal:
                measured("finish", count, journal.finish)

        forked(write)
        forked(lambda: read("open segments"))
        forked(fold)
        forked(lambda: read("open the compacted file"))


def _record(journal: Journal, count: int) -> None:
    for number in range(count):
        journal.record(key(number), answer(number))


def _look_up(journal: Journal, some: list[str]) -> None:
    for each in some:
        journal.lookup(each)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
