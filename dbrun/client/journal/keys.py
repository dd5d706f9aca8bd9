"""The request key: what makes two requests the same one."""

from __future__ import annotations

from ...canonical import digest
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
    said = {
        "version": version,
        "adapter": adapter,
        "identity": identity,
        "body": body,
        "repeat": repeat,
    }
    if row_id is not None:
        said["row"] = row_id
    return digest(said)
