"""The request key: what makes two requests the same one."""

from __future__ import annotations

import hashlib

from ...canonical import canonical
from ...types import Json


def request_key(
    *,
    adapter: str,
    identity: Json,
    body: Json,
    repeat: int = 0,
    row_id: str | None = None,
    version: int = 1,
) -> str:
    """The SHA-256, in hexadecimal, of the canonical JSON of what is asked and whom.

    *identity* tells the endpoint from others of the same *adapter*; *body* is what would be
    sent for this row alone; *repeat* counts equal asks from 0; *row_id* is given only when
    equal requests of different rows must not share an answer. Neither time nor credentials nor
    limits enter. The formula changes only together with *version*.

    Raises:
        ValueError: if a value holds NaN or an infinity.
    """
    return Keys(adapter, identity, version).key(body, repeat, row_id)


class Keys:
    """The keys of requests to one endpoint; see `request_key`."""

    __slots__ = ("_after", "_before", "_version")

    def __init__(self, adapter: str, identity: Json, version: int = 1) -> None:
        # The members of the canonical object stand in alphabetical order.
        self._before = b'{"adapter":%b,"body":' % canonical(adapter)
        self._after = b',"identity":%b,"repeat":' % canonical(identity)
        self._version = b',"version":%b}' % canonical(version)

    def key(self, body: Json, repeat: int, row_id: str | None = None) -> str:
        """The key of the request with this *body*."""
        row = b"" if row_id is None else b',"row":%b' % canonical(row_id)
        parts = (self._before, canonical(body), self._after, repeat, row, self._version)
        return hashlib.sha256(b"%b%b%b%d%b%b" % parts).hexdigest()
