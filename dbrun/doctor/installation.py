"""What runs: dbrun, Python, and which extras are there."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib import metadata

from .. import __version__
from ..findings import OK, Check, Finding

_EXTRA = re.compile(r"""^([\w.-]+).*;.*\bextra\s*==\s*['"]([\w-]+)['"]""")


def installation_checks() -> list[Check]:
    """Versions, then extras."""
    return [
        Check(subject="dbrun", look=_versions),
        Check(subject="extras", look=_extras),
    ]


def _versions() -> Iterator[Finding]:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    said = f"{__version__} on {python}, {platform.system()} {platform.machine()}"
    yield Finding(state=OK, subject="dbrun", said=said)


def _extras() -> Iterator[Finding]:
    """Each extra by the package it brings."""
    there, lacking = [], []
    for extra, package in sorted(_packages().items()):
        try:
            there.append(f"{extra} ({package} {metadata.version(package)})")
        except metadata.PackageNotFoundError:
            lacking.append(extra)
    said = ", ".join(there) or "none"
    if lacking:
        said += f"; not installed: {', '.join(lacking)}"
    yield Finding(state=OK, subject="extras", said=said)


def _packages() -> dict[str, str]:
    """Extra → the first package that it brings, as dbrun's metadata tell."""
    try:
        required = metadata.requires("dbrun") or []
    except metadata.PackageNotFoundError:  # it runs from a folder
        return {}
    found: dict[str, str] = {}
    for line in required:
        parts = _EXTRA.match(line)
        if parts is not None and parts.group(1) != "dbrun" and parts.group(2) != "all":
            found.setdefault(parts.group(2), parts.group(1))
    return found
