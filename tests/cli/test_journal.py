"""`dbrun journal` before it does anything: help, completion, who shares a journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbrun.cli.main import main
from dbrun.cli.options import make_overlay
from dbrun.cli.users import users_by_journal
from dbrun.errors import SpecError

SPEC = """\
name: NAME
source: {rows: []}
endpoint: {adapter: openai, base_url: "http://127.0.0.1:1", model: m}
prompt: hello
sink: out/NAME.jsonl
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").touch()
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(SPEC.replace("NAME", name))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_help_tells_how_a_batch_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["journal", "--help"]) == 0
    told = capsys.readouterr().out
    for words in ("--requests requests.jsonl", "--import output.jsonl", "dbrun SPEC"):
        assert words in told
    assert main(["journal"]) == 2
    assert "missing argument" in capsys.readouterr().err


def test_specs_go_by_their_journals(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overlay = make_overlay(None, (), ())
    apart = users_by_journal(["a.yaml", "b.yaml"], overlay)
    assert [[spec.name for spec in users.named] for users in apart] == [["a"], ["b"]]
    shared = make_overlay(None, (), ("journal.path=shared",))
    (together,) = users_by_journal(["a.yaml", "b.yaml"], shared)
    assert [spec.name for spec in together.named] == ["a", "b"]
    assert together.journal == str(folder / "shared")
    assert main(["journal", "a.yaml", "b.yaml", "--json"]) == 0
    assert capsys.readouterr().out.startswith("[\n")


def test_other_targets_share_it_if_they_write_to_it(folder: Path) -> None:
    targets = (
        "default_target: here\n"
        "targets:\n"
        "  here: {}\n"
        "  other: {prompt: goodbye}\n"
        "  elsewhere: {sink: out/elsewhere.jsonl}\n"
        "  unset: {prompt: again, sink: 'out/${DBRUN_TEST_UNSET}.jsonl'}\n"
    )
    (folder / "a.yaml").write_text(SPEC.replace("NAME", "a") + targets)
    (users,) = users_by_journal(["a.yaml"], make_overlay(None, (), ()))
    assert [spec.target for spec in users.named] == ["here"]
    assert [name for name, _ in users.others] == ["target 'other' of a.yaml"]
    ((name, why),) = users.unread
    assert name == "target 'unset' of a.yaml"
    assert "DBRUN_TEST_UNSET" in why
    # Under another target the one that is the default shares it, and a spec without one does.
    (users,) = users_by_journal(["a.yaml"], make_overlay("other", (), ()))
    assert {spec.target for _, spec in users.others} == {"here"}
    (folder / "a.yaml").write_text(SPEC.replace("NAME", "a") + "targets: {t: {prompt: bye}}\n")
    (users,) = users_by_journal(["a.yaml"], make_overlay("t", (), ()))
    assert [name for name, _ in users.others] == ["a.yaml without --target"]


def test_problems_of_all_specs_come_together(folder: Path) -> None:
    for name in ("a", "b"):
        (folder / f"{name}.yaml").write_text("name: x y\n")
    with pytest.raises(SpecError) as caught:
        users_by_journal(["a.yaml", "b.yaml"], make_overlay(None, (), ()))
    assert {problem.where.file for problem in caught.value.problems} == {"a.yaml", "b.yaml"}
