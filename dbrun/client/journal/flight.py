"""Single flight: equal requests in flight share one call.

    claim = journal.claim(key)
    if claim.leads:
        with claim:                          # settles with an error if the block does not
            answer = …ask the endpoint…
            claim.settle(journal.record(key, answer))
    entry = await claim.wait(stop)

Whoever needs several keys at once claims all of them without waiting, sends those it leads,
settles them, and only then waits for the rest. Nobody then waits while others wait for them, so
groups that overlap in any order cannot block each other.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from types import TracebackType

from ...errors import Unanswered
from ..waiting import Gate
from .lines import Entry

_LOOK_UP = 0.1  # seconds between looks at the stop event


class Flight:
    """One call under way: its outcome once there is one, and the gates of those who wait."""

    __slots__ = ("gates", "outcome")

    def __init__(self, outcome: Entry | BaseException | None = None) -> None:
        self.outcome = outcome
        self.gates: list[Gate] = []


class Claim:
    """A share in one call. *leads* tells whether it is this claim's holder who makes the call."""

    __slots__ = ("_flight", "_flights", "_key", "leads")

    def __init__(self, flights: Flights, key: str, flight: Flight, leads: bool) -> None:
        self._flights = flights
        self._key = key
        self._flight = flight
        self.leads = leads

    def settle(self, outcome: Entry | BaseException) -> None:
        """Hand the outcome to all who wait. Only the leader may; the first outcome stands.

        An answer must have been recorded before, else somebody who comes in between asks again.
        """
        if not self.leads:
            raise RuntimeError("only the claim that leads may settle it")
        self._flights.land(self._key, self._flight, outcome)

    async def wait(self, stop: threading.Event | None = None) -> Entry:
        """The leader's answer.

        Raises:
            BaseException: a copy of the error that the leader settled with.
            Vacant: another process led and left no answer; the holder leads from now on.
            Unanswered: if *stop* was set before the leader settled.
        """
        outcome = await self._flights.await_landing(self._flight, stop)
        if isinstance(outcome, BaseException):
            # Each waiter raises its own copy: a traceback belongs to one thread.
            raise copy.copy(outcome)
        return outcome

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.leads and self._flight.outcome is None:
            told = error if isinstance(error, Exception) else None  # an interrupt is not for others
            self.settle(told or Unanswered("the equal request that was waited for was given up"))


class Vacant(Exception):
    """Nobody leads a call any more that was led by another process: whoever gets this does, by
    the *claim*. Only where several processes share their calls."""

    def __init__(self, claim: Claim) -> None:
        super().__init__("the call is for this process to make")
        self.claim = claim


class Flights:
    """The calls under way in this process.

    *lookup* reads the journal: a request answered between its caller's own look and its claim
    must not be sent a second time.
    """

    def __init__(self, lookup: Callable[[str, int], Entry | None]) -> None:
        self._lookup = lookup
        self._lock = threading.Lock()
        self._under_way: dict[str, Flight] = {}
        self.landed = 0
        """How many calls have come to their end."""
        self._leads_beyond: Callable[[str, Flight, int], bool] | None = None  # see `shared`

    def __len__(self) -> int:
        return len(self._under_way)

    def claim(self, key: str, since: int = 0, landed: int | None = None) -> Claim:
        """Lead the call for *key*, or join the one under way; never waits.

        If the journal holds an answer of generation *since* or later by now, the claim does not
        lead and `wait` gives that answer at once. It is not looked into if nothing has landed
        since the caller did so, when `landed` was *landed*.
        """
        with self._lock:
            flight = self._under_way.get(key)
            if flight is not None:
                return Claim(self, key, flight, leads=False)
            flight = self._under_way[key] = Flight()
            leads = self._leads_beyond or self._leads
            if landed == self.landed and self._leads_beyond is None:
                return Claim(self, key, flight, leads=True)
        return Claim(self, key, flight, leads(key, flight, since))

    def _leads(self, key: str, flight: Flight, since: int) -> bool:
        """Whether there is a call to make; if there is an answer, the flight has landed."""
        try:
            entry = self._lookup(key, since)
        except BaseException as error:
            self.land(key, flight, error)
            raise
        if entry is not None:
            self.land(key, flight, entry)
        return entry is None

    def land(self, key: str, flight: Flight, outcome: Entry | BaseException) -> None:
        """Set the outcome of a flight, wake who waits for it, and let the next one start."""
        with self._lock:
            if flight.outcome is not None:
                return
            flight.outcome = outcome
            self.landed += 1
            self._under_way.pop(key, None)
            gates, flight.gates = flight.gates, []
        for gate in gates:
            gate.open()

    async def await_landing(
        self, flight: Flight, stop: threading.Event | None
    ) -> Entry | BaseException:
        """The outcome of the flight, waited for; `Unanswered` if *stop* is set before."""
        while True:
            gate = Gate(_LOOK_UP)
            with self._lock:
                if flight.outcome is not None:
                    return flight.outcome
                flight.gates.append(gate)
            if stop is not None and stop.is_set():
                return Unanswered("stopped while an equal request was in flight")
            if not await gate:
                with self._lock:
                    if gate in flight.gates:
                        flight.gates.remove(gate)
