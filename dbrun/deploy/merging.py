"""One part of a resource over another, as bundles merge them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..types import Json

_KEYS = ("task_key", "environment_key", "job_cluster_key", "name")
"""What items of a list are known by: they are merged where bundles merge them, too."""


def merged(base: Json, over: Json) -> Json:
    """*over* laid over *base*: mappings deeply, lists of named items item by item.

    Anything else replaces what was there.
    """
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        found = dict(base)
        for key, value in over.items():
            found[key] = merged(base[key], value) if key in base else value
        return found
    if isinstance(base, list) and isinstance(over, list) and (key := _key_of([*base, *over])):
        return _items_merged(base, over, key)
    return over


def _items_merged(base: Sequence[Json], over: Sequence[Json], key: str) -> list[Json]:
    items = {item[key]: item for item in base}
    for item in over:
        items[item[key]] = merged(items.get(item[key], {}), item)
    return list(items.values())


def _key_of(items: Sequence[Json]) -> str | None:
    """The key that every one of *items* is known by."""
    for key in _KEYS:
        if all(isinstance(item, Mapping) and isinstance(item.get(key), str) for item in items):
            return key
    return None
