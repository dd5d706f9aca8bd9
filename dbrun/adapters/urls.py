"""The addresses of a server's paths, from whichever of them people were given."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def below(base: str, path: str) -> str:
    """*path* below *base*, whose query (an API version, say) is kept."""
    parts = urlsplit(base)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{path}", fragment=""))


def base_of(url: str, path: str) -> str:
    """*url* without a slash at its end, and without the *path* that people copy along."""
    return url.rstrip("/").removesuffix(f"/{path}")
