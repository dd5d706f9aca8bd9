"""The bench that faults are tried on; see `bench.py`."""

from __future__ import annotations

from typing import Any

import pytest
from acceptance.conftest import Project
from fakes.workspace import FakeWorkspace

pytest.register_assert_rewrite("acceptance.faults.bench", "acceptance.faults.ended")

from acceptance.faults.bench import Bench  # noqa: E402 - only now are its asserts told well


@pytest.fixture(scope="session")
def known() -> dict[Any, Any]:
    """What benches have found out, for those that come after."""
    return {}


@pytest.fixture
def bench(project: Project, workspace: FakeWorkspace, known: dict[Any, Any]) -> Bench:
    """Ten rows, four calls at a time, two tries, a second each."""
    return Bench(project, workspace, known)
