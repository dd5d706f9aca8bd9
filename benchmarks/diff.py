"""What comparing two results files costs: seconds of CPU, and memory, by size and order.

Run as `python benchmarks/diff.py [--rows N]`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path


def write(path: Path, rows: int, *, seed: int, backwards: bool = False) -> None:
    """Results of *rows* records of some 800 bytes; one in twenty differs with the *seed*."""
    order = range(rows - 1, -1, -1) if backwards else range(rows)
    with path.open("w", encoding="utf-8") as stream:
        for number in order:
            mine = random.Random(f"{number}-{seed}")
            words = random.Random(number).choices(("one", "two", "three", "four"), k=20)
            if mine.random() < 0.05:
                words[mine.randrange(20)] = "another"
            record = {
                "id": f"T-{number}",
                "status": "ok",
                "output": " ".join(words),
                "usage": {"input_tokens": 120, "output_tokens": 20},
                "row": {"text": "x " * 200},
                "key": f"{number:064x}",
                "scores": {
                    "right": {"value": "another" not in words},
                    "share": {"value": mine.random()},
                },
            }
            stream.write(json.dumps(record, separators=(",", ":")) + "\n")


def measure(old: Path, new: Path) -> str:
    """CPU and greatest memory of one comparison, in a process of its own."""
    before = os.times()
    code = (
        "import resource; from dbrun.cli.main import main; "
        f"main(['diff', {str(old)!r}, {str(new)!r}, '--format', 'json']); "
        "import sys; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = os.times()
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    took = after.elapsed - before.elapsed
    return f"{spent:5.1f} s of CPU, {took:5.1f} s, {int(done.stderr.split()[-1]) / 1000:.0f} MB"


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        old, new, back = (Path(folder) / f"{name}.jsonl" for name in ("old", "new", "back"))
        few = Path(folder) / "few.jsonl"
        write(old, rows, seed=1)
        write(new, rows, seed=2)
        write(back, rows, seed=2, backwards=True)
        write(few, rows // 10, seed=2)
        print(f"{rows:,} records, the same order: {measure(old, new)}")
        print(f"{rows:,} records, backwards:      {measure(old, back)}")
        print(f"a tenth of them in NEW:          {measure(old, few)}")


if __name__ == "__main__":
    main()
