"""Carrying out checks: each in its time, each to an end in words."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from ..errors import DbrunError, EndpointError
from ..findings import FAIL, Check, Finding


def carry_out(checks: Iterable[Check], seconds: float) -> Iterator[Finding]:
    """What *checks* find, one after the other; each gets so many *seconds* and no more.

    One that hangs (a mount that is gone, a program that waits for somebody) goes on in a thread
    of its own, which keeps nobody from ending.
    """
    failures: set[str] = set()
    for check in checks:
        if failures.intersection(check.after):
            failures.add(check.subject)
            continue
        for finding in _in_time(check, check.seconds or seconds):
            if finding.state == FAIL:
                failures.add(check.subject)
            yield finding


def _in_time(check: Check, seconds: float) -> Iterator[Finding]:
    found: list[Finding] = []
    raised: list[BaseException] = []
    thread = threading.Thread(
        target=_look, args=(check, found, raised), name=f"dbrun-{check.subject}", daemon=True
    )
    thread.start()
    thread.join(seconds)
    is_late = thread.is_alive()
    yield from list(found)
    if raised:
        raise raised[0]
    if is_late:
        said = f"nothing is known after {seconds:g} s"
        mend = "look whether it hangs, or give it longer by --timeout"
        yield Finding(state=FAIL, subject=check.subject, said=said, mend=mend)


def _look(check: Check, found: list[Finding], raised: list[BaseException]) -> None:
    try:
        for finding in check.look():
            found.append(finding)
    except DbrunError as error:
        found.append(failed(check.subject, error))
    except BaseException as error:  # carried over to whoever waits for it
        raised.append(error)


def failed(subject: str, error: DbrunError) -> Finding:
    """The finding that *error* is."""
    mend = error.hint
    if isinstance(error, EndpointError):
        mend = "try again; --timeout gives it longer" if error.retryable else "look at the endpoint"
    return Finding(state=FAIL, subject=subject, said=error.message, mend=mend)
