"""Both sides of a spec since a branch began: real git, real processes, no request."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes.repository import FILES, SPEC, TICKETS, Project, without_git_settings

from dbrun.diff.sides.base import Base, Overlay, Sides, sides_since
from dbrun.errors import SpecError, UserError

JUDGE = """\
  - type: judge
    name: fine
    endpoint: {adapter: python, function: "judges:fine"}
    prompt: "Is this fine? {{ output }}"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    without_git_settings(monkeypatch)
    folder = tmp_path / "project"
    folder.mkdir()
    made = Project(folder)
    monkeypatch.chdir(folder)
    # Where the folders of both sides lie; nothing may stay there.
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    return made


class Seen:
    """What was made, read while it was there."""

    def __init__(self, base: Base) -> None:
        self.commit = base.commit
        self.sides: dict[str, Sides] = {sides.spec: sides for sides in base.sides}
        self.old = {sides.spec: records(sides.old.results) for sides in base.sides}
        self.new = {sides.spec: records(sides.new.results) for sides in base.sides}
        self.recipes = {
            sides.spec: [
                json.loads(Path(made.results).with_suffix(".run.json").read_text())
                for made in (sides.old, sides.new)
            ]
            for sides in base.sides
        }


def records(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def made(
    *specs: str,
    revision: str = "main",
    overlay: Overlay = Overlay(),  # noqa: B008
    patterns: Sequence[str] = (),
) -> Seen:
    with sides_since(revision, specs, overlay, os.environ, patterns=patterns) as base:
        seen = Seen(base)
    assert os.listdir(tempfile.gettempdir()) == []
    return seen


def outputs(lines: list[dict[str, Any]]) -> Mapping[str, Any]:
    return {line["id"]: line["output"] for line in lines}


# --- what the sides are ---------------------------------------------------------------------------


def test_both_sides_come_from_the_journal(project: Project) -> None:
    project.run()
    project.results().unlink()
    project.branch()
    project.write("pipelines/prompts/ask.j2", "Say: {{ text | upper }}")
    project.run()
    project.results().unlink()
    seen = made(TICKETS)

    assert outputs(seen.old[TICKETS])["a"] == "the a is broken."
    assert outputs(seen.new[TICKETS])["a"] == "THE A IS BROKEN."
    assert seen.sides[TICKETS].old.unanswered == seen.sides[TICKETS].new.unanswered == 0
    assert not seen.sides[TICKETS].old.has_results
    assert seen.commit == project.git("rev-parse", "main")
    keys = {line["key"] for line in seen.old[TICKETS]} & {line["key"] for line in seen.new[TICKETS]}
    assert not keys


def test_committed_results_are_the_old_side(project: Project) -> None:
    project.run()
    lines = records(str(project.results()))
    lines[0]["output"] = "as it was committed"
    project.write("out/tickets.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    project.branch()
    seen = made(TICKETS)

    assert outputs(seen.old[TICKETS])["a"] == "as it was committed"
    assert outputs(seen.new[TICKETS])["a"] == "the a is broken."
    assert seen.sides[TICKETS].old.has_results


def test_what_committed_results_leave_out_is_replayed(project: Project) -> None:
    project.write(
        TICKETS,
        SPEC.replace("tickets.jsonl", "tickets.jsonl, omit: [row, key]}").replace(
            "sink: ", "sink: {path: "
        ),
    )
    project.run()
    assert "row" not in records(str(project.results()))[0]
    project.branch()
    (old, *_) = made(TICKETS).old[TICKETS]

    assert old["row"] == {"id": "a", "text": "the a is broken"}
    assert len(old["key"]) == 64


def test_committed_results_need_no_journal(project: Project) -> None:
    project.run()
    project.write(".gitignore", "*.journal/\n__pycache__/\n")
    project.branch()
    for path in sorted((project.folder / "out" / "tickets.jsonl.journal").iterdir()):
        path.unlink()
    seen = made(TICKETS)

    assert outputs(seen.old[TICKETS]) == outputs(seen.new[TICKETS])
    assert outputs(seen.new[TICKETS])["a"] == "the a is broken."
    assert seen.sides[TICKETS].new.unanswered == 0


def test_results_of_another_recipe_answer_nothing(project: Project) -> None:
    project.run()
    project.write(".gitignore", "*.journal/\n__pycache__/\n")
    project.branch()
    for path in sorted((project.folder / "out" / "tickets.jsonl.journal").iterdir()):
        path.unlink()
    project.write("pipelines/shaping.py", "def shape(text):\n    return text.upper()\n")
    sides = made(TICKETS).sides[TICKETS]

    assert (sides.new.unanswered, sides.new.named) == (3, ["a", "b", "c"])
    assert sides.old.unanswered == 0


def test_requests_without_an_answer_are_counted_not_guessed(project: Project) -> None:
    project.run()
    project.results().unlink()
    project.branch()
    project.write("pipelines/prompts/ask.j2", "Say: {% if id == 'b' %}really {% endif %}{{ text }}")
    seen = made(TICKETS)

    assert (seen.sides[TICKETS].new.unanswered, seen.sides[TICKETS].new.named) == (1, ["b"])
    (unanswered,) = [line for line in seen.new[TICKETS] if line["id"] == "b"]
    assert (unanswered["status"], unanswered["error"]["class"]) == ("error", "unanswered")
    assert not (project.folder / "out" / "tickets.jsonl").exists()


def test_each_side_has_the_functions_of_its_own_state(project: Project) -> None:
    project.run()
    project.results().unlink()
    project.branch()
    project.write("pipelines/shaping.py", "def shape(text):\n    return text.upper()\n")
    seen = made(TICKETS)

    assert outputs(seen.old[TICKETS])["a"] == "the a is broken."
    assert outputs(seen.new[TICKETS])["a"] == "THE A IS BROKEN."


def test_modules_of_a_package_on_the_path_are_those_of_the_state(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("src/ourpackage/__init__.py", "")
    project.write("src/ourpackage/words.py", "def shape(text):\n    return text\n")
    project.write(TICKETS, SPEC.replace("shaping:shape", "ourpackage.words:shape"))
    monkeypatch.syspath_prepend(str(project.folder / "src"))
    project.run()
    project.results().unlink()
    project.branch()
    project.write("src/ourpackage/words.py", "def shape(text):\n    return text + ' NEW'\n")
    for name in [name for name in sys.modules if name.startswith("ourpackage")]:
        del sys.modules[name]
    seen = made(TICKETS)

    assert outputs(seen.old[TICKETS])["a"] == "the a is broken."
    assert outputs(seen.new[TICKETS])["a"] == "the a is broken. NEW"


def test_both_sides_are_judged_by_the_scores_of_now(project: Project) -> None:
    project.run()
    project.branch()
    project.write(
        TICKETS, SPEC.replace("type: length, name: words", 'type: regex, name: loud, pattern: "!"')
    )
    seen = made(TICKETS)

    for lines in (seen.old[TICKETS], seen.new[TICKETS]):
        assert [list(line["scores"]) for line in lines] == [["loud"]] * 3
        assert not any(line["scores"]["loud"]["value"] for line in lines)


def test_a_score_of_the_users_sees_the_whole_record(project: Project) -> None:
    project.write(
        "pipelines/judging.py", "def long(record):\n    return len(record['row']['text'])\n"
    )
    project.run()
    project.branch()
    text = SPEC.replace(
        "{type: length, name: words, better: lower}",
        '{type: python, name: long, function: "judging:long"}',
    )
    project.write(TICKETS, text)
    old = made(TICKETS).old[TICKETS]

    assert [line["scores"]["long"]["value"] for line in old] == [15, 15, 15]


def test_without_scores_neither_side_has_any(project: Project) -> None:
    project.run()
    project.branch()
    project.write(
        TICKETS,
        SPEC.replace("scores:\n", "").replace(
            "  - {type: length, name: words, better: lower}\n", ""
        ),
    )
    seen = made(TICKETS)

    assert all("scores" not in line for line in [*seen.old[TICKETS], *seen.new[TICKETS]])


def test_a_judge_answers_from_the_journal(project: Project) -> None:
    project.write(
        "pipelines/judges.py", "def fine(prompt):\n    return str('a is' not in prompt)\n"
    )
    project.write(TICKETS, SPEC.replace("sink:", f"{JUDGE}sink:"))
    project.run()
    project.branch()
    project.write("data/rows.jsonl", FILES["data/rows.jsonl"] + '{"id": "d", "text": "fine"}\n')
    seen = made(TICKETS)

    for lines in (seen.old[TICKETS], seen.new[TICKETS][:3]):
        assert [line["scores"]["fine"]["value"] for line in lines] == [False, True, True]
    assert (seen.sides[TICKETS].new.unanswered, seen.sides[TICKETS].new.named) == (1, ["d"])


def test_a_judge_without_an_answer_is_counted(project: Project) -> None:
    project.write("pipelines/judges.py", "def fine(prompt):\n    return 'yes'\n")
    project.run()
    project.branch()
    project.write(TICKETS, SPEC.replace("sink:", f"{JUDGE}sink:"))
    seen = made(TICKETS)

    assert seen.sides[TICKETS].old.unanswered == seen.sides[TICKETS].new.unanswered == 3
    assert [line["scores"]["fine"]["value"] for line in seen.old[TICKETS]] == [None] * 3


def test_a_matrix_and_repeats_have_their_records_on_both_sides(project: Project) -> None:
    more = (
        "repeats: 2\nmatrix:\n  prompt:\n    - {name: plain, value: 'Say: {{ text }}'}\n"
        "    - {name: loud, value: 'Say: {{ text | upper }}'}\n"
    )
    project.write(TICKETS, SPEC.replace("prompt: {file: prompts/ask.j2}\n", "prompt: x\n") + more)
    project.run()
    project.results().unlink()
    project.branch()
    project.write(
        TICKETS,
        SPEC.replace("prompt: {file: prompts/ask.j2}\n", "prompt: x\n")
        + more.replace("| upper", "| title"),
    )
    project.run()
    project.results().unlink()
    seen = made(TICKETS)

    for lines in (seen.old[TICKETS], seen.new[TICKETS]):
        kinds = {(line["variant"], line["repeat"]) for line in lines}
        assert kinds == {
            (f"prompt={name}", number) for name in ("plain", "loud") for number in (1, 2)
        }
        assert len(lines) == 12
        assert all(line["status"] == "ok" and "words" in line["scores"] for line in lines)


def test_rows_that_git_does_not_keep_are_those_of_now(project: Project) -> None:
    project.write(".gitignore", "data/\n__pycache__/\n")
    project.run()
    project.results().unlink()
    project.branch()
    sides = made(TICKETS).sides[TICKETS]

    assert (sides.old.records, sides.old.unanswered, sides.trouble) == (3, 0, None)


def test_rows_of_the_base_are_its_own(project: Project) -> None:
    project.run()
    project.results().unlink()
    project.branch()
    project.write("data/rows.jsonl", '{"id": "z", "text": "new"}\n')
    seen = made(TICKETS)

    assert list(outputs(seen.old[TICKETS])) == ["a", "b", "c"]
    assert list(outputs(seen.new[TICKETS])) == ["z"]


def test_answers_that_were_pruned_since_are_found_in_the_base(project: Project) -> None:
    project.run()
    project.results().unlink()
    project.branch()
    project.write("pipelines/prompts/ask.j2", "Say: {{ text | upper }}")
    for path in (project.folder / "out" / "tickets.jsonl.journal").iterdir():
        path.unlink()
    project.run()
    project.results().unlink()
    sides = made(TICKETS).sides[TICKETS]

    assert sides.old.unanswered == sides.new.unanswered == 0


def test_the_recipes_of_both_sides_are_told(project: Project) -> None:
    project.run()
    project.branch()
    project.write(TICKETS, SPEC.replace("name: tickets", "name: tickets\nparams: {max_tokens: 5}"))
    old, new = made(TICKETS).recipes[TICKETS]

    assert "params" not in old["spec"]
    assert new["spec"]["params"] == {"max_tokens": 5}


def test_options_hold_for_both_sides(project: Project) -> None:
    project.run()
    project.branch()
    overlay = Overlay(overrides=("params.max_tokens=7",))
    for recipe in made(TICKETS, overlay=overlay).recipes[TICKETS]:
        assert recipe["name"] == "tickets"
    (_, new) = made(TICKETS, overlay=overlay).recipes[TICKETS]
    assert new["spec"]["params"] == {"max_tokens": 7}


# --- which specs ----------------------------------------------------------------------------------


def test_without_specs_those_that_differ_are_taken(project: Project) -> None:
    project.write("pipelines/same.yaml", SPEC.replace("tickets", "same"))
    project.write(
        "pipelines/rows.yaml", SPEC.replace("tickets", "rows").replace("rows.jsonl", "more.jsonl")
    )
    project.write("data/more.jsonl", '{"id": "m", "text": "more"}\n')
    project.write("pipelines/_part.yaml", "prompt: hello\n")
    project.write(".github/workflows/ci.yml", "name: ci\non: push\njobs: {}\n")
    project.write("broken.yaml", "name: broken\nsource: nowhere.jsonl\nprompt: '{{'\n")
    for spec in ("tickets", "same", "rows"):
        project.run(f"pipelines/{spec}.yaml")
    project.branch()
    assert made().sides == {}
    project.write("pipelines/prompts/ask.j2", "Say: {{ text | upper }}")
    assert sorted(made().sides) == [
        f"pipelines/{name}.yaml" for name in ("rows", "same", "tickets")
    ]
    project.write("pipelines/prompts/ask.j2", FILES["pipelines/prompts/ask.j2"])
    project.write("data/more.jsonl", '{"id": "m", "text": "most"}\n')
    assert sorted(made().sides) == ["pipelines/rows.yaml"]


def test_a_new_spec_has_nothing_on_the_old_side(project: Project) -> None:
    project.branch()
    project.write("pipelines/fresh.yaml", SPEC.replace("tickets", "fresh"))
    project.run("pipelines/fresh.yaml")
    seen = made()
    (sides,) = seen.sides.values()

    assert sides.is_new
    assert (sides.old.records, sides.new.records) == (0, 3)


@pytest.mark.parametrize(
    ("named", "patterns"),
    [([TICKETS], []), ([], []), ([], ["pipelines/*.yaml"]), ([], ["**/*.y*l"])],
)
def test_a_deleted_spec_has_nothing_on_the_new_side(
    project: Project, named: list[str], patterns: list[str]
) -> None:
    project.run()
    project.branch()
    (project.folder / TICKETS).unlink()
    (sides,) = made(*named, patterns=patterns).sides.values()

    assert sides.is_deleted
    assert (sides.old.records, sides.new.records) == (3, 0)


def test_a_pattern_that_nothing_fits_is_refused(project: Project) -> None:
    project.branch()
    with pytest.raises(UserError, match=r"no file fits 'specs/.*neither now nor in the base"):
        made(patterns=["specs/*.yaml"])


def test_a_spec_that_was_wrong_and_is_mended_has_nothing_on_the_old_side(project: Project) -> None:
    project.write(TICKETS, SPEC + "promt: x\n")
    project.branch()
    project.write(TICKETS, SPEC)
    project.run()
    (sides,) = made().sides.values()

    assert sides.trouble is not None
    assert sides.trouble.startswith("pipelines/tickets.yaml:9:1: promt: unknown key")
    assert (sides.old.records, sides.new.records) == (0, 3)


def test_a_spec_that_is_wrong_now_is_said(project: Project) -> None:
    project.branch()
    project.write(TICKETS, SPEC.replace("prompt:", "promt:"))
    with pytest.raises(SpecError, match="promt"):
        made()


# --- git ------------------------------------------------------------------------------------------


def test_the_base_is_where_the_branch_began(project: Project) -> None:
    project.run()
    project.branch()
    began = project.git("rev-parse", "HEAD")
    project.git("checkout", "-q", "main")
    project.write("data/rows.jsonl", "")
    project.commit("main went on")
    project.git("checkout", "-q", "work")

    assert made(TICKETS).commit == began


def test_nothing_is_left_in_the_repository_and_no_hook_is_run(project: Project) -> None:
    project.run()
    project.branch()
    for hook in ("post-checkout", "post-index-change", "reference-transaction"):
        path = project.folder / ".git" / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text('#!/bin/sh\necho ran >> "$(dirname "$0")/../ran"\n')
        path.chmod(0o755)
    before = sorted(str(path) for path in (project.folder / ".git").rglob("*"))
    made(TICKETS)

    assert sorted(str(path) for path in (project.folder / ".git").rglob("*")) == before
    assert project.git("status", "--porcelain") == ""


def test_works_from_a_folder_below_and_inside_a_hook(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run()
    project.branch()
    monkeypatch.chdir(project.folder / "pipelines")
    monkeypatch.setenv("GIT_DIR", "somewhere/else")
    monkeypatch.setenv("GIT_INDEX_FILE", "somewhere/index")

    assert list(made("tickets.yaml").sides) == ["tickets.yaml"]


def test_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UserError, match="is in no git repository; compare two results files"):
        made()


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        ("nowhere", "git knows no such revision; name a branch or a commit"),
        ("--all", "that is no revision"),
        ("", "that is no revision"),
        ("main:pipelines", "git knows no such revision"),
    ],
)
def test_unknown_revisions(project: Project, revision: str, said: str) -> None:
    project.branch()
    with pytest.raises(UserError, match=said):
        made(TICKETS, revision=revision)


def test_a_branch_that_only_the_remote_has(project: Project, tmp_path: Path) -> None:
    project.branch()
    project.git("clone", "-q", str(project.folder), str(tmp_path / "clone"))
    os.chdir(tmp_path / "clone")
    with pytest.raises(UserError, match="did you mean 'origin/main'"):
        made(TICKETS)


@pytest.mark.parametrize("branches", [("main", "work"), ("work",)])
def test_a_shallow_clone_says_how_to_get_a_whole_one(
    project: Project, tmp_path: Path, branches: tuple[str, ...]
) -> None:
    project.branch()
    project.write("note", "1")
    project.commit()
    clone = tmp_path / "clone"
    project.git(
        "clone", "-q", "--depth", "1", "--branch", "work", f"file://{project.folder}", str(clone)
    )
    if "main" in branches:
        subprocess.run(
            ["git", "fetch", "-q", "--depth", "1", "origin", "main:main"], cwd=clone, check=True
        )
    os.chdir(clone)
    with pytest.raises(UserError, match="fetch-depth: 0"):
        made(TICKETS)


def test_a_branch_without_anything_in_common(project: Project) -> None:
    project.branch()
    project.git("checkout", "-q", "--orphan", "apart")
    project.commit()
    with pytest.raises(UserError, match="no commit in common with HEAD"):
        made(TICKETS)


def test_a_repository_without_a_commit(project: Project) -> None:
    with pytest.raises(UserError, match="git knows no such revision"):
        made(TICKETS)


def test_specs_that_are_nowhere(project: Project, tmp_path: Path) -> None:
    project.branch()
    with pytest.raises(UserError, match="neither now nor in the base"):
        made("pipelines/nothing.yaml")


def test_rows_from_standard_input_cannot_be_read_twice(project: Project) -> None:
    project.write(TICKETS, SPEC.replace("path: ../data/rows.jsonl", "path: '-', format: jsonl"))
    project.branch()
    with pytest.raises(UserError, match="standard input"):
        made(TICKETS)


# --- ends -----------------------------------------------------------------------------------------


SLOW = "import time\n\ndef shape(text):\n    time.sleep(60)\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("slow", ["old", "new"])
def test_nothing_is_left_behind_when_interrupted(project: Project, number: int, slow: str) -> None:
    project.run()
    project.results().unlink()
    shapes = (SLOW, FILES["pipelines/shaping.py"])
    before, after = shapes if slow == "old" else shapes[::-1]
    project.write("pipelines/shaping.py", before)
    project.commit("before")
    project.write("pipelines/shaping.py", after)
    script = (
        "import os, sys\nfrom dbrun.diff.sides.base import Overlay, sides_since\n"
        "with sides_since('main', sys.argv[1:], Overlay(), os.environ):\n    pass\n"
    )
    scratch = Path(tempfile.gettempdir())
    process = subprocess.Popen(
        [sys.executable, "-c", script, TICKETS],
        env={**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
    )
    begun = time.monotonic() + 60
    under_way = f"dbrun-diff-*/{slow}/{TICKETS}/results.jsonl"
    while not list(scratch.glob(under_way)) and time.monotonic() < begun:
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)

    assert process.returncode != 0
    assert list(scratch.iterdir()) == [], said


# --- trouble --------------------------------------------------------------------------------------


def test_results_that_cannot_be_read_give_way_to_a_replay(project: Project) -> None:
    project.run()
    project.write("out/tickets.jsonl", "not json\n")
    project.branch()
    project.run()
    seen = made(TICKETS)

    assert outputs(seen.old[TICKETS])["a"] == "the a is broken."
    assert "out/tickets.jsonl:1" in (seen.sides[TICKETS].old.trouble or "")
    assert not seen.sides[TICKETS].old.has_results


def test_results_stand_for_a_spec_whose_rows_are_gone(project: Project) -> None:
    project.run()
    (project.folder / "data" / "rows.jsonl").unlink()
    project.branch()
    project.write("data/other.jsonl", FILES["data/rows.jsonl"])
    project.write(TICKETS, SPEC.replace("rows.jsonl", "other.jsonl"))
    seen = made(TICKETS)

    assert outputs(seen.old[TICKETS])["a"] == "the a is broken."
    assert "rows.jsonl" in (seen.sides[TICKETS].old.trouble or "")
    assert seen.sides[TICKETS].old.has_results


def test_a_target_that_no_spec_has_is_said(project: Project) -> None:
    project.branch()
    with pytest.raises(SpecError, match="nowhere"):
        made(overlay=Overlay(target="nowhere"))
