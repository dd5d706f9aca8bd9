"""How the adaptive limit finds what a server takes, and follows it: two runs, and a plot of them.

    python benchmarks/adaptive.py --plot docs/adaptive.svg

One server (`server.py`) takes 24 requests at a time, which it tells nobody, and answers 429 to
those beyond; after 60 seconds it takes 48. Another takes 40 requests a second, then 80. Printed is
where each run settled, over the second half of each reign: the limit on calls at a time, weighted
by time, and the answers a second. Plotting needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LATENCY = 0.1


@dataclass(frozen=True)
class Course:
    """What came of one run: *points* are (second, value), each of which holds until the next;
    *hidden* is what the server takes, first and then; it ended after *end* seconds."""

    hidden: Sequence[int]
    points: list[tuple[float, float]]
    end: float

    def mean(self, since: float, until: float) -> float:
        """The value between two moments, weighted by time."""
        until = min(until, self.end)
        total = 0.0
        for (begun, value), (over, _) in pairwise([*self.points, (until, 0)]):
            total += value * max(0.0, min(over, until) - max(begun, since))
        return total / (until - since)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--caps", type=int, nargs=2, default=[24, 48])
    parser.add_argument("--rates", type=int, nargs=2, default=[40, 80])
    parser.add_argument("--seconds", type=float, default=60.0, help="the reign of each")
    parser.add_argument("--plot", type=Path, help="an SVG to draw")
    given = parser.parse_args()
    with ThreadPoolExecutor() as pool:
        capped = pool.submit(measure_cap, given.caps, given.seconds)
        rated = pool.submit(measure_rate, given.rates, given.seconds)
    told = (
        (capped.result(), "calls at a time", "limit"),
        (rated.result(), "calls a second", "answers a second"),
    )
    for course, unit, what in told:
        for number, hidden in enumerate(course.hidden):
            over = (number + 1) * given.seconds
            settled = course.mean(over - given.seconds / 2, over)
            print(
                f"{hidden} {unit}: {what} {settled:.1f} on the average, {settled / hidden - 1:+.1%}"
            )
    if given.plot:
        draw([(course, unit) for course, unit, _ in told], given.seconds, given.plot)


def measure_cap(caps: Sequence[int], seconds: float) -> Course:
    """The limit's history against a server that takes so many calls at a time."""
    first, then = caps
    rows = int((first + then) / LATENCY * seconds)
    manifest, _ = run(rows, "--cap", f"{first}:{seconds},{then}")
    history = manifest["limits"][0]["history"]
    return Course(caps, [(moment, limit) for moment, limit, _ in history], manifest["seconds"])


def measure_rate(rates: Sequence[int], seconds: float) -> Course:
    """Answers a second of a server that takes so many calls a second."""
    first, then = rates
    _, counts = run(int((first + then) * seconds), "--rate", f"{first}:{seconds},{then}")
    return Course(rates, [(float(at), count) for at, count in enumerate(counts)], len(counts))


def run(rows: int, option: str, hidden: str) -> tuple[dict[str, Any], list[int]]:
    """A run's manifest, and what the server answered in each second."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rows.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(rows)))
        options = ["--latency", str(LATENCY), option, hidden, "--counts", str(folder / "counts")]
        server = subprocess.Popen(
            [sys.executable, str(HERE / "server.py"), *options],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            (folder / "spec.yaml").write_text(
                "name: adaptive\n"
                "source: {path: rows.jsonl}\n"
                f"endpoint: {{adapter: openai, base_url: 'http://127.0.0.1:{port}/v1', model: m}}\n"
                'prompt: "{{ n }}"\n'
                "limits: {concurrency: {start: 8, max: 200}}\n"
                "sink: out.jsonl\n"
            )
            command = [sys.executable, "-m", "dbrun", "--quiet", str(folder / "spec.yaml")]
            subprocess.run(command, check=True)
        finally:
            server.terminate()
            server.wait()
        counts: list[int] = json.loads((folder / "counts").read_text())
        manifest: dict[str, Any] = json.loads((folder / "out.run.json").read_text())
    return manifest, counts


def draw(courses: Sequence[tuple[Course, str]], seconds: float, path: Path) -> None:
    """What each run did and what its server takes over time, as an SVG."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "dbrun", "font.size": 10, "svg.fonttype": "none"})
    figure, panels = plt.subplots(len(courses), figsize=(8, 5.6), layout="constrained")
    for axes, (course, unit) in zip(panels, courses, strict=True):
        first, then = course.hidden
        axes.step(
            [0, seconds, course.end],
            [first, then, then],
            where="post",
            color="#b45309",
            ls="--",
            label="what the server takes",
        )
        times, values = zip(*course.points, (course.end, course.points[-1][1]), strict=True)
        axes.step(times, values, where="post", color="#1d4ed8", label="what the run does")
        axes.set(xlabel="seconds", ylabel=unit, xlim=(0, course.end), ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False, loc="lower right")
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
