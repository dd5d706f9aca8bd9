"""Globs over folders that can only be listed, as `glob.glob(pattern, recursive=True)` has them."""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from .files import Entry

Listing = Callable[[str], Iterable[Entry]]


def matching(pattern: str, listing: Listing) -> list[str]:
    """The paths of the files that fit *pattern*, sorted; each folder is listed once."""
    seen: dict[str, list[Entry]] = {}

    def listed(folder: str) -> list[Entry]:
        if folder not in seen:
            seen[folder] = []
            with suppress(FileNotFoundError):
                seen[folder] = list(listing(folder))
        return seen[folder]

    first, *parts = pattern.split("/")
    while parts and not glob.has_magic(parts[0]):
        first += "/" + parts.pop(0)
    return sorted(set(_below(first, parts, listed)))


def _below(folder: str, parts: Sequence[str], listed: Listing) -> Iterator[str]:
    part, rest = parts[0], parts[1:]
    if part == "**":
        if rest:
            yield from _below(folder, rest, listed)
        for entry in listed(folder):
            if entry.name.startswith("."):
                continue
            if entry.is_folder:
                yield from _below(entry.path, parts, listed)
            elif not rest:
                yield entry.path
        return
    for entry in listed(folder):
        if not _fits(entry.name, part):
            continue
        if rest and entry.is_folder:
            yield from _below(entry.path, rest, listed)
        elif not rest and not entry.is_folder:
            yield entry.path


def _fits(name: str, part: str) -> bool:
    """Hidden names fit only what says so."""
    hidden = name.startswith(".") and not part.startswith(".")
    return not hidden and fnmatch.fnmatchcase(name, part)
