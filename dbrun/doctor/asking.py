"""One tiny request, for whoever wants to know for sure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..adapters.base import Adapter, Request, batch_url
from ..clock import Clock
from ..findings import OK, WARN, Check, Finding

PATIENCE = 120.0
"""Seconds that one answer may take: the first of an endpoint that has been asleep takes long."""

_WORDS = "Say OK."
_MOST_TOKENS = 16
_COUNTED = ("/v1/chat/completions", "/v1/completions")
"""Forms of requests that take `max_tokens`, by the path that OpenAI gives them."""


def ask_check(adapter: Adapter, clock: Clock) -> Check:
    """Asks *adapter* once."""
    after = ("host", "login", "server", "credentials")
    return Check(
        subject="ask", look=lambda: _ask(adapter, clock), after=after, seconds=PATIENCE + 10
    )


def _ask(adapter: Adapter, clock: Clock) -> Iterator[Finding]:
    if adapter.columns:
        said = "the endpoint takes columns of a row, and there is no row here"
        mend = "try `dbrun run SPEC --limit 1`"
        yield Finding(state=WARN, subject="ask", said=said, mend=mend)
        return
    adapter.prepare()
    started = clock.now()
    body = adapter.encode(_request(adapter))
    (answer,) = adapter.call([body], PATIENCE)
    value = adapter.decode(answer.body).value
    shown = " ".join(str(value).split())
    shown = f"{shown[:40]}…" if len(shown) > 41 else shown
    took = clock.now() - started
    yield Finding(state=OK, subject="ask", said=f"answered in {took:.1f} s: {shown!r}")


def _request(adapter: Adapter) -> Request:
    fields: dict[str, Any] = {"prompt": _WORDS}
    if adapter.prompt_kind == "chat":
        fields = {"messages": [{"role": "user", "content": _WORDS}]}
    if batch_url(adapter) in _COUNTED:
        fields["max_tokens"] = _MOST_TOKENS
    return Request(fields=fields, scope={"row": {}, "vars": {}, "steps": {}})
