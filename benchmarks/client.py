"""What one call costs the client: CPU µs per request of several HTTP clients in threads.

    python benchmarks/client.py --requests 5000 --concurrency 1 64

Each figure comes from a process of its own, with the server in another one; the best of
`--rounds` rounds is shown, for anything else on the machine only ever adds. The floor is a bare
socket that sends prepared bytes and trusts every answer.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "Authorization": "Bearer benchmark",
}
BODY = json.dumps(
    {"model": "benchmark", "messages": [{"role": "user", "content": "word " * 300}]}
).encode()
PATH = "/v1/chat/completions"

Ask = Callable[[], int]
"""Sends one request and gives the status of the answer."""


def floor(port: int) -> Callable[[], Ask]:
    """A bare socket per thread."""
    import socket

    lines = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{lines}"
    payload = f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY

    def client() -> Ask:
        sock = socket.create_connection(("127.0.0.1", port))

        def ask() -> int:
            sock.sendall(payload)
            return int(sock.recv(65536)[9:12])

        return ask

    return client


def lean(port: int) -> Callable[[], Ask]:
    """`Transport`, the way over plain sockets."""
    return _transport(port, {})


def proxied(port: int) -> Callable[[], Ask]:
    """`Transport`, the way through `requests`: the server stands in for the proxy."""
    return _transport(port, {"http_proxy": f"http://127.0.0.1:{port}"})


def _transport(port: int, environ: dict[str, str]) -> Callable[[], Ask]:
    from dbrun.client.transport import HttpRequest, Transport

    transport = Transport(connections=1024, environ=environ)
    request = HttpRequest(
        method="POST", url=f"http://127.0.0.1:{port}{PATH}", headers=HEADERS, body=BODY
    )
    return lambda: lambda: transport.send(request, 600).status


def http_client(port: int) -> Callable[[], Ask]:
    """The standard library, a connection per thread."""
    import http.client

    def client() -> Ask:
        connection = http.client.HTTPConnection("127.0.0.1", port)

        def ask() -> int:
            connection.request("POST", PATH, BODY, HEADERS)
            response = connection.getresponse()
            response.read()
            return response.status

        return ask

    return client


def requests_session(port: int) -> Callable[[], Ask]:
    """`requests`, a session per thread."""
    import requests

    url = f"http://127.0.0.1:{port}{PATH}"

    def client() -> Ask:
        session = requests.Session()
        return lambda: session.post(url, data=BODY, headers=HEADERS).status_code

    return client


def requests_post(port: int) -> Callable[[], Ask]:
    """`requests.post`, which makes a session and a connection for each call."""
    import requests

    url = f"http://127.0.0.1:{port}{PATH}"
    return lambda: lambda: requests.post(url, data=BODY, headers=HEADERS).status_code


CLIENTS: dict[str, Callable[[int], Callable[[], Ask]]] = {
    "floor": floor,
    "lean": lean,
    "http.client": http_client,
    "proxied": proxied,
    "requests session": requests_session,
    "requests.post": requests_post,
}


def measure(name: str, port: int, requests: int, concurrency: int) -> float:
    """CPU µs per request of this process, warm."""
    client = CLIENTS[name](port)
    start = threading.Barrier(concurrency + 1)
    each = max(1, requests // concurrency)

    def work() -> None:
        ask = client()
        assert ask() == 200
        start.wait()
        for _ in range(each):
            ask()

    threads = [threading.Thread(target=work) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    start.wait()
    before = time.process_time()
    for thread in threads:
        thread.join()
    return (time.process_time() - before) / (each * concurrency) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)  # of a round's own process
    given = parser.parse_args()
    if given.port:
        print(measure(given.clients[0], given.port, given.requests, given.concurrency[0]))
        return
    server = subprocess.Popen(
        [sys.executable, str(HERE / "server.py")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        table(given, int(server.stdout.readline()))
    finally:
        server.terminate()
        server.wait()


def table(given: argparse.Namespace, port: int) -> None:
    """Measure every client at every concurrency and print the best figures."""
    print("CPU µs per request" + "".join(f"{f'c={n}':>9}" for n in given.concurrency))
    best: dict[tuple[str, int], float] = {}
    for _ in range(given.rounds):  # in turns, so that a noisy minute hits all alike
        for name in given.clients:
            for concurrency in given.concurrency:
                options = ["--clients", name, "--concurrency", str(concurrency)]
                options += ["--requests", str(given.requests), "--port", str(port)]
                output = subprocess.run(
                    [sys.executable, __file__, *options], capture_output=True, check=True
                ).stdout
                place = (name, concurrency)
                best[place] = min(best.get(place, float("inf")), float(output))
    for name in given.clients:
        print(f"{name:18}" + "".join(f"{best[name, n]:9.0f}" for n in given.concurrency))


if __name__ == "__main__":
    main()
