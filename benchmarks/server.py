"""A loopback server that answers a fixed chat completion as cheaply as Python can.

    python benchmarks/server.py --port 0 --latency 0.05

It prints the port it listens on as its first line. What is measured against it is the client:
one process, one event loop, no parsing beyond finding where a request ends. With `--cap 24:60,48`
it answers 429 to all beyond 24 requests at a time, and from its 60th second on beyond 48; with
`--rate` likewise to all beyond so many a second. `--counts` keeps what it answered each second.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import signal
from collections import Counter
from pathlib import Path

ANSWER = (
    b'{"id":"chatcmpl-6f0d4f1e9b7a4c33","object":"chat.completion","created":1763800000,'
    b'"model":"benchmark","choices":[{"index":0,"message":{"role":"assistant","content":"The '
    b"letter thanks the town for its patience, explains why the bridge will stay closed for "
    b"another week, lists the two roads that remain open to heavy traffic, and asks everybody "
    b'to allow some more time in the morning until the work is done."},"finish_reason":"stop",'
    b'"logprobs":null}],"usage":{"prompt_tokens":412,"completion_tokens":49,'
    b'"total_tokens":461},"system_fingerprint":"fp_0000000000"}'
)
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: benchmark\r\n"
    b"Date: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)
)
REFUSAL = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)


class Steps:
    """A number that changes as time goes by: `24:60,48` is 24 until the 60th second, then 48."""

    def __init__(self, text: str) -> None:
        steps = [part.partition(":") for part in text.split(",")]
        self._steps = [(int(value), float(until or "inf")) for value, _, until in steps if value]

    def at(self, passed: float) -> float:
        """The number after so many seconds; infinity if there is none."""
        return next((value for value, until in self._steps if passed < until), float("inf"))


class Gate:
    """How many requests are taken up: at a time, and a second (a bucket that holds a second's)."""

    def __init__(self, cap: str, rate: str) -> None:
        self._cap, self._rate = Steps(cap), Steps(rate)
        self._begun: float | None = None
        self._passed = 0.0
        self._level = float("inf")
        self.active = 0
        self.counts: Counter[int] = Counter()
        """Requests taken up in each second."""

    def admits(self, now: float) -> bool:
        """Whether one more may be taken up; time begins with the first."""
        self._begun = now if self._begun is None else self._begun
        before, self._passed = self._passed, now - self._begun
        rate = self._rate.at(self._passed)
        self._level = min(rate, self._level + (self._passed - before) * rate)
        if self.active >= self._cap.at(self._passed) or self._level < 1:
            return False
        self._level -= 1
        self.active += 1
        self.counts[int(self._passed)] += 1
        return True


class Answering(asyncio.Protocol):
    """One connection: counts bytes until a request is whole, then answers it."""

    def __init__(self, latency: float, gate: Gate) -> None:
        self._latency = latency
        self._gate = gate
        self._loop = asyncio.get_running_loop()
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        data = self._pending + data if self._pending else data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            length = LENGTH.search(data, 0, end + 2)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(data) < whole:
                break
            data = data[whole:]
            if not self._gate.admits(self._loop.time()):
                self._transport.write(REFUSAL)  # type: ignore[attr-defined]
            elif self._latency:
                self._loop.call_later(self._latency, self._answer)
            else:
                self._answer()
        self._pending = data

    def _answer(self) -> None:
        self._gate.active -= 1
        if not self._transport.is_closing():
            self._transport.write(RESPONSE)  # type: ignore[attr-defined]


async def serve(port: int, latency: float, gate: Gate | None = None) -> None:
    """Answer on loopback until cancelled or told to end."""
    loop = asyncio.get_running_loop()
    shared = gate or Gate("", "")
    server = await loop.create_server(
        lambda: Answering(latency, shared), "127.0.0.1", port, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--cap", default="", help="requests at a time: 24, or 24:60,48")
    parser.add_argument("--rate", default="", help="requests a second: 40, or 40:60,80")
    parser.add_argument("--counts", type=Path, help="what was answered each second, as JSON")
    given = parser.parse_args()
    gate = Gate(given.cap, given.rate)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(given.port, given.latency, gate))
    if given.counts is not None:
        seconds = range(max(gate.counts, default=-1) + 1)
        given.counts.write_text(json.dumps([gate.counts[second] for second in seconds]))


if __name__ == "__main__":
    main()
