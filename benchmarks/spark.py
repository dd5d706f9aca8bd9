"""What Spark partitions bring: rows a second in 1, 2 and 4 of them, each with as many calls.

    python benchmarks/spark.py --latency 1 --calls 16 --seconds 20

The server takes *latency* seconds for an answer, so that more partitions mean more calls at a
time and nothing else. Rates are those between the first call and the last: starting Spark and
opening the pipeline takes seconds that do not grow with the rows, and is told apart.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

SPEC = """\
name: bench
source: {{path: rows.jsonl, id: id}}
endpoint: {{adapter: openai, base_url: "http://127.0.0.1:{port}/v1", model: m, task: chat}}
prompt: "Say {{{{ text }}}}"
limits: {{concurrency: {calls}}}
sink: out-{partitions}/bench.jsonl
engine: {{type: spark, partitions: {partitions}}}
"""
ANSWER = json.dumps(
    {"choices": [{"message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]}
).encode()


class Server(ThreadingHTTPServer):
    """Answers after *latency* seconds and keeps the moments of the calls."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, latency: float) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.latency = latency
        self.moments: list[float] = []


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        time.sleep(self.server.latency)
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)
        self.server.moments.append(time.monotonic())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def measure(folder: Path, server: Server, partitions: int, calls: int, rows: int) -> None:
    """Print what so many *partitions* do, each with *calls* at a time and *rows* rows."""
    with (folder / "rows.jsonl").open("w") as stream:
        for number in range(rows * partitions):
            stream.write(json.dumps({"id": number, "text": f"number {number}"}) + "\n")
    text = SPEC.format(port=server.server_port, calls=calls * partitions, partitions=partitions)
    (folder / "spec.yaml").write_text(text)
    server.moments.clear()
    environ = {**os.environ, "PYSPARK_SUBMIT_ARGS": f"--master local[{partitions}] pyspark-shell"}
    begun = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "dbrun", "spec.yaml", "-q"],
        cwd=folder,
        env=environ,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    whole = time.monotonic() - begun
    moments = sorted(server.moments)
    asking = moments[-1] - moments[0] + server.latency
    rate = len(moments) / asking
    print(f"{partitions:>10} {rate:>10.1f} {asking:>10.1f} {whole - asking:>12.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=1.0)
    parser.add_argument("--calls", type=int, default=16, help="at a time, in each partition")
    parser.add_argument("--seconds", type=float, default=20.0, help="that each case is to ask for")
    parser.add_argument("--partitions", type=int, nargs="+", default=[1, 2, 4])
    given = parser.parse_args()
    server = Server(given.latency)
    Thread(target=server.serve_forever, daemon=True).start()
    print(f"{'partitions':>10} {'rows/s':>10} {'asking s':>10} {'around it s':>12}")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pyproject.toml").touch()
        for partitions in given.partitions:
            rows = int(given.seconds / given.latency * given.calls)
            measure(Path(folder), server, partitions, given.calls, rows)


if __name__ == "__main__":
    main()
