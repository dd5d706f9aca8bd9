"""One tiny request, for whoever wants to know for sure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..adapters.base import Adapter, Request, batch_url
from ..clock import Clock
from ..errors import RenderError
from ..findings import OK, WARN, Check, Finding
from ..types import Json

PATIENCE = 120.0
"""Seconds that one answer may take: the first of an endpoint that has been asleep takes long."""

_WORDS = "Say OK."
_MOST_TOKENS = 16
_COUNTED = ("/v1/chat/completions", "/v1/completions")
"""Forms of requests that take `max_tokens`, by the path that OpenAI gives them."""


def ask_check(adapter: Adapter, params: Mapping[str, Json], clock: Clock) -> Check:
    """Asks *adapter* once, with the *params* of a step that asks it."""
    after = ("host", "login", "server", "credentials")
    return Check(
        subject="ask", look=lambda: _ask(adapter, params, clock), after=after, seconds=PATIENCE + 10
    )


def _ask(adapter: Adapter, params: Mapping[str, Json], clock: Clock) -> Iterator[Finding]:
    if adapter.columns:
        yield _wants_a_row()
        return
    adapter.prepare()
    started = clock.now()
    try:
        body = adapter.encode(_request(adapter, params))
    except RenderError:
        yield _wants_a_row()
        return
    (answer,) = adapter.call([body], PATIENCE)
    value = adapter.decode(answer.body).value
    shown = " ".join(str(value).split())
    shown = f"{shown[:40]}…" if len(shown) > 41 else shown
    took = clock.now() - started
    yield Finding(state=OK, subject="ask", said=f"answered in {took:.1f} s: {shown!r}")


def _wants_a_row() -> Finding:
    said = "the endpoint takes columns of a row, and there is no row here"
    return Finding(state=WARN, subject="ask", said=said, mend="try `dbrun run SPEC --limit 1`")


def _request(adapter: Adapter, params: Mapping[str, Json]) -> Request:
    fields: dict[str, Any] = {**params, "prompt": _WORDS}
    if adapter.prompt_kind == "chat":
        fields = {**params, "messages": [{"role": "user", "content": _WORDS}]}
    if batch_url(adapter) in _COUNTED:
        fields["max_tokens"] = _MOST_TOKENS
    return Request(
        fields=fields, params=frozenset(params), scope={"row": {}, "vars": {}, "steps": {}}
    )
