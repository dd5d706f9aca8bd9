"""Processes that are killed for good, and processes that write one folder together."""

import os
import random
import select
import subprocess
import sys

from dbrun.client.journal import Journal

WRITER = """
import hashlib, itertools, os, sys
from dbrun.adapters.base import Answer
from dbrun.client.journal import Journal, compact

path, first, count, fold = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
compact._BLOCK = 5000
journal = Journal.open(path)
numbers = range(first, first + count) if count else itertools.count(first)
for number in numbers:
    key = hashlib.sha256(str(number).encode()).hexdigest()
    body = {"n": number, "pad": "x" * (number % 7 * 300)}
    journal.record(key, Answer(body=body))
    os.write(1, b"%d\\n" % number)
    if fold and number % fold == 0:
        journal.compact()
journal.close()
"""


def writer(folder, first, count=0, fold=0):
    given = [folder, str(first), str(count), str(fold)]
    return subprocess.Popen([sys.executable, "-c", WRITER, *given], stdout=subprocess.PIPE)


def test_what_was_recorded_before_a_kill_is_found(folder, key):
    """`kill -9` in the middle of writing, of folding, or of both, again and again."""
    luck = random.Random(7)
    known = set()
    for attempt in range(21):
        fold = (0, 25, 3)[attempt % 3]
        with writer(folder, first=attempt * 1000, fold=fold) as process:
            told = b""
            until = luck.randrange(1, {0: 3000, 25: 600, 3: 60}[fold])
            while len(told) < until:
                assert select.select([process.stdout], [], [], 30)[0]
                told += os.read(process.stdout.fileno(), 4096)
            process.kill()
            told += process.stdout.read()
        known.update(int(line) for line in told.splitlines(keepends=True) if line.endswith(b"\n"))
        if attempt % 9 == 8:
            check(folder, key, known)
    check(folder, key, known)
    with Journal.open(folder) as journal:
        journal.finish()
    check(folder, key, known)
    assert os.listdir(folder) == ["answers.jsonl"]


def check(folder, key, known):
    with Journal.open(folder, mode="replay") as journal:
        assert {number for number in known if journal.lookup(key(number)) is None} == set()
        assert all(journal.lookup(key(number)).body["n"] == number for number in known)
        assert journal.damaged == 0


def test_several_processes_write_and_fold_one_folder(folder, key):
    ranges = [(0, 400, 0), (300, 400, 50), (600, 400, 30), (900, 400, 0)]
    processes = [writer(folder, *each) for each in ranges]
    for process in processes:
        with process:
            assert len(process.stdout.read().splitlines()) == 400
        assert process.returncode == 0
    check(folder, key, set(range(1300)))
    with Journal.open(folder) as journal:
        assert journal.entries == 1300
        journal.finish()
    check(folder, key, set(range(1300)))
    assert os.listdir(folder) == ["answers.jsonl"]
