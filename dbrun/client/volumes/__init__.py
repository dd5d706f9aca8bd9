"""Files on volumes of a workspace that this machine has not mounted, through its Files API."""

from __future__ import annotations

from .files import Entry, Volumes
from .matching import matching

__all__ = ["Entry", "Volumes", "matching"]
