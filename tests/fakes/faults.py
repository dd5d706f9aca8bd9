"""A script of faults for a fake server: when each happens, and what it is."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

from fakes.server import Received, Reply

LOGIN_PAGE = (
    b"<!doctype html><html><head><title>Databricks - Sign In</title></head><body></body></html>"
)
TOO_MANY = {
    "error_code": "REQUEST_LIMIT_EXCEEDED",
    "message": "REQUEST_LIMIT_EXCEEDED: Exceeded workspace QPS rate limit for fake-endpoint.",
}


@dataclass(kw_only=True)
class Fault:
    """What to do to a request, and to which ones.

    *at* (numbers of model requests, from 1), *first* (how many), *every* (nth), *path* and
    *contains* (parts of path and body) must all hold; then it happens with the probability
    *chance*, and *times* bounds how often.
    Without a *status* the answer is the usual one, *short* of one prediction, its body *trimmed*
    to so many bytes, with *headers* over its own. *delay*, *cut*, *stall*, *reset*, *drip* and
    *chunked* are as in `Reply`.
    """

    at: int | Iterable[int] | None = None
    first: int | None = None
    every: int | None = None
    path: str | None = None
    contains: str | None = None
    times: int | None = None
    chance: float = 1.0

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    delay: float = 0.0
    reset: bool = False
    stall: float | None = None
    cut: int | None = None
    drip: float = 0.0
    short: bool = False
    trimmed: int | None = None
    chunked: int | None = None

    def matches(self, request: Received, number: int) -> bool:
        """Whether it happens to *request*, the model request of this *number* (0: none)."""
        at = (self.at,) if isinstance(self.at, int) else self.at
        return not (
            (at is not None and number not in tuple(at))
            or (self.first is not None and not 0 < number <= self.first)
            or (self.every is not None and (not number or number % self.every))
            or (self.path is not None and self.path not in request.path)
            or (self.path is None and not number)
            or (self.contains is not None and self.contains.encode() not in request.body)
            or (self.times is not None and self.times <= 0)
        )

    def apply(self, usual: Reply) -> Reply:
        """*usual* as this fault leaves it."""
        reply = usual if self.status is None else _reply(self.status, self.body, self.headers)
        if self.short:
            told = json.loads(reply.body)
            for name in ("predictions", "choices", "data"):
                if name in told:
                    told[name] = told[name][:-1]
            reply.body = json.dumps(told).encode()
        reply.body = reply.body[: self.trimmed]
        reply.headers.update(self.headers)
        reply.delay += self.delay
        reply.reset, reply.stall, reply.cut = self.reset, self.stall, self.cut
        reply.drip, reply.chunked = self.drip, self.chunked
        return reply


class Script:
    """The faults of a server, in order; the first that matches happens."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._random = random.Random(0)
        self._lock = threading.Lock()

    def set(self, faults: Iterable[Fault], seed: int = 0) -> None:
        """Play *faults* from now on; *seed* is that of their chances."""
        with self._lock:
            self._faults = list(faults)
            self._random = random.Random(seed)

    def find(self, request: Received, number: int) -> Fault | None:
        """The fault that happens to *request*; it is counted as having happened."""
        with self._lock:
            for fault in self._faults:
                if fault.matches(request, number) and self._random.random() < fault.chance:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None


def throttle(retry_after: float | str | None = None, **when: Any) -> Fault:
    """429. *retry_after*: seconds; `date`, one second from now as HTTP has it; `body`, one second
    as `error.retry_after` in the body only."""
    headers, body = {}, dict(TOO_MANY)
    if retry_after == "date":
        soon = datetime.now(timezone.utc) + timedelta(seconds=1)
        headers["Retry-After"] = format_datetime(soon, usegmt=True)
    elif retry_after == "body":
        body = {"error": {"message": "Rate limit exceeded", "code": 429, "retry_after": 1}}
    elif retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return Fault(status=429, headers=headers, body=body, **when)


def fail(status: int = 500, form: str = "json", **when: Any) -> Fault:
    """*status* with a body that is `json`, `html`, `plain` or `empty`."""
    bodies = {
        "json": {"error_code": "INTERNAL_ERROR", "message": f"Something failed ({status})."},
        "html": f"<html><head><title>{status} Bad Gateway</title></head></html>",
        "plain": f"failed with {status}",
        "empty": b"",
    }
    return Fault(status=status, body=bodies[form], **when)


def stall(seconds: float, after: int | None = None, **when: Any) -> Fault:
    """Say nothing for *seconds*, then hang up; *after* so many bytes of the body, if given."""
    return Fault(stall=seconds, cut=after, **when)


def delay(seconds: float, **when: Any) -> Fault:
    """The usual answer, later: a cold start."""
    return Fault(delay=seconds, **when)


def drip(seconds: float, **when: Any) -> Fault:
    """The usual answer, a byte at a time with so many seconds between: a slow loris."""
    return Fault(drip=seconds, **when)


def reset(after: int | None = None, **when: Any) -> Fault:
    """Reset the connection before the head of the answer, or *after* so many bytes of the body."""
    return Fault(reset=True, cut=after, **when)


def cut(after: int = 20, **when: Any) -> Fault:
    """Hang up after so many bytes of the body."""
    return Fault(cut=after, **when)


def say(body: Any, kind: str | None = None, status: int = 200, **when: Any) -> Fault:
    """Answer with *body*, of the content type *kind* if it is not the one that it looks like."""
    return Fault(status=status, body=body, headers={"content-type": kind} if kind else {}, **when)


def redirect(to: str, status: int = 307, **when: Any) -> Fault:
    """Send the caller somewhere else."""
    return Fault(status=status, body="", headers={"location": to}, **when)


def short(**when: Any) -> Fault:
    """One answer too few."""
    return Fault(short=True, **when)


def login_page(**when: Any) -> Fault:
    """An HTML page with status 200, as behind a lost session."""
    return Fault(status=200, body=LOGIN_PAGE, headers={"content-type": "text/html"}, **when)


def from_json(entries: Iterable[Mapping[str, Any]]) -> list[Fault]:
    """Faults written as JSON objects with the fields of `Fault`."""
    return [Fault(**entry) for entry in entries]


def _reply(status: int, body: Any, headers: Mapping[str, str]) -> Reply:
    if isinstance(body, bytes):
        raw, kind = body, "text/plain"
    elif isinstance(body, str):
        raw, kind = body.encode(), "text/html" if body.startswith("<") else "text/plain"
    else:
        raw, kind = json.dumps(body).encode(), "application/json"
    return Reply(status, raw, {"content-type": kind, **headers})
