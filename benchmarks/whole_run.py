"""What a whole run costs: `dbrun run` over a loopback server, as a process.

    python benchmarks/whole_run.py --rows 2000 20000 --latency 0 0.05 --concurrency 64

prints, for each case, wall seconds, rows a second, CPU microseconds a row and peak memory,
start-up included, first for a fresh run and then for one that finds every answer journalled.
The server (`server.py`) answers a fixed chat completion; prompts are 1.5 KB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
TEXT = "The quick brown fox jumps over the lazy dog and finds nothing to say about it. " * 19


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[2000])
    parser.add_argument("--latency", type=float, nargs="+", default=[0.0, 0.05])
    parser.add_argument("--concurrency", type=int, default=64)
    arguments = parser.parse_args()
    print(
        f"{'rows':>8} {'latency':>8} {'case':>8} {'wall s':>8} {'rows/s':>8}"
        f" {'CPU µs/row':>11} {'peak MB':>8}"
    )
    for rows in arguments.rows:
        for latency in arguments.latency:
            with tempfile.TemporaryDirectory() as folder:
                _one_case(Path(folder), rows, latency, arguments.concurrency)


def _one_case(folder: Path, rows: int, latency: float, concurrency: int) -> None:
    write_rows(folder / "rows.jsonl", rows)
    with serving(latency) as url:
        (folder / "spec.yaml").write_text(
            "name: bench\n"
            "source: {path: rows.jsonl, id: id}\n"
            f"endpoint: {{adapter: openai, base_url: '{url}/v1', model: m}}\n"
            'prompt: "Summarize: {{ text }}"\n'
            "params: {temperature: 0, max_tokens: 64}\n"
            f"limits: {{concurrency: {concurrency}}}\n"
            "sink: out.jsonl\n"
        )
        for case in ("fresh", "resumed"):
            wall, cpu, peak = measure(folder / "spec.yaml")
            print(
                f"{rows:>8} {latency:>8.3f} {case:>8} {wall:>8.2f} {rows / wall:>8.0f}"
                f" {cpu / rows * 1e6:>11.0f} {peak:>8.0f}",
                flush=True,
            )


def write_rows(path: Path, rows: int) -> None:
    """So many rows of 1.5 KB."""
    with path.open("w") as stream:
        for number in range(rows):
            stream.write(json.dumps({"id": f"r{number}", "text": f"{number} {TEXT}"}) + "\n")


@contextmanager
def serving(latency: float) -> Iterator[str]:
    """The URL of a server that answers after *latency* seconds."""
    server = subprocess.Popen(
        [sys.executable, str(HERE / "server.py"), "--port", "0", "--latency", str(latency)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().split()[-1]}"
    finally:
        server.terminate()
        server.wait()


def measure(spec: Path) -> tuple[float, float, float]:
    """(wall seconds, CPU seconds, peak MB) of a run of *spec*."""
    command = [sys.executable, "-m", "dbrun", "--quiet", str(spec)]
    begun = time.perf_counter()
    process = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(process, 0)
    wall = time.perf_counter() - begun
    if status:
        raise SystemExit(f"exit status {os.waitstatus_to_exitcode(status)}: {' '.join(command)}")
    peak = usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024)
    return wall, usage.ru_utime + usage.ru_stime, peak


if __name__ == "__main__":
    main()
