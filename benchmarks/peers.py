"""dbrun, the least that the job can cost, and other tools at the same job, side by side.

    python benchmarks/peers.py --rows 2000 --latency 0 0.05 --python PEERS/bin/python

Each case is a process of its own: rows in as JSONL, one chat completion for each from the same
loopback server (`server.py`), answers out as JSONL in the order of the rows. README.md beside this
file says how to install the other tools and how to read the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cases import Case, Place, dbrun, journalled_limit, limit, peer_cases
from measuring import Failed, Figures, measure, serving

TEXT = "The quick brown fox jumps over the lazy dog and finds nothing to say about it. " * 19


def turns(
    cases: Sequence[Case],
    rows: int,
    latency: float,
    concurrency: int,
    rounds: int,
    time_limit: float,
) -> dict[str, list[Figures]]:
    """Every case once a round, in turns, so that a noisy minute hits all alike."""
    figures: dict[str, list[Figures]] = {case.title: [] for case in cases}
    with tempfile.TemporaryDirectory() as scratch, serving(latency) as (base_url, answer):
        source = Path(scratch, "rows.jsonl")
        with source.open("w") as stream:
            for number in range(rows):
                stream.write(json.dumps({"id": f"r{number}", "text": f"{number} {TEXT}"}) + "\n")
        for _ in range(rounds):
            for case in cases:
                if case.problem or (case.most_rows is not None and rows > case.most_rows):
                    continue
                folder = Path(tempfile.mkdtemp(dir=scratch))
                place = Place(
                    rows=source,
                    base_url=base_url,
                    out=folder / "out.jsonl",
                    concurrency=concurrency,
                )
                progress(f"{rows} rows, {latency * 1000:.0f} ms: {case.title}")
                try:
                    figures[case.title].append(measure(case, rows, place, answer, time_limit))
                except Failed as error:
                    case.problem = f"failed: {error}"
                finally:
                    shutil.rmtree(folder, ignore_errors=True)
    progress("")
    return figures


def progress(text: str) -> None:
    """What is going on, on a line that is written over, where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


METRICS = ("rows/s", "CPU s/1,000 rows", "peak MB")


def best(figures: Sequence[Figures], rows: int) -> tuple[float, float, float]:
    """The METRICS, each from the best round: anything else on the machine only ever adds."""
    return (
        rows / min(each.seconds for each in figures),
        min(each.cpu_seconds for each in figures) / rows * 1000,
        min(each.peak_mb for each in figures),
    )


def table(cases: Sequence[Case], rows: int, figures: dict[str, list[Figures]]) -> list[str]:
    """Lines: the cheapest first, then those without figures and why."""
    known = {title: best(each, rows) for title, each in figures.items() if each}
    marks = [known.get("dbrun"), known.get("limit")]
    head = f"{'':30}{'':12}" + "".join(f"{name:>17}{'÷dbrun':>8}{'÷limit':>8}" for name in METRICS)
    lines = [head]
    for case in sorted(cases, key=lambda case: known.get(case.title, (0, float("inf"), 0))[1]):
        name = f"{case.title:30}{case.version:12}"
        if case.title not in known:
            lines.append(f"{name}     {case.problem or 'left out: more than --peer-rows'}")
            continue
        for index, value in enumerate(known[case.title]):
            name += f"{value:17,.2f}" if index == 1 else f"{value:17,.0f}"
            name += "".join(f"{value / mark[index]:8.3g}" if mark else f"{'':8}" for mark in marks)
        lines.append(name + (f"   (then {case.problem})" if case.problem else ""))
    return lines


def record(case: Case, rows: int, latency: float, figures: Sequence[Figures]) -> dict[str, object]:
    """One case of one table, for --json."""
    told: dict[str, object] = {"case": case.title, "version": case.version}
    told |= {"rows": rows, "latency": latency, "problem": case.problem}
    told["rounds"] = [
        {"seconds": each.seconds, "cpu_seconds": each.cpu_seconds, "peak_mb": each.peak_mb}
        for each in figures
    ]
    if figures:
        names = ("rows_per_second", "cpu_seconds_per_1000_rows", "peak_mb")
        told |= dict(zip(names, best(figures, rows), strict=True))
    return told


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[2000])
    parser.add_argument("--latency", type=float, nargs="+", default=[0.0, 0.05], help="seconds")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many is shown")
    parser.add_argument("--peer-rows", type=int, help="leave the other tools out above so many")
    parser.add_argument(
        "--python",
        nargs="+",
        default=[sys.executable],
        help="interpreters to look for the other tools in (default: this one)",
    )
    parser.add_argument("--node", default=".", help="the folder in which npm installed promptfoo")
    parser.add_argument("--only", nargs="+", default=[""], help="cases named with such a word")
    parser.add_argument("--time-limit", type=float, default=3600, help="seconds for one process")
    parser.add_argument("--json", type=Path, help="a file for every figure of every round")
    given = parser.parse_args()
    for python in given.python:
        if not shutil.which(python):
            parser.error(f"--python {python}: there is no such program")
    if not Path(given.node).is_dir():
        parser.error(f"--node {given.node}: there is no such folder")
    return given


def main() -> None:
    given = parsed()
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"
    load = os.getloadavg()[0]
    print(f"{machine}; load before the start {load:.1f}: other work that the figures pay for")

    def wanted(title: str) -> bool:
        return any(word.lower() in title.lower() for word in given.only)

    concurrency: int = given.concurrency
    cases = [
        Case(title="limit", command=limit),
        Case(title="limit, with keys and a journal", command=journalled_limit),
        Case(title="dbrun", command=dbrun),
    ]
    cases = [case for case in cases if wanted(case.title)]
    cases += peer_cases(given.python, given.node, given.peer_rows, wanted)
    # Once without a clock: bytecode is compiled, and who cannot do the job here is found out.
    turns(cases, min(64, *given.rows), 0, concurrency, 1, given.time_limit)
    records: list[dict[str, object]] = []
    for rows in given.rows:
        for latency in given.latency:
            figures = turns(cases, rows, latency, concurrency, given.rounds, given.time_limit)
            floor = f"; no client can pass {concurrency / latency:,.0f} rows/s" if latency else ""
            print(
                f"\n{rows:,} rows, {latency * 1000:.0f} ms latency, concurrency {concurrency}, "
                f"best of {given.rounds}{floor}"
            )
            print(*table(cases, rows, figures), sep="\n", flush=True)
            records += [record(case, rows, latency, figures[case.title]) for case in cases]
            if given.json:
                facts = {"machine": machine, "load_before": load, "concurrency": concurrency}
                given.json.write_text(json.dumps(facts | {"cases": records}, indent=1) + "\n")


if __name__ == "__main__":
    main()
