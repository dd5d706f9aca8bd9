"""What the journal's tests share: keys, answers, and a clock that stands still."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from dbrun import storage
from dbrun.adapters.base import Answer
from dbrun.client.journal import Journal
from dbrun.clock import Clock


class StillClock(Clock):
    """Always the same moment, unless a test sets another."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.moment = datetime(2026, 3, 21, 10, 15, 30, tzinfo=timezone.utc)

    def now(self) -> float:
        return self.seconds

    def wall(self) -> datetime:
        return self.moment


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture(scope="session")
def key() -> Callable[[Any], str]:
    """A request key of anything."""
    return lambda name: hashlib.sha256(str(name).encode()).hexdigest()


@pytest.fixture(scope="session")
def answer() -> Callable[..., Answer]:
    """An answer with this body."""
    return lambda body, raw=None, model=None: Answer(body=body, raw=raw, model=model)


@pytest.fixture
def folder(tmp_path) -> str:
    """Where a journal would be; nothing is there yet."""
    return str(tmp_path / "out" / "results.jsonl.journal")


@pytest.fixture
def opened(folder, clock) -> Iterator[Callable[..., Journal]]:
    """Opens the journal, any number of times; all are closed at the end."""
    with ExitStack() as stack:

        def open_(**options: Any) -> Journal:
            journal = Journal.open(folder, clock=clock, **options)
            stack.callback(journal.close)
            return journal

        yield open_


@pytest.fixture
def volume(tmp_path, monkeypatch) -> Path:
    """Where a journal would be whose folder is known to take whole files only."""
    monkeypatch.setattr(storage, "REMOTE_ROOTS", (f"{tmp_path}/volume/",))
    monkeypatch.setenv("DBRUN_SPOOL", str(tmp_path / "spool"))
    return tmp_path / "volume" / "x.journal"


@pytest.fixture
def publishing(volume, clock) -> Iterator[Callable[..., Journal]]:
    """Opens the journal on the volume, any number of times; it publishes when it is told to."""
    with ExitStack() as stack:

        def open_(**options: Any) -> Journal:
            journal = Journal.open(str(volume), clock=clock, publish_every=1000, **options)
            stack.callback(journal.close)
            return journal

        yield open_
