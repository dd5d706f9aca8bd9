"""Every answer that was paid for, under the key of its request."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from ...clock import Clock
from ...errors import SinkError
from ...types import Json
from .compact import compact
from .flight import Claim, Flights
from .lines import Answered, Entry, encode
from .state import State
from .store import Store

if TYPE_CHECKING:
    from .claims import Claims
    from .shared import SharedFlights

MODES = ("reuse", "refresh", "replay", "off")
_NOTHING: Mapping[str, Json] = {}
_SYNC_LATEST = 2.0  # seconds: a run calls `sync` every second, from where nobody waits for it


class Journal:
    """Answers by request key, in append-only files of one folder (`<sink>.journal/`).

    Any number of processes may write one folder, each to a segment of its own; a process sees
    what was there when it opened the journal, and what it wrote itself. All methods may be
    called from several threads, `finish` and `close` when nobody else is at it any more.

    Modes: `reuse` answers from all there is; `refresh` only from the current generation;
    `replay` like `reuse`, but writes nothing, takes no lock, and is content with a read-only or
    missing folder; `off` neither reads nor writes.
    """

    def __init__(
        self, path: str, *, mode: str, writable: bool, clock: Clock, publish_every: float = 30.0
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"unknown journal mode '{mode}': there are {', '.join(MODES)}")
        self.path = path
        self.mode = mode
        self.writable = writable and mode in ("reuse", "refresh")
        self._clock = clock
        self._store = Store(path, clock, publish_every if self.writable else None)
        if mode != "off":
            self._store.refresh()
        self._state = State(None if mode == "off" else path, self.writable)
        self._generation = max(self._state.generation, self._store.index.newest)
        self._begun: set[str] = set()
        self._wrote = False
        self._synced = clock.now()
        self._flights = Flights(self.lookup)
        self._shared: SharedFlights | None = None

    @classmethod
    def open(
        cls,
        path: str,
        *,
        mode: str = "reuse",
        writable: bool = True,
        clock: Clock | None = None,
        publish_every: float = 30.0,
    ) -> Journal:
        """Open the journal in the folder *path*; nothing is created before the first answer.

        *publish_every* are the seconds between two files where the folder takes whole files only.

        Raises:
            SinkError: if the folder is there and cannot be read.
        """
        return cls(
            path,
            mode=mode,
            writable=writable,
            clock=clock or Clock(),
            publish_every=publish_every,
        )

    def lookup(self, key: str, since: int = 0) -> Entry | None:
        """The newest answer to *key*, if it is of generation *since* or later.

        In mode `refresh` it must also be of the current generation. A line that turns out to be
        damaged is counted in `damaged` and is no answer.

        Raises:
            SinkError: if the file that holds it cannot be read.
        """
        if self.mode == "refresh" and since < self._generation:
            since = self._generation
        return self._store.find(key, since)

    def record(self, key: str, answer: Answered, extra: Mapping[str, Json] = _NOTHING) -> Entry:
        """Keep *answer* under *key*: its line is written when this returns (see `gather`).

        *extra* are small further fields of the line (usage, latency). Gives the entry, as `lookup`
        would, to settle a claim with. A kill loses nothing that was recorded; against a power cut
        lines are synced to disk about once a second, and by `sync`.

        Raises:
            SinkError: if the disk refuses; nothing of the line stays then.
        """
        generation = self._generation
        entry = Entry(body=answer.body, model=answer.model, generation=generation, extra=extra)
        if self.mode == "off":
            return entry
        if not self.writable:
            raise SinkError(f"journal {self.path} is open for reading only", "open it writable")
        self._store.append(key, generation, encode(key, generation, answer, extra))
        self._wrote = True
        if not self._store.gathers:
            self._sync_if_due()
        return entry

    def gather(self) -> None:
        """From now on `record` leaves writing to `flush`: one call for what came together."""
        self._store.gathers = True

    def flush(self) -> None:
        """Write what was recorded since the last time, which counts as kept only then.

        Raises:
            SinkError: if the disk refuses; `refused` tells how many answers are lost thereby.
        """
        self._store.flush()
        self._sync_if_due()

    def _sync_if_due(self) -> None:
        if self._clock.now() - self._synced >= _SYNC_LATEST:
            self.sync()

    @property
    def gathers(self) -> bool:
        """Whether what is recorded is kept only by the next `flush`."""
        return self._store.gathers

    @property
    def refused(self) -> int:
        """How many answers the disk refused to keep."""
        return self._store.refused

    def flight(self) -> Flights:
        """The calls under way: equal requests share one."""
        return self._flights

    @property
    def landed(self) -> int:
        """How many calls of this process have come to their end so far."""
        return self._flights.landed

    def claim(self, key: str, since: int = 0, landed: int | None = None) -> Claim:
        """Lead the call for *key* or join the one under way (see `flight`); never waits.

        *landed* is what that property was before the caller looked for an answer itself: if
        nothing has landed since, that need not be done again.
        """
        return self._flights.claim(key, since, landed)

    def share(self, claims: Claims, *, among: bool = False) -> None:
        """Make calls together with the processes that share *claims* and write the same folder:
        equal requests in flight in several of them share one call, too.

        *among* others that are about to come, there is no need to wait for them: `heed` does
        else, and is to be called often.
        """
        from .shared import SharedFlights

        store = self._store
        shared = SharedFlights(self.lookup, claims, store.catch_up, lambda: len(store.files.begun))
        if among:
            shared.share()
        if shared.heed():
            claims.await_others(self._clock)
        self.refresh()  # what came before was told to nobody
        self._flights = self._shared = shared

    def heed(self) -> None:
        """See whether others have come that are to be shared with."""
        if self._shared is not None:
            self._shared.heed()

    def unshare(self) -> None:
        """Nothing is asked any more, so that nobody need wait for `heed`."""
        self._shared = None

    @property
    def written(self) -> list[str]:
        """The names of the segments that this process has begun."""
        return self._store.files.begun

    def trust(self, names: Iterable[str]) -> None:
        """Take segments of these *names*, `written` by processes that share this one's run, for
        what they should be when they are folded."""
        self._store.files.trust(names)

    def recall(self, name: str) -> Json:
        """The fact about an endpoint that is remembered as *name*, or None."""
        return self._state.recall(name)

    def remember(self, name: str, value: Json) -> None:
        """Keep a fact about an endpoint for later runs (for this one only, unless writable)."""
        self._state.remember(name, value)

    def settled(self, results: str) -> Json:
        """What is kept of how the results of this name were made, or None."""
        return self._state.settled(results)

    def settle(self, results: str, value: Json) -> None:
        """Keep for later runs how the results of this name were made.

        Raises:
            SinkError: if the state file cannot be written.
        """
        self._state.settle(results, value)

    def whole_file(self) -> str | None:
        """The path of the one file that holds all answers; None unless there is just that."""
        return self._store.whole_file()

    @property
    def facts(self) -> Mapping[str, Json]:
        """All that is remembered about endpoints, by name."""
        return self._state.facts

    @property
    def generation(self) -> int:
        """The generation that answers are recorded under."""
        return self._generation

    def begin_generation(self, kind: str, fingerprint: str) -> int:
        """Start asking anew: later answers are of the generation that this gives.

        *kind* says by which option (`fresh`, `only-errors`), *fingerprint* by which command: the
        same one continues the generation that it left unfinished. Only `finish` ends it.

        Raises:
            SinkError: if the state file cannot be written.
        """
        self._generation = self._state.begin(kind, fingerprint, self._store.index.newest)
        self._begun.add(kind)
        return self._generation

    def finish(self) -> None:
        """The run is complete: fold all segments into one file, end the generation it began.

        Nothing is touched if there is nothing to fold, or the folder can only be read. A kill at
        any point loses nothing.

        Raises:
            SinkError: if the disk refuses; all answers are still there then.
        """
        if not self.writable:
            return
        self.compact()
        while self._begun:
            self._state.end(self._begun.pop())

    def compact(self, keep: Callable[[str], bool] | None = None) -> bool:
        """Fold all segments but those of other live writers into one file sorted by key.

        With *keep*, answers to keys that it denies are dropped. False if there was nothing to do.

        Raises:
            SinkError: if the disk refuses; all answers are still there then.
        """
        if not self.writable:
            return False
        if not self._wrote and not os.access(self.path, os.W_OK):
            return False
        return compact(self._store, keep)

    def items(self) -> Iterator[tuple[str, Entry]]:
        """Every key's newest answer, in the order of keys."""
        return self._store.entries()

    def extents(self) -> Iterator[tuple[int, int, int]]:
        """Of every key's newest answer the first 64 bits of the key, the generation, and the
        bytes of its line, in the order of keys: what the index knows without reading a line."""
        for spot in self._store.in_order():
            yield spot.prefix, spot.generation, spot.size

    def refresh(self) -> None:
        """Take in what other processes have written since the journal was opened."""
        if self.mode != "off":
            self._store.refresh()

    def sync(self) -> None:
        """Have the disk hold all that was recorded."""
        self._synced = self._clock.now()
        self._store.sync()

    def close(self) -> None:
        """Let go of all files.

        Raises:
            SinkError: if what is spooled on local disk cannot be published; says where it is.
        """
        self._store.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except SinkError as failed:
            if error is None:
                raise
            if str(failed) != str(error):  # what came first says more
                logging.getLogger(__name__).warning("%s", failed)

    @property
    def entries(self) -> int:
        """How many keys have an answer."""
        return len(self._store.index)

    @property
    def segments(self) -> int:
        """How many files hold them."""
        return len(self._store.files)

    @property
    def bytes_(self) -> int:
        """How many bytes these files have."""
        return self._store.files.bytes_

    @property
    def damaged(self) -> int:
        """How many damaged lines were met and passed over."""
        return self._store.damaged
