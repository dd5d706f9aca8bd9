"""Single flight over several processes: equal requests in flight in two of them share one call.

As in one process whoever claims a key first leads. If that is another process, its claim is
looked at now and then until it is free: then the answer is in its segment of the journal. If it
is not, the call failed or the process has ended, and whoever looked leads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..waiting import Gate
from .claims import Claims
from .flight import Claim, Flight, Flights, Vacant
from .lines import Entry

_LOOK, _LOOK_LATER = 0.005, 0.05  # seconds between looks at a claim of another process


class SharedFlights(Flights):
    """The calls under way in this process and in those that share *claims* with it.

    As long as there are no others nothing is claimed, which costs nothing; whoever comes waits
    until this process has heeded it. *catch_up* takes in what the others have journalled, told
    whether there are new files of theirs; *segments* tells how many this process has begun.
    """

    def __init__(
        self,
        lookup: Callable[[str, int], Entry | None],
        claims: Claims,
        catch_up: Callable[[bool], None],
        segments: Callable[[], int],
    ) -> None:
        super().__init__(lookup)
        self._claims = claims
        self._catch_up = catch_up
        self._segments = segments
        self._claimed: set[Flight] = set()
        self._elsewhere: dict[Flight, tuple[str, int]] = {}
        self._looking = threading.Lock()

    def heed(self) -> bool:
        """From now on claim what is asked for, also what is under way, if there are others by
        now. Whether there are."""
        if self._leads_beyond is None and self._claims.has_company():
            self.share()
        return self._leads_beyond is not None

    def share(self) -> None:
        """From now on claim what is asked for, also what is under way."""
        with self._lock:
            self._leads_beyond = self._leads_of_all
            for key, flight in self._under_way.items():
                if self._claims.take(key):
                    self._claimed.add(flight)
        self._claims.begin()

    def land(self, key: str, flight: Flight, outcome: Entry | BaseException) -> None:
        """As in one process, and other processes may claim the key again."""
        super().land(key, flight, outcome)
        if self._leads_beyond is None:
            return
        with self._looking:
            self._elsewhere.pop(flight, None)
            if flight not in self._claimed:
                return
            self._claimed.remove(flight)
        if not isinstance(outcome, BaseException):
            self._claims.tell(self._segments())
        self._claims.give_back(key)

    async def await_landing(
        self, flight: Flight, stop: threading.Event | None
    ) -> Entry | BaseException:
        """The outcome of the flight, waited for; `Unanswered` if *stop* is set before.

        Raises:
            Vacant: another process led, and left no answer: it is for the caller to lead now.
        """
        patience = _LOOK
        while (led := self._elsewhere.get(flight)) is not None:
            if self._leads_of_all(led[0], flight, led[1]):
                raise Vacant(Claim(self, led[0], flight, leads=True))
            if flight.outcome is not None or (stop is not None and stop.is_set()):
                break
            await Gate(patience)
            patience = min(2 * patience, _LOOK_LATER)
        return await super().await_landing(flight, stop)

    def _leads_of_all(self, key: str, flight: Flight, since: int) -> bool:
        """Whether this process may make the call; if there is an answer, the flight has landed."""
        with self._looking:
            if flight in self._claimed:  # another thread of this process was faster
                return False
            if not self._claims.take(key):
                self._elsewhere[flight] = (key, since)
                return False
            self._elsewhere.pop(flight, None)
            self._claimed.add(flight)
        try:
            with self._looking:
                is_news, has_files = self._claims.news()
                if is_news:
                    self._catch_up(has_files)
            entry = self._lookup(key, since)
        except BaseException as error:
            self.land(key, flight, error)
            raise
        if entry is not None:
            self.land(key, flight, entry)
        return entry is None
