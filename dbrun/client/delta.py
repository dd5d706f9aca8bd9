"""Delta tables in a folder; the only door to deltalake, which needs no JVM.

Whoever calls it translates what it raises: its own errors, and bare `Exception`s of its engine.
"""

from __future__ import annotations

import os
from typing import Any

from ..errors import PluginError
from ..storage import wants_whole_files

LOG = "_delta_log"


def is_delta(folder: str) -> bool:
    """Whether *folder* holds a Delta table."""
    return os.path.isdir(os.path.join(folder, LOG))


def library() -> Any:
    """The package deltalake. Raises `PluginError` if it, or pyarrow, is not installed."""
    try:
        import deltalake
        import pyarrow  # noqa: F401 - rows come and go as Arrow batches
    except ImportError as error:
        raise PluginError(
            "Delta tables need the packages deltalake and pyarrow", "pip install 'dbrun[delta]'"
        ) from error
    return deltalake


def open_table(path: str, *, version: int | None = None, timestamp: str | None = None) -> Any:
    """The table in the folder *path*, newest unless *version* or *timestamp* says which."""
    table = library().DeltaTable(path, version=version, storage_options=storage_options(path))
    if timestamp is not None:
        table.load_as_version(timestamp)
    return table


def storage_options(path: str) -> dict[str, str]:
    """How the folder *path* is written: where a rename is not to be relied on, without it.

    (delta-rs, "Mounted storage": `allow_unsafe_rename`; one run at a time writes, for it holds the
    lock of its journal.)
    """
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return {"allow_unsafe_rename": "true"} if wants_whole_files(folder) else {}


def reason(error: BaseException) -> str:
    """What *error* says, on one line, without the words that only name layers of Rust."""
    text = " ".join(str(error).split()) or type(error).__name__
    for noise in ("Kernel error: ", "Generic delta kernel error: ", "Generic DeltaTable error: "):
        text = text.removeprefix(noise)
    return text[:300]
