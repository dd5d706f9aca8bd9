"""In which state the journal and the results of a spec are; nothing is written."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ..client.journal import Journal
from ..findings import OK, WARN, Check, Finding
from ..run.journals.looking import exists
from ..run.manifest import manifest_path
from ..run.opening import Surroundings
from ..run.travel.away import fetch_manifest
from ..spec.model import Spec
from ..storage import mirrored


def answer_checks(spec: Spec, around: Surroundings) -> list[Check]:
    """The journal, then what an earlier run left."""
    return [
        Check(subject="journal", look=lambda: _journal(spec, around)),
        Check(subject="results", look=lambda: _results(spec, around)),
    ]


def _journal(spec: Spec, around: Surroundings) -> Iterator[Finding]:
    if spec.journal.mode == "off":
        said, mend = "is off: every run pays for everything", "remove journal.mode"
        yield Finding(state=WARN, subject="journal", said=said, mend=mend)
        return
    path = spec.journal.path
    if not exists(path, around):
        yield Finding(state=OK, subject="journal", said="there is none yet")
        return
    with Journal.open(path, mode="replay", writable=False) as journal:
        answers, files, damaged = journal.entries, journal.segments, journal.damaged
    said = f"{answers:,} answer{'s' * (answers != 1)} in {files} file{'s' * (files != 1)}"
    if damaged:
        said += f"; {damaged} damaged line{'s' * (damaged != 1)}, which count as unanswered"
        mend = "restore them from a copy, or let the next run ask for them again"
        yield Finding(state=WARN, subject="journal", said=said, mend=mend)
        return
    yield Finding(state=OK, subject="journal", said=said)


def _results(spec: Spec, around: Surroundings) -> Iterator[Finding]:
    path = spec.sink.path
    fetch_manifest(path, around)
    if os.path.exists(f"{manifest_path(path)}.partial"):
        said = "the last run did not finish"
        mend = "the same command continues it"
        yield Finding(state=WARN, subject="results", said=said, mend=mend)
    elif os.path.exists(manifest_path(path) if mirrored(path) else path):
        said = "are there, of a finished run"
        yield Finding(state=OK, subject="results", said=said)
