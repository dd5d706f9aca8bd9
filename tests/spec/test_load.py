"""What reading a spec costs: no general validator, no entry points, for an ordinary file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SMALL = """name: summarize
source: rows.jsonl
endpoint: {adapter: databricks, name: my-endpoint}
prompt: "Summarize in one sentence: {{ text }}"
"""


def test_an_ordinary_spec_needs_no_heavy_module(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(SMALL)
    program = (
        "import sys\n"
        "from dbrun.registry import Registry\n"
        "from dbrun.spec.load import load_spec\n"
        "load_spec(sys.argv[1], environ={}, registry=Registry())\n"
        "heavy = {'jsonschema', 'jinja2', 'requests', 'importlib.metadata'}\n"
        "print(*sorted(heavy & set(sys.modules)))\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "pipeline.yaml")],
        capture_output=True,
        text=True,
        cwd=root,
        check=True,
    )
    assert done.stdout.strip() == ""
