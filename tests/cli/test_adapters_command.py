"""`dbrun adapters`: what is registered, also by others, also what is broken."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from dbrun.cli.adapters import KINDS
from dbrun.cli.main import main
from dbrun.registry import BUILT_IN

THEIRS = """\
class Adapter:
    options = {"type": "object", "required": ["deployment"], "properties": {
        "deployment": {"type": "string", "description": "Which one."},
        "tier": {"enum": ["low", "high"], "default": "low", "description": "How urgent."}}}
"""


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution of somebody else with two adapters, one of which does not load."""
    info = tmp_path / "dbrun_theirs-2.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dbrun-theirs\nVersion: 2.5\n")
    (info / "entry_points.txt").write_text(
        "[dbrun.adapters]\ntheirs = dbrun_theirs:Adapter\nwrecked = dbrun_theirs_wreck:Adapter\n"
    )
    (tmp_path / "dbrun_theirs.py").write_text(THEIRS)
    (tmp_path / "dbrun_theirs_wreck.py").write_text("raise RuntimeError('out of order')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))


def test_everything_built_in_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapters"]) == 0
    out = capsys.readouterr().out
    for kind in KINDS:
        assert f"{kind}\n" in out
        for name in BUILT_IN[kind]:
            assert f"\n  {name}  (dbrun " in out
    assert "BROKEN" not in out


def test_options_are_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapters", "openai"]) == 0
    out = capsys.readouterr().out
    assert "    base_url    Address of the API" in out
    assert "[string, required]" in out
    assert "[credential]" in out
    assert "databricks" not in out


def test_those_of_others_are_listed_with_their_distribution(
    theirs: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["adapters", "theirs"]) == 0
    assert capsys.readouterr().out == (
        "adapters\n"
        "  theirs  (dbrun-theirs 2.5)\n"
        "    deployment  Which one. [string, required]\n"
        "    tier        How urgent. [low | high, default low]\n"
    )


def test_a_broken_one_is_flagged_and_breaks_no_other(
    theirs: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["adapters"]) == 0
    out = capsys.readouterr().out
    assert "wrecked  (dbrun-theirs 2.5)  BROKEN: " in out
    assert "out of order" in out
    assert "  theirs  (dbrun-theirs 2.5)\n" in out


def test_for_programs(theirs: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapters", "theirs", "wrecked", "--format", "json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["options"]["required"] == ["deployment"]
    assert "out of order" in second["broken"]


def test_an_unknown_name_is_answered_with_what_is_near(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapters", "opena"]) == 2
    assert "did you mean 'openai'?" in capsys.readouterr().err
