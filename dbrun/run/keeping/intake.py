"""What becomes of records as they come, in order: the sink, the counts, the failures allowed."""

from __future__ import annotations

from collections.abc import Callable

from ...spec.model import Spec
from ...types import Record
from ..judging.gates import check_failures
from ..judging.tally import Tally
from ..rows.items import Selection

_NAMED = 3
_LOOKED_AT = 100_000
"""Rows of which the id is remembered, in some 80 bytes each."""


class Intake:
    """Hands each record on and counts it.

    *missing_ids* are those of the *selection* that no record has had so far; none where only
    some of the rows are read. *shared_ids* are the first ids that more than one row has, *shared*
    is how many rows have one that an earlier row had; only the first 100,000 rows are looked
    at, and none where ids are hashes, which equal rows share.
    """

    def __init__(self, spec: Spec, selection: Selection, tally: Tally) -> None:
        self._spec = spec
        self._tally = tally
        read_all = selection.limit is None and selection.sample is None
        self.missing_ids = set((selection.ids or ()) if read_all else ())
        self.shared_ids: list[str] = []
        self.shared = 0
        self._variant: str | None = None
        self._known: set[int] | None = set() if spec.source.id is not None else None

    def into(self, write: Callable[[Record], None]) -> Callable[[Record], None]:
        """What takes a record and has *write* have it.

        It raises what *write* raises, and `TooManyFailures`.
        """

        def take(record: Record) -> None:
            write(record)
            self._tally.add(record)
            if self.missing_ids:
                self.missing_ids -= {record.id, record.id.partition("#")[0]}
            if self._known is not None:
                self._look_at(record, self._known)
            if record.status == "error":
                check_failures(self._spec, self._tally)

        return take

    def _look_at(self, record: Record, known: set[int]) -> None:
        if not known:
            self._variant = record.variant
        if record.variant != self._variant or (record.repeat or 1) > 1:
            return  # one record of each row will do
        who = hash(record.id)
        if who not in known:
            known.add(who)
            if len(known) == _LOOKED_AT:
                self._known = None
            return
        self.shared += 1
        if len(self.shared_ids) < _NAMED and record.id not in self.shared_ids:
            self.shared_ids.append(record.id)
