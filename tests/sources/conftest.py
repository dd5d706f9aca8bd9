"""Sources over files of a temporary project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbrun.context import Context
from dbrun.errors import SourceError
from dbrun.registry import Registry

Read = Callable[..., Any]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Any]:
    def source(kind: str, path: str = "", **options: Any) -> Any:
        given_path = path if path == "-" else str(tmp_path / path)
        made = Registry(entry_points=False).get("sources", kind)
        return made.create({"path": given_path, **options}, Context(project=str(tmp_path)))

    return source


@pytest.fixture
def read(make: Callable[..., Any]) -> Read:
    def rows(kind: str, path: str = "", **options: Any) -> list[tuple[str, Any]]:
        return list(make(kind, path, **options).rows())

    return rows


@pytest.fixture
def problem(read: Read) -> Callable[..., str]:
    def said(kind: str, path: str = "", **options: Any) -> str:
        with pytest.raises(SourceError) as caught:
            read(kind, path, **options)
        return str(caught.value)

    return said
