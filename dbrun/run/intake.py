"""What becomes of records as they come, in order: the sink, the counts, the failures allowed."""

from __future__ import annotations

from collections.abc import Callable

from ..spec.model import Spec
from ..types import Record
from .gates import check_failures
from .items import Selection
from .tally import Tally


class Intake:
    """Hands each record on and counts it.

    *missing_ids* are those of the *selection* that no record has had so far; none where only
    some of the rows are read.
    """

    def __init__(self, spec: Spec, selection: Selection, tally: Tally) -> None:
        self._spec = spec
        self._tally = tally
        read_all = selection.limit is None and selection.sample is None
        self.missing_ids = set((selection.ids or ()) if read_all else ())

    def into(self, write: Callable[[Record], None]) -> Callable[[Record], None]:
        """What takes a record and has *write* have it.

        It raises what *write* raises, and `TooManyFailures`.
        """

        def take(record: Record) -> None:
            write(record)
            self._tally.add(record)
            if self.missing_ids:
                self.missing_ids -= {record.id, record.id.partition("#")[0]}
            if record.status == "error":
                check_failures(self._spec, self._tally)

        return take
