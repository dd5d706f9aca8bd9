"""The targets that a spec offers, for completion: read without checking anything."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..errors import DbrunError
from ..types import Json


def target_names(paths: Iterable[str]) -> list[str]:
    """The names of the targets in the specs at *paths* and in those that they extend."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = list(paths)
    while waiting:
        path = os.path.abspath(waiting.pop())
        if path in seen:
            continue
        seen.add(path)
        data = _data(path)
        found.update(_mapping(data.get("targets")))
        parents = data.get("extends") or []
        for parent in [parents] if isinstance(parents, str) else parents:
            if isinstance(parent, str):
                waiting.append(os.path.join(os.path.dirname(path), parent))
    return sorted(found)


def _data(path: str) -> dict[str, Json]:
    from ..spec.document import read

    try:
        return _mapping(read(path).data)
    except DbrunError:
        return {}  # a file that is being written is no reason to complain on the prompt


def _mapping(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}
