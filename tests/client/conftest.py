"""What the client's tests share: everything that waits is tried under both drivers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fakes.driving import DRIVERS, TRANSPORTS

from dbrun.client.transport import Transport


@pytest.fixture(params=list(DRIVERS))
def drive(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """What carries a coroutine to its end: `blocking`, then a loop."""
    return DRIVERS[request.param]


@pytest.fixture(params=list(TRANSPORTS))
def make_transport(request: pytest.FixtureRequest) -> type[Transport]:
    """The class of transports: one that waits in its thread, then one that has a loop wait."""
    return TRANSPORTS[request.param]


@pytest.fixture
def transport(make_transport: type[Transport]) -> Iterator[Transport]:
    """One that knows of no proxy."""
    with make_transport(environ={}) as transport:
        yield transport
