"""`dbrun diff`, from outside."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dbrun.cli.main import main
from dbrun.errors import EXIT_OK, EXIT_UNMET, EXIT_USAGE

GOOD = [{"id": f"{n}", "status": "ok", "output": f"answer {n}"} for n in range(4)]
FAILED = {
    "id": "2",
    "status": "error",
    "output": None,
    "error": {"class": "timeout", "message": "no answer", "retryable": True},
}
BAD = [*GOOD[:2], FAILED, GOOD[3]]


def scored(values: list[Any]) -> list[dict[str, Any]]:
    return [
        {"id": f"{n}", "status": "ok", "output": "x", "scores": {"right": {"value": value}}}
        for n, value in enumerate(values)
    ]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, records: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(one) + "\n" for one in records)
    Path(name).write_text(text, encoding="utf-8")


def test_what_changed_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    write("old.jsonl", GOOD)
    write("new.jsonl", BAD)
    assert main(["diff", "old.jsonl", "new.jsonl"]) == EXIT_OK
    said = capsys.readouterr()
    assert said.out.startswith("new.jsonl: 1 regression\n")
    assert "[-answer 2-]{+error: timeout: no answer+}" in said.out
    assert said.err == ""


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (GOOD, GOOD, EXIT_OK),
        (GOOD, BAD, EXIT_UNMET),
        (BAD, GOOD, EXIT_OK),
        (scored([True] * 6), scored([False] * 6), EXIT_UNMET),
        (scored([False] * 6), scored([True] * 6), EXIT_OK),
        (scored([True] * 5), scored([False] * 5), EXIT_OK),
        (scored([3, 4, 5.5]), scored([1, 2, 3]), EXIT_UNMET),
    ],
)
def test_regressions_fail_if_they_are_to(
    old: list[dict[str, Any]], new: list[dict[str, Any]], code: int
) -> None:
    write("old.jsonl", old)
    write("new.jsonl", new)
    assert main(["diff", "old.jsonl", "new.jsonl"]) == EXIT_OK
    assert main(["diff", "old.jsonl", "new.jsonl", "--fail-on", "regression"]) == code


def test_regressions_that_cannot_be_told_do_not_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("scipy", "scipy.special"):
        monkeypatch.setitem(sys.modules, name, None)
    write("old.jsonl", scored([1, 2, 3]))
    write("new.jsonl", scored([2, 3, 5]))
    assert main(["diff", "old.jsonl", "new.jsonl"]) == EXIT_OK
    assert "+1.33" in capsys.readouterr().out
    assert main(["diff", "old.jsonl", "new.jsonl", "--fail-on", "regression"]) == EXIT_USAGE
    assert "pip install 'dbrun[stats]'" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["text", "markdown", "html", "json"])
def test_every_form_tells_it(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    write("old.jsonl", GOOD)
    write("new.jsonl", BAD)
    assert main(["diff", "old.jsonl", "new.jsonl", "--format", form]) == EXIT_OK
    assert "timeout" in capsys.readouterr().out


def test_variants_of_one_file_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    write("one.jsonl", [{**one, "variant": name} for one in GOOD for name in ("a", "b=1,c")])
    assert main(["diff", "one.jsonl", "--variant", "a", "b=1,c"]) == EXIT_OK
    said = capsys.readouterr().out
    assert "variant a → b=1,c" in said
    assert "not compared" not in said
    write("one.jsonl", [{**one, "variant": name} for one in GOOD for name in "abc"])
    assert main(["diff", "one.jsonl", "--variant", "a", "b"]) == EXIT_OK
    assert "note: c: not compared\n" in capsys.readouterr().out


def test_compressed_results_and_tables_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    with gzip.open("old.jsonl.gz", "wt", encoding="utf-8") as stream:
        stream.writelines(json.dumps(one) + "\n" for one in GOOD)
    Path("new.csv").write_text(
        "id,status,output,scores\n"
        + "".join(f'{n},ok,answer {n},"{{""s"":{{""value"":1}}}}"\n' for n in range(4))
    )
    assert main(["diff", "old.jsonl.gz", "new.csv"]) == EXIT_OK
    said = capsys.readouterr().out
    assert "4 have the same output" in said
    assert "s: only one side has this score, on 4 rows" in said


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["gone.jsonl", "new.jsonl"], "gone.jsonl: there is no such results file"),
        (["new.jsonl"], "name two results files"),
        (["new.jsonl"] * 3, "two results files are compared, not 3"),
        (["spec.yaml", "new.jsonl"], "this is a spec"),
        (["cut.jsonl", "new.jsonl"], "cut.jsonl:2: not JSON"),
        (["rows.jsonl", "new.jsonl"], "record 1 has no status"),
        (["empty.jsonl", "new.jsonl"], "empty.jsonl: there are no records"),
        (["other.jsonl", "new.jsonl"], "no id is in both"),
        (["latin.jsonl", "new.jsonl"], "UTF-8"),
        (["new.jsonl", "new.jsonl", "--variant", "a", "b"], "--variant"),
        (["new.jsonl", "new.jsonl", "--confidence", "1"], "--confidence"),
        (["new.jsonl", "."], "this is no file"),
    ],
)
def test_mistakes_are_told_in_a_line(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write("new.jsonl", GOOD)
    write("other.jsonl", [{**one, "id": f"other {one['id']}"} for one in GOOD])
    write("rows.jsonl", [{"id": "a", "text": "x"}])
    write("empty.jsonl", [])
    Path("spec.yaml").write_text("name: x")
    Path("cut.jsonl").write_text(json.dumps(GOOD[0]) + '\n{"id": "1", "sta')
    Path("latin.jsonl").write_bytes(b'{"id": "\xe9"}\n')
    assert main(["diff", *words]) == EXIT_USAGE
    said = capsys.readouterr()
    assert complaint in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_what_is_not_used_is_not_imported() -> None:
    write("old.jsonl", GOOD)
    code = (
        "import sys; from dbrun.cli.main import main; main(['diff', 'old.jsonl', 'old.jsonl']); "
        "print([name for name in ('scipy', 'jinja2', 'requests') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
