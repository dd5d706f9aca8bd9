"""What a run counted: requests by their fate, and the tokens they cost. Shared by threads."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

from ...types import Json, Usage, UsageSum

_COUNTED = ("sent", "reused", "replies", "retried", "waited", "maybe_paid")


def quantile(ordered: Sequence[float], percent: int) -> float | None:
    """The number that so many of 100 in *ordered* do not exceed; None if there are none."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


class Counters:
    """Requests sent, reused, retried and waited for; tokens of the answers paid by this run.

    *replies* are all requests that were answered, whether by a call or not.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.sent = 0
        self.reused = 0
        self.replies = 0
        self.retried = 0
        self.waited = 0
        self.maybe_paid = 0
        self.by_status: Counter[str] = Counter()
        self.spent = UsageSum()
        self.cost = 0.0
        self.latencies: list[float] = []
        self._seen = 0

    def count_sent(self, status: int | str) -> None:
        """One call over the wire ended with *status* (an HTTP status or the kind of failure)."""
        with self._lock:
            self.sent += 1
            self.by_status[str(status)] += 1

    def count_reply(self, reused: bool, model: str | None, counts: Sequence[Counter[str]]) -> None:
        """A request was answered, from the journal or by an equal one in flight if it is *reused*;
        the *model* that did so, if it is known, counts in all of *counts*."""
        with self._lock:
            self.replies += 1
            self.reused += reused
            if model is not None:
                for one in counts:
                    one[model] += 1

    def count_again(self, rate_limited: bool, maybe_paid: bool) -> None:
        """A call failed: it is waited for, or counts as a try; it may have been served."""
        with self._lock:
            if rate_limited:
                self.waited += 1
            else:
                self.retried += 1
            self.maybe_paid += maybe_paid

    def count_lost(self, maybe_paid: int) -> None:
        """Calls failed for good, so many of which may have been served."""
        with self._lock:
            self.maybe_paid += maybe_paid

    def count_answer(self, seconds: float, usage: Usage | None, cost: float = 0.0) -> None:
        """An answer came after *seconds*; *usage* and *cost* are what this run spent on it."""
        with self._lock:
            if usage is not None:
                self.spent.add(usage)
            self.cost += cost
            self._keep_latency(seconds)

    def count_shared(self, usage: Usage, cost: float = 0.0) -> None:
        """A call for several rows told its tokens for all of them together."""
        with self._lock:
            self.spent.add(usage)
            self.cost += cost

    def _keep_latency(self, seconds: float) -> None:
        # A fixed-size sample is enough for quantiles and keeps memory flat: every k-th answer,
        # k doubling each time the sample is full.
        self._seen += 1
        stride = 1 << max(0, (self._seen // 4096).bit_length() - 1)
        if self._seen % stride == 0:
            self.latencies.append(seconds)
            if len(self.latencies) >= 8192:
                self.latencies = self.latencies[::2]

    def take_out(self, *others: Counter[str]) -> tuple[Json, ...]:
        """What was counted since the last call, here and in *others*, for `add_in`.

        So what a worker process has counted travels bit by bit to where all of it is counted.
        """
        with self._lock:
            taken = (
                tuple([getattr(self, name) for name in _COUNTED]),
                dict(self.by_status),
                self.spent.to_json(),
                self.cost,
                self.latencies,
                *(dict(counts) for counts in others),
            )
            for name in _COUNTED:
                setattr(self, name, 0)
            self.spent, self.cost = UsageSum(), 0.0
            self.latencies, self._seen = [], 0
            for counts in (self.by_status, *others):
                counts.clear()
            return taken

    def add_in(self, taken: tuple[Json, ...], *others: Counter[str]) -> None:
        """Count what `take_out` gave, of as many *others*."""
        calls, by_status, spent, cost, latencies, *more = taken
        with self._lock:
            for name, count in zip(_COUNTED, calls, strict=True):
                setattr(self, name, getattr(self, name) + count)
            self.by_status.update(by_status)
            self.spent.add(Usage(**spent))
            self.cost += cost
            for seconds in latencies:
                self._keep_latency(seconds)
            for counts, told in zip(others, more, strict=True):
                counts.update(told)

    def latency_quantiles(self) -> dict[str, float]:
        """Seconds within which 50, 90 and 99 of 100 answers came; empty if there were none."""
        found = {f"p{percent}": self.latency(percent) for percent in (50, 90, 99)}
        return {name: round(value, 4) for name, value in found.items() if value is not None}

    def latency(self, percent: int) -> float | None:
        """Seconds within which so many of 100 answers came; None if there were none."""
        with self._lock:
            ordered = sorted(self.latencies)
        return quantile(ordered, percent)

    def requests(self) -> dict[str, Json]:
        """The counts of requests, for the manifest."""
        with self._lock:
            return {
                "sent": self.sent,
                "reused": self.reused,
                "retried": self.retried,
                "waited": self.waited,
                "maybe_paid": self.maybe_paid,
                "by_status": dict(sorted(self.by_status.items())),
            }
