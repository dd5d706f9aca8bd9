"""A tracking server, and the stand-in for MLflow's client that speaks to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.tracking import FakeTracking, on_path


@pytest.fixture
def tracking(tmp_path: Path) -> Iterator[FakeTracking]:
    with on_path():
        yield FakeTracking(tmp_path / "tracking.json")
