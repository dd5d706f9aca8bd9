"""What the client's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dbrun.client.transport import Transport


@pytest.fixture
def transport() -> Iterator[Transport]:
    """One that knows of no proxy."""
    with Transport(environ={}) as transport:
        yield transport
