"""How the adaptive limit finds what a server takes, and follows it: a run, and a plot of it.

    python benchmarks/adaptive.py --plot docs/adaptive.svg

The server (`server.py`) takes 24 requests at a time, which it tells nobody, and answers 429 to
those beyond; after 60 seconds it takes 48. Printed is the limit at which the run settled under
each, weighted by time, over the second half of its reign. Plotting needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LATENCY = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--caps", type=int, nargs=2, default=[24, 48])
    parser.add_argument("--seconds", type=float, default=60.0, help="the reign of each cap")
    parser.add_argument("--plot", type=Path, help="an SVG to draw")
    given = parser.parse_args()
    history, end = measure(*given.caps, given.seconds)
    for number, cap in enumerate(given.caps):
        over = (number + 1) * given.seconds
        settled = mean(history, over - given.seconds / 2, min(over, end))
        print(f"cap {cap}: limit {settled:.1f} on the average, {settled / cap - 1:+.1%}")
    if given.plot:
        draw(history, given.caps, given.seconds, end, given.plot)


def measure(first: int, then: int, seconds: float) -> tuple[list[tuple[float, int]], float]:
    """The limit's history, (second, limit) of each change, and when the run ended."""
    rows = int((first + then) / LATENCY * seconds)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rows.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(rows)))
        options = ["--latency", str(LATENCY), "--cap", f"{first}:{seconds},{then}"]
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
        manifest: dict[str, Any] = json.loads((folder / "out.run.json").read_text())
    changes = [(moment, limit) for moment, limit, _ in manifest["limits"][0]["history"]]
    return changes, float(manifest["seconds"])


def mean(history: list[tuple[float, int]], since: float, until: float) -> float:
    """The limit between two moments, weighted by time."""
    total = 0.0
    for (begun, limit), (over, _) in pairwise([*history, (until, 0)]):
        total += limit * max(0.0, min(over, until) - max(begun, since))
    return total / (until - since)


def draw(
    history: list[tuple[float, int]], caps: list[int], seconds: float, end: float, path: Path
) -> None:
    """The limit and the hidden caps over time, as an SVG."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "dbrun", "font.size": 10, "svg.fonttype": "none"})
    figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
    times, limits = zip(*history, (end, history[-1][1]), strict=True)
    axes.step(
        [0, seconds, end],
        [caps[0], caps[1], caps[1]],
        where="post",
        color="#b45309",
        ls="--",
        label="what the server takes",
    )
    axes.step(times, limits, where="post", color="#1d4ed8", label="limits.concurrency")
    axes.set(xlabel="seconds", ylabel="calls at a time", xlim=(0, end), ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
