"""What the job must cost at the least: a hand-written loop over epoll, and nothing else.

    python benchmarks/limit.py rows.jsonl http://127.0.0.1:8000/v1 out.jsonl --concurrency 64

Rows in, chat completions asked for over so many kept-alive sockets, one line out for each row in
their order. It trusts every byte it gets: no journal, no key, no retry, no template. What dbrun
costs is told as a multiple of this, for the machine drops out of that figure.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
from urllib.parse import urlsplit


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("rows")
    parser.add_argument("base_url")
    parser.add_argument("out")
    parser.add_argument("--concurrency", type=int, default=64)
    given = parser.parse_args()
    url = urlsplit(given.base_url)
    head = (
        f"POST {url.path}/chat/completions HTTP/1.1\r\nHost: {url.netloc}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    ).encode()
    epoll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    asked: dict[int, tuple[int, str]] = {}
    pending: dict[int, bytes] = {}
    answers: dict[int, str] = {}
    written = 0
    with open(given.rows) as source, open(given.out, "w") as sink:
        rows = enumerate(map(json.loads, source))

        def ask(number: int) -> None:
            for index, row in rows:
                body = json.dumps(
                    {
                        "model": "m",
                        "messages": [{"role": "user", "content": f"Summarize: {row['text']}"}],
                        "temperature": 0,
                        "max_tokens": 64,
                    }
                ).encode()
                asked[number] = (index, row["id"])
                sockets[number].sendall(b"%b%d\r\n\r\n%b" % (head, len(body), body))
                return
            epoll.unregister(number)

        for _ in range(given.concurrency):
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
                index, row_id = asked.pop(number)
                answer = json.loads(data[end + 4 :])
                output = answer["choices"][0]["message"]["content"]
                answers[index] = json.dumps(
                    {"id": row_id, "output": output, "usage": answer["usage"]}
                )
                while written in answers:
                    sink.write(answers.pop(written) + "\n")
                    written += 1
                ask(number)


if __name__ == "__main__":
    main()
