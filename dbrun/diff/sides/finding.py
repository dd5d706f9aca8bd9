"""Which files of a repository are specs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_NAME = re.compile(r"^name:", re.MULTILINE)
_ASKS = re.compile(r"^(extends|messages|prompt|steps):", re.MULTILINE)
_READS = re.compile(r"^(extends|source):", re.MULTILINE)


def spec_names(names: Iterable[str]) -> Iterator[str]:
    """Of *names* in a repository those that may be of specs: YAML, and no fragment (`_*.yaml`)."""
    for name in names:
        is_yaml = name.lower().endswith((".yaml", ".yml"))
        if is_yaml and not name.rpartition("/")[2].startswith("_"):
            yield name


def looks_like_spec(path: str) -> bool:
    """Whether the file at *path* has the keys without which there is no spec."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
    except OSError:
        return False
    return all(key.search(text) for key in (_NAME, _ASKS, _READS))
