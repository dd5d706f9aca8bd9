"""What `dbrun doctor` finds: whoever knows a thing best looks at it, and says so in these words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from .frozen import frozen

OK, WARN, FAIL = "ok", "warn", "fail"


@frozen
class Finding:
    """One line of the doctor's: *state* is `ok`, `warn` or `fail`, *subject* what was looked at,
    *said* what was found, *mend* what to do about it."""

    state: str
    subject: str
    said: str
    mend: str = ""


Look: TypeAlias = Callable[[], Iterable[Finding]]
"""Looks at one thing. What it raises as a `DbrunError` is a finding as well: a failure."""


@frozen
class Check:
    """Something to look at: its *subject*, for when nothing is found in time, and the *look*.

    It is left out if a check *after* which it comes found a failure, or was itself left out.
    *seconds* is what it may take, None for the usual time.
    """

    subject: str
    look: Look
    after: tuple[str, ...] = ()
    seconds: float | None = None
