"""The command line itself: help at once, commands by name, specs as commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dbrun import __version__
from dbrun.cli.group import looks_like_spec
from dbrun.cli.main import COMMANDS, main, make_group

HEAVY = (
    "yaml",
    "jsonschema",
    "requests",
    "jinja2",
    "rich",
    "pyarrow",
    "logging",
    "dbrun.types",
    "dbrun.run",
)
NAMES = [name for commands in COMMANDS.values() for name in commands]


def test_help_imports_nothing_that_it_does_not_need() -> None:
    code = (
        "import sys, dbrun.cli.main as it; it.main(['--help']); "
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


UNUSED = (
    *("jsonschema", "requests", "pyarrow", "asyncio", "databricks", "mlflow", "pyspark"),
    *("deltalake", "dbrun.doctor", "dbrun.scores", "dbrun.tracking", "dbrun.run.processes"),
)


def test_a_plain_run_imports_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def say(prompt):\n    return prompt\n")
    (tmp_path / "a.yaml").write_text(
        "name: a\nsource: {rows: [{x: hello}]}\nprompt: '{{ x }}'\n"
        "endpoint: {adapter: python, function: 'mine:say'}\n"
    )
    code = (
        "import sys, dbrun.cli.main as it; print(it.main(['a.yaml', '--quiet']), "
        f"[name for name in {UNUSED!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "0 []"


def test_an_interrupt_is_no_traceback_while_modules_load() -> None:
    code = (
        "import runpy, sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'click': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "runpy.run_module('dbrun', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "dbrun: interrupted by Ctrl-C\n")


def test_help_shows_every_command_under_a_heading(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for heading, commands in COMMANDS.items():
        assert f"\n{heading}:\n" in out
        for name in commands:
            assert f"\n  {name} " in out
    assert "Examples:" in out


def test_nothing_is_answered_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["-h"]) == 0
    said = capsys.readouterr()
    assert said.err == said.out
    assert "COMMAND | SPEC" in said.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["local"], "dbrun local: missing command; see 'dbrun local --help'\n"),
        (["local", "x"], "dbrun local: no such command 'x'; see 'dbrun local --help'\n"),
        (["validate"], "dbrun validate: missing argument 'SPEC…'; see 'dbrun validate --help'\n"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help(name: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, option]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: dbrun {name}")
    assert all(len(line) <= 100 for line in out.splitlines())


@pytest.mark.parametrize("name", NAMES)
def test_a_module_and_its_command_have_one_name(name: str) -> None:
    group = make_group()
    context = group.make_context("dbrun", [name], resilient_parsing=True)
    command = group.get_command(context, name)
    assert command is not None
    assert command.name == name


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"dbrun {__version__}\n"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("tickets.yaml", True),
        ("tickets.YML", True),
        ("pipelines/tickets", True),
        ("*.y*ml", True),
        ("here", True),
        ("validte", False),
        ("-", False),
    ],
)
def test_what_looks_like_a_spec(
    word: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").touch()
    monkeypatch.chdir(tmp_path)
    assert looks_like_spec(word) is expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("valdate", "did you mean 'validate'?"),
        ("summarise", "did you mean 'pipelines/summarize.yaml'?"),
        ("xyzzy", "the commands are run, validate"),
    ],
)
def test_an_unknown_word_is_answered_with_what_is_near(
    word: str,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/summarize.yaml").touch()
    monkeypatch.chdir(tmp_path)
    assert main([word]) == 2
    err = capsys.readouterr().err
    assert f"'{word}' is neither a command nor a file" in err
    assert expected in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [["--limit", "3", "no.yaml"], ["-v", "no.yaml"], ["no.yaml"]])
def test_what_names_no_command_is_run(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "no.yaml: there is no such file" in capsys.readouterr().err


def test_python_m_dbrun_is_dbrun() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dbrun", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"dbrun {__version__}\n"
