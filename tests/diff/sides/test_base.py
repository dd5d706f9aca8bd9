"""Both sides of a spec since a branch began: real git, real processes, no request."""

from __future__ import annotations

import json
import sys

import pytest
from diff.sides.conftest import made, outputs, records
from fakes.repository import FILES, SPEC, TICKETS, Project

from dbrun.diff.sides.base import Overlay
from dbrun.errors import SpecError, UserError

JUDGE = """\
  - type: judge
    name: fine
    endpoint: {adapter: python, function: "judges:fine"}
    prompt: "Is this fine? {{ output }}"
"""


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
