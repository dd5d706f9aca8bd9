"""File formats by extension, and the kind of a source by what its mapping holds."""

from __future__ import annotations

import glob
import os
from itertools import islice

from .nodes import Node

EXTENSIONS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".txt": "text",
    ".md": "text",
}
COMPRESSED = (".gz", ".zst")
STANDARD_INPUT = "-"
_MOST_LOOKED_AT = 1000


def format_of(path: str) -> str | None:
    """The format that a path's extension tells; None if it tells nothing."""
    name = path.rstrip("/\\").lower()
    for ending in COMPRESSED:
        name = name.removesuffix(ending)
    return EXTENSIONS.get(os.path.splitext(name)[1])


def format_on_disk(path: str) -> str | None:
    """The format of *path*, or of the files in it if it is a folder or a glob.

    None if nothing is told, or files of several formats are found.
    """
    if os.path.isdir(os.path.join(path, "_delta_log")):
        return "delta"
    told = format_of(path)
    if told is not None:
        return told
    if os.path.isdir(path):
        path = os.path.join(glob.escape(path), "*")
    elif not glob.has_magic(path):
        return None
    # A few tell what the rest will be; reading the rows says so of any that is not.
    names = islice(glob.iglob(path, recursive=True), _MOST_LOOKED_AT)
    found = {format_of(name) for name in names if not os.path.isdir(name)}
    return found.pop() if len(found) == 1 else None


def source_kind(node: Node) -> str | None:
    """The plug-in that reads a source; None if that cannot be told."""
    if isinstance(node.value, str):
        return _kind_of_path(node)
    for key in ("table", "query", "rows", "function"):
        if node.get(key) is not None:
            return key
    named = node.get("format")
    if named is not None:
        return named.value if isinstance(named.value, str) else None
    path = node.get("path")
    return _kind_of_path(path) if path is not None and isinstance(path.value, str) else None


def _kind_of_path(node: Node) -> str | None:
    if node.value == STANDARD_INPUT:
        return "jsonl"
    if "\0" in node.value:
        return None
    return format_on_disk(os.path.join(node.at.folder, node.value))
