"""SQL through a warehouse: the SQL Statement Execution API 2.0, over our own transport.

That API takes bound parameters, gives results of up to 100 GiB as links to parts of them, and
needs no package; the SQL connector would bring Thrift, pandas and a login of its own
(Databricks REST API: "Statement Execution").
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from ...clock import Clock
from ...context import Context
from ...errors import EndpointError
from ..rest import TIMEOUT, Rest
from ..transport import HttpRequest, Transport
from .statements import Bound, SqlFailed

_PATH = "/api/2.0/sql/statements"
_WAIT = "30s"
_POLL_FROM, _POLL_TO = 0.2, 5.0
_OPEN = frozenset({"PENDING", "RUNNING"})
_LINK_TRIES = 5


class Warehouse:
    """A SQL warehouse of the workspace that the environment names, as `Sql`."""

    def __init__(self, warehouse: str, context: Context) -> None:
        self._warehouse = warehouse
        self._clock: Clock = context.clock
        self._transport = Transport(connections=2, environ=context.environ, clock=context.clock)
        self._rest = Rest(self._transport, context.environ, context.clock)

    def run(self, statement: str, parameters: Mapping[str, Bound]) -> list[list[str | None]]:
        """As `Sql.run`."""
        done = self._execute(statement, parameters, "INLINE")
        rows: list[list[str | None]] = []
        for chunk in self._chunks(done):
            rows += chunk.get("data_array") or []
        return rows

    def stream(self, statement: str, parameters: Mapping[str, Bound]) -> Iterator[str]:
        """As `Sql.stream`. All of the result is fetched before the first text is given: it is kept
        for an hour only, and a run may take longer to use it."""
        done = self._execute(statement, parameters, "EXTERNAL_LINKS")
        with tempfile.TemporaryFile() as spool:
            for chunk in self._chunks(done):
                for row in self._rows_behind(chunk, str(done["statement_id"])):
                    spool.write(json.dumps(row[0]).encode() + b"\n")
            spool.seek(0)
            for line in spool:
                yield json.loads(line)

    def close(self) -> None:
        """As `Sql.close`."""
        self._transport.close()

    def _execute(
        self, statement: str, parameters: Mapping[str, Bound], disposition: str
    ) -> dict[str, Any]:
        """The answer to a statement that has succeeded."""
        asked = {
            "warehouse_id": self._warehouse,
            "statement": statement,
            "parameters": [_parameter(name, bound) for name, bound in parameters.items()],
            "disposition": disposition,
            "format": "JSON_ARRAY",
            "wait_timeout": _WAIT,
            "on_wait_timeout": "CONTINUE",
        }
        answer = self._rest.json("POST", _PATH, asked)
        pause = _POLL_FROM
        while (state := _state(answer)) in _OPEN:
            self._clock.sleep(pause)
            pause = min(pause * 1.5, _POLL_TO)
            answer = self._rest.json("GET", f"{_PATH}/{answer['statement_id']}")
        if state != "SUCCEEDED":
            raise _failure(answer, state)
        return answer

    def _chunks(self, answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The parts of a result, the first of which comes with the answer itself."""
        chunk = answer.get("result") or {}
        while True:
            yield chunk
            links = chunk.get("external_links") or [chunk]
            following = links[-1].get("next_chunk_internal_link")
            if not following:
                return
            chunk = self._rest.json("GET", str(following))

    def _rows_behind(self, chunk: Mapping[str, Any], statement: str) -> Iterator[list[str]]:
        for link in chunk.get("external_links") or ():
            yield from self._fetched(link, statement)

    def _fetched(self, link: Mapping[str, Any], statement: str) -> list[list[str]]:
        """The rows that a link leads to; links are good for some minutes, then there are new ones.

        They are credentials themselves: none is sent along, and no message shows them.
        """
        index = link.get("chunk_index", 0)
        said = ""
        for number in range(_LINK_TRIES):
            if number:
                self._clock.sleep(0.5 * 2**number)
                path = f"{_PATH}/{statement}/result/chunks/{index}"
                link = self._rest.json("GET", path)["external_links"][0]
            request = HttpRequest(
                method="GET", url=str(link["external_link"]), headers={}, body=None
            )
            try:
                response = self._transport.send(request, TIMEOUT)
            except EndpointError as error:
                said = type(error).__name__
                continue
            if response.status == 200:
                rows: list[list[str]] = json.loads(response.body)
                return rows
            said = f"status {response.status}"
        raise SqlFailed(
            f"part {index} of the result of statement {statement} cannot be fetched: {said}",
            "its links lead to the workspace's storage, which must be reachable from here",
        )


def _parameter(name: str, bound: Bound) -> dict[str, str]:
    if bound.value is None:
        return {"name": name}
    value = bound.value
    text = value if isinstance(value, str) else json.dumps(value)
    return {"name": name, "value": text, "type": bound.type}


def _state(answer: Mapping[str, Any]) -> str:
    return str((answer.get("status") or {}).get("state"))


def _failure(answer: Mapping[str, Any], state: str) -> SqlFailed:
    error = (answer.get("status") or {}).get("error") or {}
    said = " ".join(str(error.get("message") or f"it is {state.lower()}").split())[:500]
    code = said[1:].partition("]")[0] if said.startswith("[") else ""
    return SqlFailed(said, code=code or str(error.get("error_code", "")))
