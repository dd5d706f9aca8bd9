"""What a spec asks for: every request of every row, and which rows cannot be told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import dbrun
from dbrun.client.journal import Journal
from dbrun.errors import SourceError, UserError
from dbrun.run.offline.survey import MOST_NAMED, Survey, Trouble, surveying
from dbrun.run.opening import Surroundings

SPEC = """\
name: shout
source: {path: rows.jsonl, id: id}
endpoint: {adapter: python, function: "functions:shout"}
steps:
  - {name: one, prompt: "{{ text }}"}
  - {name: two, prompt: "{{ steps.one.output }}!", when: "text != 'short'"}
sink: out/shout.jsonl
"""
FUNCTIONS = """\
def shout(prompt):
    if prompt == "bad":
        raise ValueError("no")
    return prompt.upper()

def none_of_it(row):
    return None if row["text"] == "short" else row
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    texts = ["one", "short", "bad", "two"]
    rows = "".join(f'{{"id":"r{n}","text":"{text}"}}\n' for n, text in enumerate(texts))
    (tmp_path / "rows.jsonl").write_text(rows)
    (tmp_path / "spec.yaml").write_text(SPEC)
    return tmp_path / "spec.yaml"


@contextmanager
def survey_of(path: Path, **options: object) -> Iterator[Survey]:
    spec = dbrun.load(path).spec
    around = Surroundings(environ={})
    with (
        Journal.open(spec.journal.path, mode="replay", writable=False) as journal,
        surveying(spec, around, journal, **options) as survey,  # type: ignore[arg-type]
    ):
        yield survey


def asked(survey: Survey) -> list[tuple[str, int, int, bool]]:
    return [(one.id, one.step, one.turn, one.answered) for one in survey.asked()]


def test_before_a_run_the_first_steps_are_known(path: Path) -> None:
    with survey_of(path) as survey:
        assert asked(survey) == [(f"r{n}", 0, 0, False) for n in range(4)]
        assert survey.rows == 4
        assert survey.unfinished.count == 4
        assert survey.unrendered.count == 0
        assert survey.asks_in_turn


def test_after_a_run_all_are_known_but_those_after_a_failure(path: Path) -> None:
    dbrun.load(path).run()
    with survey_of(path) as survey:
        for _ in range(2):  # as often as one likes
            assert asked(survey) == [
                ("r0", 0, 0, True),
                ("r0", 1, 0, True),
                ("r1", 0, 0, True),
                ("r2", 0, 0, False),
                ("r3", 0, 0, True),
                ("r3", 1, 0, True),
            ]
            assert survey.unfinished.count == 1
            assert survey.unfinished.named[0].startswith("row r2: unanswered: ")


def test_keys_and_bodies_are_those_of_a_run(path: Path) -> None:
    run = dbrun.load(path, overrides=["sink.add=[request]"]).run()
    sent = {
        step["key"]
        for record in run.results
        for step in (record.get("steps") or {}).values()
        if "key" in step
    }
    with survey_of(path) as survey:
        found = list(survey.asked())
    assert sent == {one.key for one in found if one.answered}
    assert found[1].body == {"prompt": "ONE!"}


@pytest.mark.parametrize(
    ("change", "row"),
    [
        (("{{ text }}", "{{ missing }}"), "r0"),
        (("output }}!", "output }}{{ missing }}!"), "r0"),
        (("\nsink", "\ntransforms: {row: 'functions:missing_key'}\nsink"), "r0"),
    ],
)
def test_rows_without_a_request_are_told(path: Path, change: tuple[str, str], row: str) -> None:
    dbrun.load(path).run()
    text = SPEC.replace(*change)
    path.write_text(text)
    functions = path.parent / "functions.py"
    functions.write_text(FUNCTIONS + "\ndef missing_key(row):\n    return row['missing']\n")
    if "{{ steps.one.output }}{{ missing" in text:
        # A module that changed has other keys: the first step must be answered to get that far.
        functions.write_text(FUNCTIONS)
    with survey_of(path) as survey:
        list(survey.asked())
    assert survey.unrendered.count
    assert survey.unrendered.named[0].startswith(f"row {row}: ")


def test_dropped_rows_ask_for_nothing(path: Path) -> None:
    path.write_text(SPEC.replace("\nsink", "\ntransforms: {row: 'functions:none_of_it'}\nsink"))
    with survey_of(path) as survey:
        assert [one.id for one in survey.asked()] == ["r0", "r2", "r3"]
    assert (survey.rows, survey.unrendered.count) == (4, 0)


def test_rows_that_cannot_be_read_again_are_refused(path: Path) -> None:
    path.write_text(SPEC.replace("rows.jsonl", "'-'"))
    with pytest.raises(UserError, match="the rows come from standard input"), survey_of(path):
        pass


def test_a_source_that_breaks_off_raises(path: Path) -> None:
    with (path.parent / "rows.jsonl").open("a") as stream:
        stream.write('{"id": "r')
    with survey_of(path) as survey, pytest.raises(SourceError, match=r"rows\.jsonl:5"):
        list(survey.asked())


def test_whoever_watches_hears_of_many_rows(path: Path) -> None:
    rows = "".join(f'{{"id":"r{number}","text":"{number}"}}\n' for number in range(1200))
    (path.parent / "rows.jsonl").write_text(rows)
    heard: list[int] = []
    with survey_of(path, watch=heard.append) as survey:
        assert len(asked(survey)) == 1200
    assert heard == [500, 1000]


def test_trouble_names_the_first_and_counts_all() -> None:
    one, other = Trouble(), Trouble()
    for number in range(MOST_NAMED - 1):
        one.add(str(number))
    for number in range(30):
        other.add(f"other {number}")
    one.join(other)
    assert one.count == MOST_NAMED + 29
    assert len(one.named) == MOST_NAMED
    assert one.named[-1] == "other 0"
