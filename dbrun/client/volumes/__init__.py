"""Files on volumes of a workspace that this machine has not mounted, through its Files API."""

from __future__ import annotations

from .files import Entry, Volumes
from .known import known_url, refuse_unknown
from .matching import matching

__all__ = ["Entry", "Volumes", "known_url", "matching", "refuse_unknown"]
