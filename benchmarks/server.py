"""A loopback server that answers a fixed chat completion as cheaply as Python can.

    python benchmarks/server.py --port 0 --latency 0.05

It prints the port it listens on as its first line. What is measured against it is the client:
one process, one event loop, no parsing beyond finding where a request ends. With `--cap 24:60,48`
it answers 429 to all beyond 24 requests at a time, and from its 60th second on beyond 48.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re

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


class Cap:
    """How many requests are answered at a time, changing as time goes by: `24:60,48`."""

    def __init__(self, text: str) -> None:
        steps = [part.partition(":") for part in text.split(",")]
        self._steps = [(int(cap), float(until or "inf")) for cap, _, until in steps if cap]
        self._begun: float | None = None
        self.active = 0

    def admits(self, now: float) -> bool:
        """Whether one more may be taken up; time begins with the first."""
        self._begun = now if self._begun is None else self._begun
        passed = now - self._begun
        cap = next((cap for cap, until in self._steps if passed < until), None)
        return cap is None or self.active < cap


class Answering(asyncio.Protocol):
    """One connection: counts bytes until a request is whole, then answers it."""

    def __init__(self, latency: float, cap: Cap) -> None:
        self._latency = latency
        self._cap = cap
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
            if not self._cap.admits(self._loop.time()):
                self._transport.write(REFUSAL)  # type: ignore[attr-defined]
            elif self._latency:
                self._cap.active += 1
                self._loop.call_later(self._latency, self._answer)
            else:
                self._cap.active += 1
                self._answer()
        self._pending = data

    def _answer(self) -> None:
        self._cap.active -= 1
        if not self._transport.is_closing():
            self._transport.write(RESPONSE)  # type: ignore[attr-defined]


async def serve(port: int, latency: float, cap: str = "") -> None:
    """Answer on loopback until cancelled."""
    loop = asyncio.get_running_loop()
    shared = Cap(cap)
    server = await loop.create_server(
        lambda: Answering(latency, shared), "127.0.0.1", port, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--cap", default="", help="requests at a time: 24, or 24:60,48")
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(given.port, given.latency, given.cap))


if __name__ == "__main__":
    main()
