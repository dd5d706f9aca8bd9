"""Items on their way to be processed elsewhere, as lines of JSON; records on their way back."""

from __future__ import annotations

import base64
import json
import pickle
from typing import Any, cast

from ...encoding import encoder
from ...types import Failure, Json, Record
from ..processes.messages import Outline, told
from ..rows.items import Item

_encode = encoder(escape_all=True)


def packed(item: Item) -> bytes:
    """*item* as one line of JSON, without its end."""
    said: dict[str, Json] = {"id": item.id, "index": item.index, "values": item.values}
    if item.repeat is not None:
        said["repeat"] = item.repeat
    if item.variant is not None:
        said["variant"] = item.variant
    if item.failure is not None:
        failure = item.failure
        said["failure"] = {name: getattr(failure, name) for name in _FAILURE}
    if item.dropped:
        said["dropped"] = True
    if item.ask_again is not None:
        said["ask_again"] = sorted(item.ask_again)
    return _encode(said)


def unpacked(line: bytes | str) -> Item:
    """The item that `packed` made *line* of."""
    said: dict[str, Any] = json.loads(line)
    failure = said.pop("failure", None)
    if "ask_again" in said:
        said["ask_again"] = frozenset(said["ask_again"])
    return Item(**said, failure=Failure(**failure) if failure is not None else None)


_FAILURE = ("kind", "message", "status", "retryable", "where")


def sent(record: Record, line: bytes, whole: bool) -> bytes:
    """*record* on its way back: all of it if *whole*, else its line and what is counted of it."""
    return base64.b64encode(pickle.dumps(record if whole else told(record, line)))


def received(data: bytes, whole: bool) -> Record:
    """What `sent` made *data* of: the record, or an `Outline`, which looks like one to whoever
    counts it. Only for data from our own workers."""
    made: Any = pickle.loads(base64.b64decode(data))  # noqa: S301 - see above
    return made if whole else cast(Record, Outline(*made))
