"""One case as a process of its own: what it took, and whether it did its job."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cases import Case, Place, environment

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one process took, its children included; memory is the largest process's."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


class Failed(Exception):
    """A case that did not do its job; the text says how it failed."""


def measure(case: Case, rows: int, place: Place, answer: str, time_limit: float) -> Figures:
    """Run *case* in a fresh folder as a process of its own and check what it wrote.

    Linux counts a process's peak memory from that of the process which started it, so no figure
    is below this process's own peak: it imports little and reads answers a line at a time.
    """
    folder = str(place.out.parent)
    with open(os.path.join(folder, "log"), "wb") as log:
        begun = time.perf_counter()
        process = subprocess.Popen(
            case.command(place),
            cwd=folder,
            env=environment(folder) | case.environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        timer = threading.Timer(time_limit, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - begun
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            timer.cancel()
            with contextlib.suppress(ProcessLookupError):  # what it left running
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        lines = Path(folder, "log").read_text(errors="replace").strip().splitlines()
        over = seconds >= time_limit
        raise Failed(f"over {time_limit:.0f} s" if over else (lines or ["no word why"])[-1][:200])
    check(place.out, rows, answer)
    unit = 1024 if sys.platform != "darwin" else 1024 * 1024
    cpu = usage.ru_utime + usage.ru_stime
    return Figures(seconds=seconds, cpu_seconds=cpu, peak_mb=usage.ru_maxrss / unit)


def check(out: Path, rows: int, answer: str) -> None:
    """Raise unless *out* has the answer to every row, in order."""
    number = 0
    with out.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            record = json.loads(line)
            if record["id"] != f"r{number - 1}" or record["output"] != answer:
                raise Failed(f"line {number} of its answers is wrong: {line[:100]}")
    if number != rows:
        raise Failed(f"{number} answers to {rows} rows")


@contextlib.contextmanager
def serving(latency: float) -> Iterator[tuple[str, str]]:
    """(base URL, the answer to everything) of a loopback server for as long as the block lasts."""
    server = subprocess.Popen(
        [sys.executable, str(HERE / "server.py"), "--latency", str(latency)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
            body = json.loads(sock.recv(65536).partition(b"\r\n\r\n")[2])
        yield f"http://127.0.0.1:{port}/v1", body["choices"][0]["message"]["content"]
    finally:
        server.terminate()
        server.communicate()
