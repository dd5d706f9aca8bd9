"""Whether and when to try again: arithmetic, with time and chance passed in.

The adapter says what an error is; the loop that asks owns the waiting. Nothing here sleeps.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone

from ..clock import Clock
from ..errors import EndpointDown, EndpointError, RateLimited, Warming
from ..frozen import frozen
from ..types import Json

LONGEST_WAIT = 86_400.0
"""Seconds: no answer of a server makes us wait longer than a day."""

WARMUP = 600.0
"""Seconds that an endpoint which is starting is waited for, unless a spec says how long."""

# Patterns as texts: compiled when the first server asks to wait, which most never do.
_DURATION = (
    r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m(?!s))?"
    r"(?:(?P<s>\d+(?:\.\d+)?)s)?(?:(?P<ms>\d+(?:\.\d+)?)ms)?\Z"
)
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER = r"\d{1,20}(?:\.\d{1,20})?\Z"
# A number above this is a moment (seconds since 1970), one far above it the same in milliseconds.
_MOMENT, _MOMENT_MS = 1e9, 1e12

_BUSY = (503, 529)
"""What servers answer that shed load: RFC 9110, section 15.6.4, nginx's `limit_req` and
`limit_conn` as they are without settings; 529 is that of Anthropic."""

_CROWD = 5
"""So many requests that are turned away at once are not at fault themselves."""

_LATELY = 10.0
"""Seconds after an answer in which an endpoint is known to work."""

_PATIENCE = 64
"""Times that one request is turned away before that counts for tries all the same."""


@frozen
class RetryPolicy:
    """*attempts*: tries for one request, first included. *retry_for*: seconds for one request,
    waiting included. *warmup*: seconds for which an endpoint that is starting is waited for,
    which `retry_for` does not shorten.
    *base*, *cap*: the first and the longest step of the backoff, in seconds."""

    attempts: int = 6
    retry_for: float = 1800.0
    warmup: float = WARMUP
    base: float = 1.0
    cap: float = 60.0

    def is_waited_for(self, error: EndpointError, elapsed: float) -> bool:
        """Whether *error* is no try: a rate limit, or an endpoint that is starting up."""
        if isinstance(error, Warming):
            return elapsed < self.warmup
        return isinstance(error, RateLimited)

    def delay(
        self,
        error: EndpointError,
        tries: int,
        elapsed: float,
        random: Callable[[], float],
        longest: float = math.inf,
        is_no_try: bool = False,
    ) -> float | None:
        """Seconds to wait before asking again, or None to give up; *longest* at the most, unless
        *error* says how long.

        *tries* counts the failures of this request so far, this one included; where it
        `is_waited_for`, or *is_no_try* for other reasons, it counts the waits, which are no tries
        and which `attempts` does not bound.
        *elapsed* is how long the request has been in the works, *random* gives a number from 0
        to below 1.
        """
        left = self._left(error, elapsed)
        if not error.retryable or left <= 0:
            return None
        is_try = not is_no_try and not self.is_waited_for(error, elapsed)
        if is_try and tries >= self.attempts:
            return None
        asked = error.retry_after
        if asked is not None:
            # Everybody was told the same moment: some jitter keeps them from meeting there.
            wait = min(max(0.0, asked), LONGEST_WAIT) + random() * self.base
            return wait if wait <= left else None
        # Full jitter: any moment up to the step, so that a crowd spreads out evenly.
        step = min(self.cap, longest, self.base * 2.0 ** min(max(tries, 1) - 1, 60))
        return min(random() * step, left)

    def is_too_late(self, error: EndpointError, elapsed: float) -> bool:
        """Whether it is for lack of time, not of tries, that *error* is not tried again."""
        left = self._left(error, elapsed)
        return error.retryable and (left <= 0 or (error.retry_after or 0.0) + self.base > left)

    def _left(self, error: EndpointError, elapsed: float) -> float:
        """Seconds that there are left for a request."""
        starts = isinstance(error, Warming) and elapsed < self.warmup
        return (self.warmup if starts else self.retry_for) - elapsed


class Breaker:
    """Notices that an endpoint is down: nothing succeeded for *retry_for* seconds while requests
    failed retryably, the time counted from the first failure after the last success, or for
    *warmup* seconds in which it was starting; or that it refuses whoever asks. Thread-safe."""

    def __init__(self, retry_for: float, clock: Clock, warmup: float = 0.0) -> None:
        self._retry_for = retry_for
        self._warmup = warmup
        self._clock = clock
        self._lock = threading.Lock()
        self._since: float | None = None
        self._starting_since: float | None = None
        self.last_success = float("-inf")
        """When an answer came last, by the clock."""
        self._turned_away = 0
        self._refused: set[int] = set()
        self.was_reached = False
        """Whether the endpoint ever answered, with what answer ever."""

    def succeeded(self) -> None:
        """An answer came."""
        self.was_reached = True
        self.last_success = self._clock.now()
        if self._since is not None or self._starting_since is not None:
            with self._lock:
                self._since = self._starting_since = None

    def failed(self, error: EndpointError) -> None:
        """A request failed; what was refused for its own sake says nothing about the endpoint.

        Raises:
            EndpointDown: it has been long enough.
        """
        if error.status is not None:
            self.was_reached = True
        if not error.retryable:
            return
        now = self._clock.now()
        with self._lock:
            if isinstance(error, Warming):
                self._starting_since = self._starting_since or now
                self._since = self._starting_since
                if now - self._since < self._warmup:
                    self._since = None  # other failures count from when it has started
                    return
            self._since = since = self._since or now
        if now - since >= self._retry_for:
            status = f"status {error.status}: " if error.status is not None else ""
            longer = "warmup" if isinstance(error, Warming) else "retry_for"
            raise EndpointDown(
                f"no answer for {_spoken(now - since)}, last: {status}{error.message}",
                "look at the endpoint, then run the same command to continue; "
                f"limits.{longer} waits longer",
            )

    def refused(self, error: EndpointError, turn: int, under_way: int) -> None:
        """The *turn*-th call, from 0, was refused, and *under_way* others have no answer yet.

        Calls that take long must not hold up the verdict, and refusals, which are quick, must not
        give it before the first calls had the time to be answered: hence either the first calls
        are all refused, or more than are still under way.

        Raises:
            RunError: nothing ever succeeded, and that is not for what the rows say.
        """
        if error.verdict is None or self.last_success > -math.inf:
            return
        with self._lock:
            self._refused.add(turn)
            first = sum(one < error.patience for one in self._refused)
            enough = error.patience + under_way
            is_everybody = first >= error.patience or len(self._refused) >= enough
        if is_everybody:
            raise error.verdict from error

    def turned_away(self, more: int) -> None:
        """So many *more* requests wait because the endpoint `is_busy`, or fewer if negative."""
        with self._lock:
            self._turned_away += more

    def sheds_load(self, error: EndpointError, waits: int) -> bool:
        """Whether *error* tells of an endpoint that answers, and turns many away: to wait for it
        is then no try. Where it is a request or two that make the endpoint fail, it is; and for
        one that has waited *waits* times in vain, it is in the end."""
        if not is_busy(error) or waits >= _PATIENCE or self._turned_away < _CROWD:
            return False
        return self.idle() < _LATELY

    def idle(self) -> float:
        """Seconds since the last success; infinity if there was none."""
        return self._clock.now() - self.last_success

    def nothing_since(self, moment: float) -> bool:
        """Whether requests failed and none has succeeded since *moment* (of the clock's `now`)."""
        failed = self._since is not None or self._starting_since is not None
        return failed and self.last_success < moment


def is_busy(error: EndpointError) -> bool:
    """Whether *error* may be the endpoint's way to shed load, without a word of how long."""
    return error.status in _BUSY and not isinstance(error, (RateLimited, Warming))


def parse_retry_after(headers: Mapping[str, str], body: Json, now: datetime) -> float | None:
    """The seconds that an answer asks to wait, or None if it does not say so intelligibly.

    *headers* have lower-case names, *body* is the parsed JSON if it was any, *now* the moment of
    the answer. In this order: `retry-after-ms`; `Retry-After` as seconds or date (RFC 9110,
    section 10.2.3); the body's `error.retry_after` (Databricks Foundation Model APIs limits);
    `x-ratelimit-reset*` and `ratelimit-reset`. Never negative, a day at most.
    """
    for seconds in _said(headers, body, now):
        if seconds is not None:
            return min(max(0.0, seconds), LONGEST_WAIT)
    return None


def _said(headers: Mapping[str, str], body: Json, now: datetime) -> Iterator[float | None]:
    milliseconds = _number(headers.get("retry-after-ms"))
    yield None if milliseconds is None else milliseconds / 1000
    said = headers.get("retry-after")
    seconds = _number(said)
    yield _until(said, now) if seconds is None else seconds
    yield _in_body(body)
    yield _reset(headers, now)


def _in_body(body: Json) -> float | None:
    if not isinstance(body, dict):
        return None
    inner = body.get("error")
    for place in (inner, body):
        if isinstance(place, dict) and "retry_after" in place:
            return _number(place["retry_after"])
    return None


def _reset(headers: Mapping[str, str], now: datetime) -> float | None:
    """The wait told by rate-limit headers: that of the exhausted limits, else the shortest."""
    found: dict[bool, list[float]] = {True: [], False: []}
    for name, value in headers.items():
        prefix, reset, kind = name.partition("ratelimit-reset")
        if not reset or prefix not in ("", "x-"):
            continue
        seconds = _duration(value, now)
        if seconds is not None:
            left = _number(headers.get(f"{prefix}ratelimit-remaining{kind}"))
            found[left == 0].append(seconds)
    if found[True]:
        return max(found[True])
    return min(found[False], default=None)


def _duration(value: str, now: datetime) -> float | None:
    """A wait as servers spell it: `12`, `1.5s`, `6m0s`, `20ms`, or the moment of its end."""
    number = _number(value)
    if number is not None:
        if number < _MOMENT:
            return number
        return number / (1000 if number >= _MOMENT_MS else 1) - now.timestamp()
    value = value.strip()
    parts = re.match(_DURATION, value, re.ASCII) if value else None
    if parts is not None:
        return sum(float(parts[unit] or 0) * size for unit, size in _UNITS.items())
    return _until(value, now)


def _until(value: str | None, now: datetime) -> float | None:
    """The seconds to a date, as HTTP or RFC 3339 write it."""
    if value is None:
        return None
    from email.utils import parsedate_to_datetime  # costs more to import than all else here

    value = value.strip()
    try:
        if value[:1].isdigit():
            moment = datetime.fromisoformat(value.replace("Z", "+00:00").replace("z", "+00:00"))
        else:
            moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return (moment - now).total_seconds()


def _number(value: Json) -> float | None:
    """A number that is not negative, given as one or as plain text."""
    if isinstance(value, str):
        value = value.strip()
        return float(value) if re.match(_NUMBER, value, re.ASCII) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(min(value, _MOMENT_MS * 1000)) if 0 <= value < math.inf else None


def _spoken(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
