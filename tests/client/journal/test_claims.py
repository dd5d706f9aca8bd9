"""Requests claimed by one of several processes, and calls shared between them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.driving import all_looping

from dbrun.adapters.base import Answer
from dbrun.client.journal import Journal
from dbrun.client.journal.claims import MOST, Claims, create_claims
from dbrun.client.journal.flight import Vacant
from dbrun.client.waiting import blocking
from dbrun.errors import Unanswered

KEY, OTHER = "0" * 63 + "1", "f" * 64
ANSWER = Answer(body={"said": "yes"})

ANOTHER = """
import sys
from dbrun.client.journal import Journal
from dbrun.client.journal.claims import Claims
from dbrun.adapters.base import Answer

claims = Claims(sys.argv[1], 1)
journal = Journal.open(sys.argv[2])
journal.share(claims)
held = {}
for line in sys.stdin:
    word, key = line.split()
    if word == "claim":
        held[key] = journal.claim(key)
        print(held[key].leads, flush=True)
    elif word == "answer":
        held[key].settle(journal.record(key, Answer(body={"said": "there"})))
        print("answered", flush=True)
    else:
        held[key].settle(ValueError("no luck"))
        print("failed", flush=True)
"""


class Another:
    """A process that shares claims with this one, and does as it is told."""

    def __init__(self, claims: str, journal: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", ANOTHER, claims, str(journal)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def does(self, word: str, key: str = KEY) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word} {key}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def path() -> Iterator[str]:
    made = create_claims()
    yield made
    os.unlink(made)


@pytest.fixture
def journal(path: str, tmp_path: Path) -> Iterator[Journal]:
    claims = Claims(path, 0)
    with Journal.open(str(tmp_path / "journal")) as made:
        made.share(claims)
        yield made
    claims.close()


@pytest.fixture
def another(path: str, journal: Journal) -> Iterator[Another]:
    made = Another(path, Path(journal.path))
    yield made
    made.close()


def test_a_key_is_claimed_by_one_process_and_read_by_the_other(
    journal: Journal, another: Another
) -> None:
    assert another.does("claim") == "True"
    claim = journal.claim(KEY)
    assert not claim.leads
    assert journal.claim(OTHER).leads, "other keys are free"
    assert another.does("answer") == "answered"
    assert blocking(claim.wait()).body == {"said": "there"}
    later = journal.claim(KEY)
    assert not later.leads
    assert blocking(later.wait()).body == {"said": "there"}


def test_answers_of_before_are_found_when_a_key_is_claimed(
    journal: Journal, another: Another
) -> None:
    keys = [f"{number:064x}" for number in range(20)]
    for key in keys:
        assert another.does("claim", key) == "True"
        assert another.does("answer", key) == "answered"
        assert journal.lookup(key) is None  # nobody has looked yet
        claim = journal.claim(key)
        assert not claim.leads
        assert blocking(claim.wait()).body == {"said": "there"}


@pytest.mark.parametrize("how", ["fail", "kill"])
def test_who_waits_leads_where_nothing_came_of_it(
    journal: Journal, another: Another, how: str
) -> None:
    assert another.does("claim") == "True"
    waiting = [journal.claim(KEY) for _ in range(3)]
    assert not any(claim.leads for claim in waiting)
    if how == "fail":
        assert another.does("fail") == "failed"
    else:
        another.process.kill()
        another.process.wait()
    led = []

    async def wait(claim: object) -> object:
        try:
            return await claim.wait()  # type: ignore[attr-defined]
        except Vacant as vacant:
            led.append(vacant.claim.leads)
            vacant.claim.settle(journal.record(KEY, ANSWER))
            return await vacant.claim.wait()

    entries = all_looping([wait(claim) for claim in waiting])
    assert [entry.body for entry in entries] == [{"said": "yes"}] * 3
    assert led == [True]


def test_waiting_for_another_process_ends_with_the_run(journal: Journal, another: Another) -> None:
    assert another.does("claim") == "True"
    stop = threading.Event()
    claim = journal.claim(KEY)
    stop.set()
    with pytest.raises(Unanswered):
        blocking(claim.wait(stop))


def test_what_this_process_leads_others_do_not(journal: Journal, another: Another) -> None:
    claim = journal.claim(KEY)
    assert claim.leads
    assert not journal.claim(KEY).leads
    assert another.does("claim") == "False"
    claim.settle(journal.record(KEY, ANSWER))
    assert blocking(claim.wait()).body == {"said": "yes"}


def test_two_keys_of_one_place_do_not_give_back_each_other(path: str) -> None:
    claims = Claims(path, 0)
    alike = KEY[:16] + "e" * 48
    assert claims.take(KEY)
    assert claims.take(alike)
    claims.give_back(KEY)
    code = (
        f"from dbrun.client.journal.claims import Claims; print(Claims({path!r}, 1).take({KEY!r}))"
    )
    taken = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert taken.stdout.strip() == "False"
    claims.give_back(alike)
    taken = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert taken.stdout.strip() == "True"
    claims.close()


def test_news_are_told_once_and_only_to_others(path: str) -> None:
    one, other = Claims(path, 0), Claims(path, 5)
    assert one.news() == (True, True)  # nobody knows what there was before
    assert one.news() == (False, False)
    one.tell(1)
    assert one.news() == (False, False)
    other.tell(1)
    assert one.news() == (True, True)
    other.tell(1)
    assert one.news() == (True, False)
    other.tell(2)
    assert one.news() == (True, True)
    one.close()
    other.close()


def test_there_is_room_for_so_many_processes(path: str) -> None:
    Claims(path, MOST - 1).close()
    with pytest.raises(ValueError, match="no room"):
        Claims(path, MOST)


def test_segments_that_are_trusted_are_folded_as_they_are(tmp_path: Path) -> None:
    folder = str(tmp_path / "journal")
    with Journal.open(folder) as theirs:
        theirs.record(KEY, ANSWER)
        (name,) = theirs.written
        with Journal.open(folder) as ours:
            ours.trust([name])
            theirs.close()
            ours.finish()
            assert ours.lookup(KEY) is not None
    assert os.listdir(folder) == ["answers.jsonl"]
