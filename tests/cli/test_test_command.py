"""`dbrun test`: what is said of tests that pass and that fail, and the exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from dbrun.cli.main import main

SPEC = """\
name: topics
source: {path: rows.jsonl}
endpoint: {adapter: databricks, name: chat, task: chat}
prompt: "{{ text }}"
sink: topics.jsonl
"""
GOOD = """\
tests:
  - name: a text
    given: {row: {text: hi}, response: hello}
    expect: {request: {messages: [{content: hi}]}, output: hello}
"""
LONG = "The quick brown fox jumps over the lazy dog near the bank of the wide and quiet river"
BAD = f"""\
tests:
  - name: a topic
    given: {{row: {{text: hi}}, response: hello}}
    expect:
      request: {{messages: [{{content: ha}}]}}
      output: howdy
  - name: long
    given: {{row: {{text: hi}}, response: "{LONG}"}}
    expect: {{output: "{LONG.replace("brown", "red")}"}}
  - name: lines
    given: {{row: {{text: hi}}, response: "a\\nb\\nc"}}
    expect: {{output: "a\\nB\\nc"}}
  - name: an error
    given: {{row: {{text: hi}}, response: "a\\e[31mb"}}
    expect: {{error: "render: "}}
  - name: no error
    given: {{row: {{}}}}
    expect: {{output: x}}
"""
SAID = """\
spec.yaml:7:5: a topic: failed
  output differs (spec.yaml:11:7)
    expected  "howdy"
    got       "hello"
  request differs at messages[0].content (spec.yaml:10:7)
    expected  "ha"
    got       "hi"

spec.yaml:12:5: long: failed
  output differs (spec.yaml:14:14)
    expected  The quick [red] fox jumps over the lazy dog near the…
    got       The quick [brown] fox jumps over the lazy dog near the…

spec.yaml:15:5: lines: failed
  output differs (spec.yaml:17:14)
    --- expected
    +++ got
    @@ -1,3 +1,3 @@
     a
    -B
    +b
     c

spec.yaml:18:5: an error: failed
  error: the row has the output 'a\\x1b[31mb' (spec.yaml:20:14)
    expected  render:

spec.yaml:21:5: no error: failed
  unexpected error (spec.yaml:21:5)
    got       render: 'text' is undefined; the row has nothing (at spec.yaml:4:13)

spec.yaml: 5 failed in 0 ms
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(
    capsys: pytest.CaptureFixture[str], tests: str, *words: str, code: int = 0
) -> tuple[str, str]:
    Path("spec.yaml").write_text(SPEC + tests, encoding="utf-8")
    assert main(["test", "spec.yaml", *words]) == code
    out, err = capsys.readouterr()
    return out, err


def timeless(text: str) -> str:
    """*text* with no milliseconds."""
    return " ".join("0" if word.isdigit() else word for word in text.split(" "))


def test_passing_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(capsys, GOOD)
    assert timeless(out) == "spec.yaml: 0 passed in 0 ms\n"
    assert err == ""
    assert sorted(path.name for path in folder.iterdir()) == ["spec.yaml"]


def test_failing_is_told_with_places_and_differences(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = run(capsys, BAD, code=1)
    lines, wanted = out.splitlines(), SAID.splitlines()
    assert [line.rstrip() for line in lines[:-1]] == wanted[:-1]
    assert lines[-1].startswith("spec.yaml: 5 failed in ")
    assert err == ""


def test_programs_are_told_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, BAD, "--format", "json", code=1)
    told = json.loads(out)
    assert [one["name"] for one in told] == ["a topic", "long", "lines", "an error", "no error"]
    first = told[0]
    assert (first["spec"], first["line"], first["passed"]) == ("spec.yaml", 7, False)
    assert first["failures"][1] == {
        "part": "request",
        "step": None,
        "line": 10,
        "column": 7,
        "message": 'request differs at messages[0].content; expected "ha"; got "hi"',
        "path": "messages[0].content",
        "expected": "ha",
        "got": "hi",
    }


def test_github_is_told_in_annotations(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, BAD, "--format", "github", "-k", "topic", code=1)
    assert out.splitlines() == [
        "::error file=spec.yaml,line=11,col=7::test 'a topic': output differs; "
        'expected "howdy"; got "hello"',
        "::error file=spec.yaml,line=10,col=7::test 'a topic': request differs at "
        'messages[0].content; expected "ha"; got "hi"',
    ]
    out, _ = run(capsys, GOOD, "--format", "github")
    assert out == ""


def test_ci_systems_are_told_in_junit_xml(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, BAD, "--format", "junit", code=1)
    (suite,) = ElementTree.fromstring(out.encode())
    assert (suite.get("tests"), suite.get("failures")) == ("5", "5")
    failure = suite[0].find("failure")
    assert failure is not None
    assert 'expected "howdy"' in str(failure.get("message"))
    assert "\x1b" not in out


def test_names_choose(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, BAD, "-k", "LONG", "-k", "lin", code=1)
    assert "spec.yaml: 2 failed in " in out
    out, err = run(capsys, BAD, "-k", "shrot", code=2)
    assert out == ""
    assert err == (
        "dbrun: no test fits -k shrot; there are 'a topic', 'long', 'lines', 'an error', "
        "'no error'\n"
    )


def test_several_specs_are_summed_up(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("other.yaml").write_text(SPEC + GOOD)
    Path("untested.yaml").write_text(SPEC)
    Path("_base.yaml").write_text("prompt: x\n")
    Path("spec.yaml").write_text(SPEC + BAD)
    assert main(["test", "*.yaml", "-k", "t"]) == 1
    out, err = capsys.readouterr()
    lines = [timeless(line) for line in out.splitlines()[-3:]]
    assert lines == [
        "other.yaml: 0 passed in 0 ms",
        "spec.yaml: 0 failed in 0 ms",
        "0 failed, 0 passed in 0 ms",
    ]
    assert err == "untested.yaml: has no tests\n"


def test_an_inherited_test_is_told_with_its_heir(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("_parent.yaml").write_text(SPEC + GOOD)
    Path("spec.yaml").write_text('name: heir\nextends: _parent.yaml\nprompt: "Say {{ text }}"\n')
    assert main(["test", "*.yaml"]) == 1
    out, _ = capsys.readouterr()
    assert out.startswith("_parent.yaml:7:5: a text (spec.yaml): failed\n")


@pytest.mark.parametrize("tests", ["", "tests: []\n"])
def test_without_tests_there_is_nothing_to_fail(
    folder: Path, tests: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, tests) == ("", "spec.yaml: has no tests\n")
    assert main(["test", "spec.yaml", "--format", "json"]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_a_broken_spec_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(capsys, "tests:\n  - {given: {row: {}}}\n", code=2)
    assert out == ""
    assert "spec.yaml:7:5: tests[0]: 'expect' is missing" in err


def test_a_target_is_tested_with_its_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    targets = f'{GOOD}targets: {{loud: {{prompt: "{{{{ text }}}}!"}}}}\n'
    run(capsys, targets)
    out, _ = run(capsys, targets, "--target", "loud", code=1)
    assert 'got       "hi!"' in out


def test_what_functions_print_is_no_report(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("functions.py").write_text("def say(text):\n    print('hm')\n    return text\n")
    out, err = run(capsys, f'{GOOD}transforms: {{output: "functions:say"}}\n')
    assert timeless(out) == "spec.yaml: 0 passed in 0 ms\n"
    assert err == "hm\n"


def differing(response: str, output: str) -> str:
    """A test that fails on its output."""
    test = {"given": {"row": {"text": "hi"}, "response": response}, "expect": {"output": output}}
    return f"tests: [{json.dumps(test)}]\n"


def test_texts_too_long_for_a_diff_are_told_from_where_they_part(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = run(capsys, differing("a " * 30_000 + "end", "a " * 30_000 + "finish"), code=1)
    assert "    alike for 60,000 characters, then\n" in out
    assert '    expected  "finish"\n    got       "end"\n' in out


def test_texts_of_words_that_come_again_and_again_are_compared(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = run(capsys, differing("a b " * 3000, "b a c " * 3000), code=1)
    assert "    expected  " in out
    assert " characters)\n" in out


def test_nothing_heavy_is_imported_and_nobody_is_asked(folder: Path) -> None:
    Path("spec.yaml").write_text(SPEC.replace(", task: chat", "") + GOOD)
    program = (
        "import os, sys\n"
        "sys.addaudithook(lambda event, _: event.startswith('socket.') and os._exit(9))\n"
        "from dbrun.cli.main import main\ncode = main(['test', 'spec.yaml'])\n"
        "heavy = {'requests', 'databricks', 'jsonschema', 'pyarrow', 'mlflow', 'rich', 'xml'}\n"
        "sys.exit(code or ' '.join(heavy & set(sys.modules)) or None)"
    )
    done: Any = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        0,
        "spec.yaml: endpoint.task: what 'chat' does is not known yet; taken for chat\n",
    )
