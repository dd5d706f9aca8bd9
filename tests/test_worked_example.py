"""The worked example of the manual: done again, it comes out as it is told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "worked-example.md").read_text(encoding="utf-8")
WORKED = ROOT / "docs" / "worked"
VARYING = re.compile(r"\b[0-9a-f]{9}\b|commit [0-9a-f]{12}|\d{4}\S+\d{2}\S+\d{2} \S+ UTC")
"""What git and the clock tell."""


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [text for fence, text in found if fence == language]


def test_the_spec_is_the_one_that_is_shown() -> None:
    assert blocks("yml") == [(WORKED / "subjects.yaml").read_text(encoding="utf-8")]


def test_the_prompts_are_the_ones_that_are_told() -> None:
    for folder in (WORKED / "before", WORKED):
        prompt = (folder / "prompts" / "subject.j2").read_text(encoding="utf-8")
        assert f"*{prompt.splitlines()[-1]}*" in " ".join(PAGE.split())


@pytest.mark.local_model
def test_done_again_it_comes_out_as_it_is_told(tmp_path: Path) -> None:
    (script,) = blocks("sh")
    (shown,) = [text for text in blocks("") if text.startswith("subjects.yaml:")]
    (summary,) = [text for text in blocks("") if "200 sent" in text]
    program = tmp_path / "programs" / "dbrun"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dbrun "$@"\n')
    program.chmod(0o755)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ |= {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(tmp_path),
        "COLUMNS": "80",
    }
    markdown = 'dbrun diff --base main --format markdown > "$TMPDIR/comment.md"\n'
    done = subprocess.run(
        ["bash", "-e", "-c", script + markdown],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert VARYING.sub("*", done.stdout) == VARYING.sub("*", shown)
    for line in summary.splitlines()[2:]:
        assert line in done.stderr

    comment = (WORKED / "comment.md").read_text(encoding="utf-8")
    compared = comment[comment.index("### ") : comment.index("<details><summary>What a run")]
    made = (tmp_path / "comment.md").read_text(encoding="utf-8")
    assert VARYING.sub("*", made).strip() == VARYING.sub("*", compared).strip()
