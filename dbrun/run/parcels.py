"""Items as lines of JSON, to be processed elsewhere, and the records that come back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..encoding import encoder
from ..frozen import frozen
from ..types import Failure, Json, Record
from .items import Item

_encode = encoder(escape_all=True)


def packed(item: Item) -> bytes:
    """*item* as one line of JSON, without its end."""
    said: dict[str, Json] = {"id": item.id, "index": item.index, "values": item.values}
    if item.repeat is not None:
        said["repeat"] = item.repeat
    if item.failure is not None:
        failure = item.failure
        said["failure"] = {name: getattr(failure, name) for name in _FAILURE}
    if item.dropped:
        said["dropped"] = True
    if item.ask_again:
        said["ask_again"] = True
    return _encode(said)


def unpacked(line: bytes | str) -> Item:
    """The item that `packed` made *line* of."""
    said: dict[str, Any] = json.loads(line)
    failure = said.pop("failure", None)
    return Item(**said, failure=Failure(**failure) if failure is not None else None)


_FAILURE = ("kind", "message", "status", "retryable", "where")


def record_line(record: Record, add: frozenset[str], omit: frozenset[str]) -> bytes:
    """*record* as a line of the results file, without its end."""
    return _encode_record(record.to_json(add, omit))


_encode_record = encoder(allow_nan=False, escape_all=True)


@frozen
class Returned:
    """A record that was made elsewhere, as far as sinks ask for it."""

    line: bytes

    def to_json(
        self, add: frozenset[str] = frozenset(), omit: frozenset[str] = frozenset()
    ) -> Mapping[str, Json]:
        """The fields, chosen already where the record was made."""
        said: Mapping[str, Json] = json.loads(self.line)
        return said
