"""What further processes bring: rows a second of the same job in one, two, … of them.

    python benchmarks/processes.py --rows 10000 --processes 1 2 --work 0 1

One process for each, over a loopback server. *work* is an output transform that takes so many
milliseconds of CPU a row: 0 for a run that only asks and writes. The server and the process that
deals rows take their part of the cores, too: on a machine with as few cores as processes, that is
what keeps the ratio below their number.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from whole_run import measure, serving, write_rows

FUNCTIONS = """\
import time

def work(text, ms):
    until = time.thread_time() + ms / 1000
    while time.thread_time() < until:
        pass
    return text
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--work", type=float, nargs="+", default=[0, 1])
    parser.add_argument("--latency", type=float, default=0.02)
    parser.add_argument("--concurrency", type=int, default=128)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, {arguments.rows} rows, {arguments.latency} s a call")
    names = ("work ms", "processes", "wall s", "rows/s", "times", "CPU µs/row")
    print("".join(f"{name:>11}" for name in names))
    for work in arguments.work:
        first = 0.0
        for processes in arguments.processes:
            wall, cpu = _run(arguments, work, processes)
            first = first or wall
            print(
                f"{work:>11g}{processes:>11}{wall:>11.2f}{arguments.rows / wall:>11.0f}"
                f"{first / wall:>11.2f}{cpu / arguments.rows * 1e6:>11.0f}",
                flush=True,
            )


def _run(arguments: argparse.Namespace, work: float, processes: int) -> tuple[float, float]:
    """Wall and CPU seconds of one run in a folder of its own."""
    with tempfile.TemporaryDirectory() as name, serving(arguments.latency) as url:
        folder = Path(name)
        write_rows(folder / "rows.jsonl", arguments.rows)
        (folder / "functions.py").write_text(FUNCTIONS)
        work_done = f"{{function: 'functions:work', kwargs: {{ms: {work}}}}}"
        (folder / "spec.yaml").write_text(
            "name: bench\n"
            "source: {path: rows.jsonl, id: id}\n"
            f"endpoint: {{adapter: openai, base_url: '{url}/v1', model: m}}\n"
            'prompt: "Summarize: {{ text }}"\n'
            + (f"transforms: {{output: {work_done}}}\n" if work else "")
            + f"limits: {{concurrency: {arguments.concurrency}, processes: {processes}}}\n"
            "sink: out.jsonl\n"
        )
        wall, cpu, _ = measure(folder / "spec.yaml")
        return wall, cpu


if __name__ == "__main__":
    main()
