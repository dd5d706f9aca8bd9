"""How many calls an endpoint takes at once, found by trying: arithmetic on (state, event, now).

The rules, after those of Inspect AI:

- A *round* is as many first-try successes as the limit, one after the other without trouble. It
  counts only if the limit was reached meanwhile: a limit that nobody leans on proves nothing.
- At first each such round doubles the limit (slow start). Slow start ends with the first cut,
  or when throughput no longer follows: two rounds at the doubled limit, and neither completed a
  quarter more calls a second than the best round before. One round would do, were
  the latencies of models not so uneven. From then on a round adds a twentieth, one at least.
- A rate limit or a timeout cuts the limit by a fifth, once an episode: what follows within 15 s
  (or within the `Retry-After`, if that is longer) was sent before the cut could show. What is
  known to have been sent after a `Retry-After` was over begins an episode of its own.
- For 15 s after a cut, or ten times the `Retry-After`, clean rounds bring it back to a twentieth
  below where the trouble began, and no further: so it stays near what the server takes instead of
  far below it, and waits that probing costs stay rare. Later clean rounds probe beyond.
- Faults of the server begin the round anew, which pauses growth; a success after a retry and a
  refused request are neutral.
- A server that sheds load without saying so (503 as nginx gives it) cannot be told from one that
  is broken for a moment. So this takes back the last step of growth and no more. The step is
  tried again after 1 s, then 2, 4, 8 and 15 if it is taken back each time; the second time
  ends slow start. Where calls are turned away without that step as well, it was not for the
  load, and they pause growth as other faults do, for ten minutes.
"""

from __future__ import annotations

from ...spec.model import Concurrency

EPISODE = 15.0
"""Seconds after a cut in which further trouble is part of the same episode."""

_PROBE_AFTER = 10
"""Times the `Retry-After`: so that waits for probing take a tenth of the time at the most."""

_LONGEST_CARE = 600.0
_FOLLOWS = 1 / 4
_TWENTIETH = 20
_KEPT = 1000
_RANDOM_FOR = 600.0


class Adaptive:
    """A limit between `low` and `high`. Not thread-safe by itself.

    *history* holds (seconds since the start, limit, reason) of every change, the last thousand
    of them beside the first.
    """

    def __init__(self, concurrency: Concurrency, now: float) -> None:
        self._low = max(1, concurrency.low)
        self._high = max(self._low, concurrency.high)
        self.limit = min(max(concurrency.start, self._low), self._high)
        self.history: list[tuple[float, int, str]] = [(0.0, self.limit, "start")]
        self._started = now
        self._moves = self._low < self._high
        self._slow_start = self._was_slow = True  # but for what was taken back
        self._smaller = self.limit  # the limit before the last doubling
        self._best = 0.0  # calls a second of the best round at that limit
        self._here = 0.0  # the same at this limit
        self._rounds = 0  # rounds at this limit
        self._episode_ends = now
        self._probes_from = now  # by clean rounds, beyond where the last episode began
        self._ceiling = self._high  # the limit at which the last episode began
        self._proven = self.limit  # that of the last clean round
        self._taken_back = 0  # steps from there, one after the other
        self._taken_back_at = now
        self._not_for_load_until = now
        self._begin(now)

    @property
    def may_be_cut(self) -> bool:
        """Whether the limit can be less than it is."""
        return self._moves and self.limit > self._low

    def reached(self) -> None:
        """As many calls as the limit were in flight at once."""
        self._leaned_on = True

    def succeeded(self, now: float) -> None:
        """A call succeeded at its first try."""
        if not self._moves:
            return
        self._clean += 1
        if self._clean < self.limit:
            return
        if self._leaned_on:
            if self.limit > self._proven:
                self._taken_back = 0
            self._proven = self.limit
            self._grow(now)
        self._begin(now)

    def faulted(self, now: float) -> None:
        """The server failed."""
        self._begin(now)

    def turned_away(self, now: float, sent: float) -> None:
        """The server was too busy for what was *sent* then, or failed: it does not say which."""
        self._begin(now)
        if not self._moves or sent < self._taken_back_at or now < self._not_for_load_until:
            return
        if self.limit > self._proven:
            self._slow_start = self._slow_start and not self._taken_back
            self._taken_back += 1
            self._taken_back_at = now
            self._ceiling = self.limit
            self._probes_from = now + min(2.0 ** (self._taken_back - 1), EPISODE)
            self._set(self._proven, now, "turned away")
            self._smaller, self._best, self._here, self._rounds = self.limit, 0.0, 0.0, 0
        elif self._taken_back:  # without that step it fails as well
            self._not_for_load_until = now + _RANDOM_FOR
            self._slow_start = self._was_slow
            self._ceiling, self._probes_from = self._high, now
            self._taken_back = 0

    def overloaded(self, now: float, retry_after: float, reason: str, is_new: bool = False) -> None:
        """The server asked to slow down, or did not answer in time; *is_new* if that is
        its answer to what was sent after the last cut, whenever that was."""
        self._begin(now)
        if is_new or now >= self._episode_ends:
            self._slow_start = self._was_slow = False
            self._ceiling = self.limit
            self._set(min(self.limit - 1, self.limit * 4 // 5), now, reason)
            self._episode_ends = now + EPISODE
            care = min(retry_after * _PROBE_AFTER, _LONGEST_CARE)
            self._probes_from = now + max(EPISODE, care)
        self._episode_ends = max(self._episode_ends, now + retry_after)

    def absolved(self, now: float, reason: str) -> None:
        """The server asked to slow down, but not for how many calls were in flight: what was
        cut for that may grow again. *reason* says what is done about it."""
        self._begin(now)
        self._probes_from = now
        self._ceiling = self._high
        self._note(now, reason)

    def _begin(self, now: float) -> None:
        self._clean = 0
        self._leaned_on = False
        self._since = now

    def _grow(self, now: float) -> None:
        if not self._slow_start:
            more = self.limit + max(1, self.limit // _TWENTIETH)
            if now < self._probes_from:
                below = self._ceiling - max(1, self._ceiling // _TWENTIETH)
                more = min(more, max(below, self.limit))
            self._set(more, now, "clean round")
        elif self.limit < self._high and now >= self._probes_from:
            self._rounds += 1
            self._here = max(self._here, self._clean / max(now - self._since, 1e-6))
            gained = self.limit / self._smaller - 1
            if self._here >= self._best * (1 + gained * _FOLLOWS):
                self._smaller, self._best = self.limit, self._here
                self._here, self._rounds = 0.0, 0
                self._set(self.limit * 2, now, "slow start")
            elif self._rounds >= 2:
                self._slow_start = self._was_slow = False
                self._note(now, "throughput no longer follows")

    def _set(self, limit: int, now: float, reason: str) -> None:
        limit = min(max(limit, self._low), self._high)
        if limit != self.limit and self._moves:
            self.limit = limit
            self._note(now, reason)

    def _note(self, now: float, reason: str) -> None:
        self.history.append((round(now - self._started, 3), self.limit, reason))
        if len(self.history) > _KEPT:
            del self.history[1]
