"""What tests of adapters share: a workspace, a transport that is a function, ready specs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from fakes.workspace import FakeWorkspace

from dbrun.client.transport import HttpRequest, HttpResponse
from dbrun.clock import Clock
from dbrun.context import Context
from dbrun.spec.model import EndpointSpec


class FakeClock(Clock):
    """A clock whose time is a number; sleeping is adding."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float, stop: Any = None) -> bool:
        self.slept.append(seconds)
        self.time += seconds
        return False


class Canned:
    """A transport that gives *replies* in turn (the last one again and again) and keeps what it
    was sent. A reply is a response, an exception, or a function from request to response."""

    def __init__(self, *replies: Any) -> None:
        self.replies = list(replies)
        self.sent: list[HttpRequest] = []
        self.timeouts: list[float] = []
        self.closed = False

    def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        self.sent.append(request)
        self.timeouts.append(timeout)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply(request) if callable(reply) else reply

    def close(self) -> None:
        self.closed = True


def response(
    body: bytes | str, status: int = 200, kind: str = "application/json", **headers: str
) -> HttpResponse:
    """A response; names in *headers* have underscores for hyphens."""
    raw = body if isinstance(body, bytes) else body.encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status=status, headers={"content-type": kind, **named}, body=raw)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def workspace() -> Iterator[FakeWorkspace]:
    with FakeWorkspace() as fake:
        yield fake


@pytest.fixture
def open_adapter() -> Iterator[Callable[..., Any]]:
    """`open_adapter(Class, options, environ=…, **spec)`: an adapter, prepared and closed again."""
    opened = []

    def make(
        kind: Any,
        options: Mapping[str, Any],
        *,
        environ: Mapping[str, str] | None = None,
        context: Context | None = None,
        prepare: bool = True,
        transport: Any = None,
        **spec: Any,
    ) -> Any:
        made = EndpointSpec(adapter=spec.pop("adapter", "test"), options=options, **spec)
        context = context or Context(environ={} if environ is None else environ)
        extra = {} if transport is None else {"transport": transport}
        adapter = kind.create(made, context, **extra)
        opened.append(adapter)
        if prepare:
            adapter.prepare()
        return adapter

    yield make
    for adapter in opened:
        adapter.close()
