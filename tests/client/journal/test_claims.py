"""Requests claimed by one of several processes, and calls shared between them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from fakes.driving import all_looping

from dbrun.adapters.base import Answer
from dbrun.client.journal import Journal
from dbrun.client.journal.claims import (
    CLAIMS,
    MOST,
    Claims,
    create_claims,
    open_claims,
    remove_claims,
)
from dbrun.client.journal.flight import Vacant
from dbrun.client.waiting import blocking
from dbrun.clock import Clock
from dbrun.errors import SinkError, Unanswered

KEY, OTHER = "0" * 63 + "1", "f" * 64
ANSWER = Answer(body={"said": "yes"})

ANOTHER = """
import sys
from dbrun.client.journal import Journal
from dbrun.client.journal.claims import Claims
from dbrun.adapters.base import Answer

claims = Claims(sys.argv[1])
journal = Journal.open(sys.argv[2])
journal.share(claims, among=sys.argv[3] == "among")
held = {}
print("here", flush=True)
for line in sys.stdin:
    word, key = line.split()
    if word == "heed":
        journal.heed()
        print("heeded", flush=True)
    elif word == "claim":
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

    def __init__(self, claims: str, journal: Path, how: str = "among") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", ANOTHER, claims, str(journal), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "here\n"

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
def path(tmp_path: Path) -> str:
    folder = tmp_path / "journal"
    folder.mkdir()
    return create_claims(str(folder))


@pytest.fixture
def journal(path: str, tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(str(tmp_path / "journal")) as made, closing(Claims(path)) as claims:
        made.share(claims, among=True)
        yield made


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
    claims = Claims(path)
    alike = KEY[:16] + "e" * 48
    assert claims.take(KEY)
    assert claims.take(alike)
    claims.give_back(KEY)
    code = f"from dbrun.client.journal.claims import Claims; print(Claims({path!r}).take({KEY!r}))"
    taken = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert taken.stdout.strip() == "False"
    claims.give_back(alike)
    taken = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert taken.stdout.strip() == "True"
    claims.close()


def test_news_are_told_once_and_only_to_others(path: str) -> None:
    with closing(Claims(path)) as one:
        other = Claims(path)
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
        other.close()
        with closing(Claims(path)) as third:  # in the seat that is free again
            one.news()
            third.tell(1)
            assert one.news() == (True, True)


def test_there_is_room_for_so_many_processes(path: str) -> None:
    with ExitStack() as stack:
        for _ in range(MOST):
            stack.enter_context(closing(Claims(path)))
        with pytest.raises(SinkError, match="256 processes are at this journal"):
            Claims(path)
    Claims(path).close()


def test_where_the_folder_cannot_have_the_file_it_is_elsewhere(tmp_path: Path) -> None:
    (tmp_path / CLAIMS).mkdir()
    assert open_claims(str(tmp_path)) is None
    made = create_claims(str(tmp_path))
    Claims(made).close()
    assert os.path.dirname(made) != str(tmp_path)
    remove_claims(made)
    assert not os.path.exists(made)
    remove_claims(made)
    remove_claims(None)


def test_that_of_the_journal_is_not_removed(path: str) -> None:
    remove_claims(path)
    assert os.path.exists(path)


class TestComing:
    """Processes that come while others are alone with their calls."""

    @pytest.fixture
    def alone(self, path: str, tmp_path: Path) -> Iterator[Journal]:
        with Journal.open(str(tmp_path / "journal")) as made, closing(Claims(path)) as claims:
            made.share(claims)
            yield made

    def come(self, path: str, alone: Journal) -> Another:
        with ThreadPoolExecutor() as pool:
            coming = pool.submit(Another, path, Path(alone.path), "alone")
            while not coming.done():
                alone.heed()
            return coming.result()

    def test_what_is_under_way_is_claimed_when_they_come(self, path: str, alone: Journal) -> None:
        alone.record(OTHER, ANSWER)
        claim = alone.claim(KEY)
        assert claim.leads
        with closing(self.come(path, alone)) as another:
            assert another.does("claim", OTHER) == "False", "answered before"
            assert another.does("claim") == "False"
            assert not alone.claim(KEY).leads
            claim.settle(alone.record(KEY, ANSWER))
            assert another.does("claim") == "False", "answered"
            later = "a" * 64
            assert another.does("claim", later) == "True"
            theirs = alone.claim(later)
            assert not theirs.leads
            assert another.does("answer", later) == "answered"
            assert blocking(theirs.wait()).body == {"said": "there"}

    def test_what_fails_may_be_claimed_by_them(self, path: str, alone: Journal) -> None:
        claim = alone.claim(KEY)
        with closing(self.come(path, alone)) as another:
            claim.settle(ValueError("no luck"))
            assert another.does("claim") == "True"

    def test_they_wait_until_they_are_heeded(self, path: str, alone: Journal) -> None:
        with ThreadPoolExecutor() as pool:
            coming = pool.submit(Another, path, Path(alone.path), "alone")
            with pytest.raises(TimeoutError):
                coming.result(0.5)
            alone.heed()
            coming.result(20).close()

    def test_one_that_was_killed_is_no_company(self, path: str, tmp_path: Path) -> None:
        another = Another(path, tmp_path / "journal", "alone")
        with closing(Claims(path)) as claims:
            assert claims.has_company()
            another.close()
            assert not claims.has_company()
            claims.await_others(Clock())  # at once


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
