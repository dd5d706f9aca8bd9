"""The addresses of a server's paths, from whichever of them people were given."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

_SHORTEST = 8  # characters; of shorter ones an address is full by chance


def below(base: str, path: str) -> str:
    """*path* below *base*, whose query (an API version, say) is kept."""
    parts = urlsplit(base)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{path}", fragment=""))


def base_of(url: str, path: str) -> str:
    """*url* without a slash at its end, and without the *path* that people copy along."""
    return url.rstrip("/").removesuffix(f"/{path}")


def inserted(url: str, environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """The variables, with their values, that *url* has behind its host: there a credential may
    stand."""
    path = url.partition("://")[2].partition("/")[2]
    found = [
        (name, value)
        for name, value in environ.items()
        if len(value) >= _SHORTEST and value in path
    ]
    return sorted(found, key=lambda one: len(one[1]), reverse=True)
