"""Items as lines of JSON, to be processed elsewhere, and the records that come back."""

from __future__ import annotations

import json
from typing import Any

from ..encoding import encoder
from ..spec.model import SinkSpec
from ..types import Failure, Json, Record
from .items import Item

_encode = encoder(escape_all=True)
_ON_REQUEST = frozenset({"index", "text", "raw", "request", "timing"})


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


def record_line(record: Record, sink: SinkSpec) -> bytes:
    """*record* as a line of JSON, without its end: with all that *sink* may ask for."""
    if sink.table is not None:  # its columns may be made of anything
        return _encode_record(record.to_json(_ON_REQUEST))
    return _encode_record(record.to_json(sink.add, sink.omit))


_encode_record = encoder(allow_nan=False, escape_all=True)


class Returned:
    """A record that was made elsewhere, as far as sinks ask for it."""

    def __init__(self, line: bytes) -> None:
        self._said: dict[str, Any] = json.loads(line)

    @property
    def id(self) -> str:
        """As `Record.id`."""
        return str(self._said["id"])

    @property
    def status(self) -> str:
        """As `Record.status`."""
        return str(self._said["status"])

    def to_json(
        self, add: frozenset[str] = frozenset(), omit: frozenset[str] = frozenset()
    ) -> dict[str, Json]:
        """As `Record.to_json`."""
        left_out = (_ON_REQUEST - add) | omit
        return {name: value for name, value in self._said.items() if name not in left_out}
