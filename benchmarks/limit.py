"""What the job must cost at the least: a hand-written loop over epoll, and nothing else.

    python benchmarks/limit.py rows.jsonl http://127.0.0.1:8000/v1 out.jsonl --concurrency 64

Rows in, chat completions asked for over so many kept-alive sockets, one line out for each row in
their order. It trusts every byte it gets: no journal, no key, no retry, no template. What dbrun
costs is told as a multiple of this, for the machine drops out of that figure.

With `--journal` it is the least that dbrun's own job can cost: each request has a key (the SHA-256
of its canonical JSON) by which its answer is looked for and journalled before the row is done,
records hold row, usage and key, rows and results are digested, and JSON is orjson's where that is
installed. Still it checks nothing, tries nothing again, and knows this one request only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import select
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("rows")
    parser.add_argument("base_url")
    parser.add_argument("out")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--journal", help="a file for keys and answers")
    given = parser.parse_args()
    work = Journalled(given.journal) if given.journal else Plain()
    with open(given.rows, "rb") as source, open(given.out, "wb") as sink:
        loop(work, source, sink.write, given.base_url, given.concurrency)
    work.close()


class Plain:
    """Request, answer, line."""

    def body(self, row: dict[str, Any]) -> bytes:
        """What is sent for *row*."""
        return json.dumps(request_of(row)).encode()

    def read(self, line: bytes) -> dict[str, Any]:
        """A row."""
        values: dict[str, Any] = json.loads(line)
        return values

    def record(self, row: dict[str, Any], raw: bytes) -> bytes:
        """The line for *row*, of the answer *raw*."""
        answer = json.loads(raw)
        output = answer["choices"][0]["message"]["content"]
        told = {"id": row["id"], "output": output, "usage": answer["usage"]}
        return json.dumps(told).encode() + b"\n"

    def close(self) -> None:
        """Nothing is left to do."""


class Journalled(Plain):
    """The same with keys, a journal, whole records and digests."""

    def __init__(self, path: str) -> None:
        self._journal = open(path, "ab", buffering=0)  # noqa: SIM115
        self._known: dict[str, tuple[int, int]] = {}
        self._dumps, self._sorted, self._loads = codecs()
        self._rows, self._results = hashlib.sha256(), hashlib.sha256()

    def body(self, row: dict[str, Any]) -> bytes:
        """What is sent for *row*; its key is kept in the row."""
        request = request_of(row)
        asked = b'{"adapter":"openai","body":%b,"repeat":0,"version":1}' % self._sorted(request)
        key = hashlib.sha256(asked).hexdigest()
        assert key not in self._known
        row[""] = key
        return self._dumps(request)

    def read(self, line: bytes) -> dict[str, Any]:
        """A row."""
        self._rows.update(line)
        values: dict[str, Any] = self._loads(line)
        return values

    def record(self, row: dict[str, Any], raw: bytes) -> bytes:
        """The line for *row*, once the answer *raw* is journalled."""
        key = row.pop("")
        self._known[key] = (len(self._known), len(raw))
        self._journal.write(b'{"key":"%b","generation":0,"body":%b}\n' % (key.encode(), raw))
        answer = self._loads(raw)
        told, choice = answer["usage"], answer["choices"][0]
        usage = {
            "input_tokens": told["prompt_tokens"],
            "output_tokens": told["completion_tokens"],
            "total_tokens": told["total_tokens"],
        }
        record = {
            "id": row["id"],
            "status": "ok",
            "output": choice["message"]["content"],
            "finish_reason": choice["finish_reason"],
            "usage": usage,
            "row": row,
            "key": key,
        }
        line = self._dumps(record) + b"\n"
        self._results.update(line)
        return line

    def close(self) -> None:
        """Digests, as a manifest tells them."""
        self._rows.hexdigest(), self._results.hexdigest()
        self._journal.close()


def request_of(row: dict[str, Any]) -> dict[str, Any]:
    """One chat completion."""
    return {
        "model": "m",
        "messages": [{"role": "user", "content": f"Summarize: {row['text']}"}],
        "temperature": 0,
        "max_tokens": 64,
    }


def codecs() -> tuple[Callable[[Any], bytes], Callable[[Any], bytes], Callable[[bytes], Any]]:
    """JSON as bytes, the same with sorted keys, and back."""
    try:
        import orjson
    except ImportError:
        plain = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
        ordered = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode
        return (
            lambda value: plain(value).encode(),
            lambda value: ordered(value).encode(),
            json.loads,
        )
    dumps, option = orjson.dumps, orjson.OPT_SORT_KEYS
    return dumps, lambda value: dumps(value, option=option), orjson.loads


def loop(
    work: Plain, source: Any, write: Callable[[bytes], Any], base_url: str, concurrency: int
) -> None:
    """Ask for all rows of *source* and write their lines in order."""
    url = urlsplit(base_url)
    head = (
        f"POST {url.path}/chat/completions HTTP/1.1\r\nHost: {url.netloc}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    ).encode()
    epoll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    asked: dict[int, tuple[int, dict[str, Any]]] = {}
    pending: dict[int, bytes] = {}
    lines: dict[int, bytes] = {}
    written = 0
    rows = enumerate(map(work.read, source))

    def ask(number: int) -> None:
        for index, row in rows:
            body = work.body(row)
            asked[number] = (index, row)
            sockets[number].sendall(b"%b%d\r\n\r\n%b" % (head, len(body), body))
            return
        epoll.unregister(number)

    for _ in range(concurrency):
        sock = socket.create_connection((url.hostname or "", url.port or 80))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[sock.fileno()] = sock
        epoll.register(sock, select.EPOLLIN)
        ask(sock.fileno())
    while asked:
        for number, _ in epoll.poll():
            data = pending.pop(number, b"") + sockets[number].recv(65536)
            end = data.find(b"\r\n\r\n")
            size = data.find(b"Content-Length: ")
            if end < 0 or len(data) < end + 4 + int(data[size + 16 : data.find(b"\r", size)]):
                pending[number] = data
                continue
            index, row = asked.pop(number)
            lines[index] = work.record(row, data[end + 4 :])
            while written in lines:
                write(lines.pop(written))
                written += 1
            ask(number)


if __name__ == "__main__":
    main()
