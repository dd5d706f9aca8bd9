"""One journal, several runs at once, each with a sink of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

from ...canonical import digest
from ...client.journal import Journal
from ...client.journal.claims import open_claims
from ...spec.model import Spec
from ..rows.items import Selection


def sink_name(spec: Spec) -> str:
    """What tells the sink of *spec* from others with the same journal, wherever both lie."""
    paths = (os.path.realpath(spec.sink.path), os.path.realpath(spec.journal.path))
    try:
        return os.path.relpath(*paths)
    except ValueError:  # on another drive
        return paths[0]


def begin_generation(journal: Journal, spec: Spec, kind: str, selection: Selection) -> int:
    """Start asking anew for what *selection* takes, or go on where the same command was ended.

    What a run of another sink has begun is its own.
    """
    return journal.begin_generation(f"{kind} {sink_name(spec)}", digest(selection.to_json()))


@contextmanager
def sharing(journal: Journal) -> Iterator[None]:
    """Meanwhile a run that asks by way of *journal* and others that write the same one wait for
    each other's equal requests in flight, and read each other's answers."""
    claims = open_claims(journal.path) if journal.mode in ("reuse", "refresh") else None
    if claims is None:
        yield
        return
    with closing(claims):
        journal.share(claims)
        try:
            yield
        finally:
            journal.unshare()
