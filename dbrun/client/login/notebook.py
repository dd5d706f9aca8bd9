"""The notebook that this process runs in, if it does: its host, its user's token.

`dbruntime` exists on clusters only; its context is that of the notebook's own user.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..auth import Token
from ..credentials import Secret

NOTEBOOK_LIFETIME = 600.0
"""Seconds after which the notebook is asked for its token again."""


def notebook_login() -> tuple[str, str] | None:
    """Host and token of the notebook."""
    context = _context()
    host = getattr(context, "browserHostName", None) or getattr(context, "workspaceUrl", None)
    token = getattr(context, "apiToken", None)
    return (str(host), str(token)) if host and token else None


def notebook_tokens(first: str) -> Callable[[], Token]:
    """A fetcher of the notebook's token; where a thread has no context, the last one stands."""
    last = [Secret(first)]

    def fetch() -> Token:
        if login := notebook_login():
            last[0] = Secret(login[1])
        return Token(secret=last[0], lifetime=NOTEBOOK_LIFETIME)

    return fetch


def notebook_org() -> str | None:
    """The id of the notebook's workspace."""
    org = getattr(_context(), "workspaceId", None)
    return str(org) if org else None


def _context() -> Any:
    try:
        from dbruntime.databricks_repl_context import get_context
    except ImportError:
        return None
    try:
        return get_context()
    except Exception:  # whatever it says where there is no notebook
        return None
