"""The journal: request key → paid-for answer, in append-only files that survive any kill."""

from .flight import Claim, Flights
from .journal import MODES, Journal
from .keys import Keys, request_key
from .lines import Answered, Entry
from .lock import SinkLock

__all__ = [
    "MODES",
    "Answered",
    "Claim",
    "Entry",
    "Flights",
    "Journal",
    "Keys",
    "SinkLock",
    "request_key",
]
