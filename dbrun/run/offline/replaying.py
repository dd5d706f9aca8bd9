"""The records of a spec, all of its answers taken from the journal; nothing is sent or written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from ...client.waiting import blocking
from ...sources.base import pin
from ...spec.model import Spec
from ...types import Record
from ..asking.counters import Counters
from ..keeping.manifest_files import read_manifest
from ..manifest import manifest_path
from ..opening import Surroundings, opened
from ..plugins import create_source
from ..processing import make_processor
from ..rows.feeding import feed
from ..travel.away import read_journal


@contextmanager
def replayed(
    spec: Spec, around: Surroundings, *, journal_path: str | None = None
) -> Iterator[Iterator[Record]]:
    """The records of *spec*, one after another; those without an answer say `unanswered`.

    *journal_path* is a journal to read instead of the spec's own.

    Raises:
        UserError: what only the endpoint could tell is not remembered.
        SourceError: the rows cannot be read.
    """
    around = replace(around, offline=True)
    path = journal_path or spec.journal.path
    journal = read_journal(path, around)
    with ExitStack() as stack:
        stack.callback(journal.close)
        parts = stack.enter_context(
            opened(spec, around, journal=journal, counters=Counters(), halt=threading.Event())
        )
        source = create_source(spec.source, parts.context, around.registry)
        pin(source, (read_manifest(manifest_path(spec.sink.path)) or {}).get("source"))
        processor = make_processor(spec, parts, images_folder=source.folder, send=False)
        yield (
            record
            for item in feed(spec, parts, source)
            for record in blocking(processor.process([item]))
        )
