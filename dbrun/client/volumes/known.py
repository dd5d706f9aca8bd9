"""Which workspace has the volumes, as far as it is written down; no network is asked."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import DbrunError, RunError
from ..login.workspace import Login, Workspace
from .carrier import Carrier


def known_url(environ: Mapping[str, str]) -> str | None:
    """The address of the workspace that *environ* names, if it is one."""
    try:
        return _url(environ)
    except DbrunError:
        return None


def refuse_unknown(path: str, environ: Mapping[str, str]) -> None:
    """Raises `RunError` if nobody knows of which workspace the volume is that *path* is on."""
    said = ""
    try:
        if _url(environ) is not None:
            return
    except DbrunError as error:
        said = f": {error}"
    raise RunError(
        f"{path} is on a volume, which is not mounted here, and no workspace is known{said}",
        "set DATABRICKS_HOST and DATABRICKS_TOKEN, log in, or name another path",
    )


def _url(environ: Mapping[str, str]) -> str | None:
    return Workspace(Login(path=""), Carrier(environ), environ).known_url
