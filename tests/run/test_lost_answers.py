"""Answers that the disk refuses are counted, whoever has them written."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dbrun.client.journal import Journal, segment
from dbrun.errors import SinkError
from dbrun.run.asking.counters import Counters
from dbrun.run.engines.local import LocalRun


def test_what_a_look_up_failed_to_write_is_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run = LocalRun.__new__(LocalRun)  # only what keeping answers needs
    run._counters, run._refused = Counters(), 0
    with Journal.open(str(tmp_path / "journal")) as journal:
        run._journal = journal
        journal.gather()
        answer: Any = SimpleNamespace(body={}, raw=None, model=None)
        for key in ("a" * 64, "b" * 64):
            journal.record(key, answer)
        monkeypatch.setattr(segment, "write_all", refuse)
        with pytest.raises(SinkError, match="no space"):
            journal.lookup("a" * 64)
        run._keep_answers()
        run._keep_answers()
    assert run._counters.maybe_paid == 2
