"""`dbrun export` and `dbrun import`: whole files, and what is wrong with them."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dbrun.cli.main import main
from dbrun.client.journal.lock import locked
from dbrun.registry import Registry
from dbrun.report.reading import records

Said = Callable[[], str]

RECORDS: list[dict[str, Any]] = [
    {
        "id": "a",
        "status": "ok",
        "output": "Hi.",
        "usage": {"input_tokens": 3, "output_tokens": 1},
        "row": {"n": 1, "label": "x"},
        "scores": {"right": {"value": True}},
    },
    {"id": "b", "status": "ok", "output": {"name": "Ada"}, "row": {"n": 2, "label": "y"}},
    {
        "id": "c",
        "status": "error",
        "output": None,
        "error": {"class": "timeout", "message": "too slow", "retryable": True},
        "row": {"n": 3, "label": "z"},
    },
    {"id": "d", "status": "filtered", "output": None, "row": {"n": 4, "label": "é \udc80"}},
]
CHAT = {"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}]}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "r.jsonl", RECORDS)
    return tmp_path


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return lambda: capsys.readouterr().err


def write(path: Path, lines: Sequence[Any]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def read(path: Path) -> list[dict[str, Any]]:
    return list(records(str(path), Registry()))


def batch(custom_id: str, content: str = "Hi.") -> dict[str, Any]:
    body = {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}
    return {"custom_id": custom_id, "response": {"status_code": 200, "body": body}}


def test_case(**fields: Any) -> dict[str, Any]:
    return {
        "testIdx": 0,
        "promptIdx": 0,
        "vars": {"id": "a"},
        "provider": {"id": "p"},
        "prompt": {"label": "q"},
        "response": {"output": "Hi."},
        **fields,
    }


test_case.__test__ = False  # type: ignore[attr-defined]


# --- There and back -----------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
@pytest.mark.parametrize("kind", ["openai-batch", "promptfoo"])
def test_there_and_back(here: Path, said: Said, kind: str, ending: str) -> None:
    assert main(["export", "r.jsonl", "--to", kind, "--out", f"x{ending}"]) == 0
    assert said() == f"wrote x{ending}: 4 records, 2 of them not ok\n"
    assert main(["import", f"x{ending}", "--out", "back.jsonl"]) == 0
    assert said() == "wrote back.jsonl: 4 records, 1 of them not ok (timeout 1)\n"
    rows = {"row": None} if kind == "openai-batch" else {}
    wanted = [{**record, **rows} for record in RECORDS]
    assert [{**record, **rows} for record in read(here / "back.jsonl")] == wanted
    assert sorted(path.name for path in here.iterdir()) == ["back.jsonl", "r.jsonl", f"x{ending}"]


def test_rows_are_joined_in_their_order(here: Path, said: Said) -> None:
    rows = [{"n": n, "name": name} for n, name in enumerate("dcba")]
    write(here / "rows.jsonl", rows)
    write(here / "out.jsonl", [batch("a", "A"), batch("x", "X"), batch("c", "C")])
    words = "import out.jsonl --rows rows.jsonl --id name --out back.jsonl"
    assert main(words.split()) == 0
    assert said() == (
        "wrote back.jsonl: 5 records, 2 of them not ok (unanswered 2)\n"
        "1 record of no row; at the end, without a row\n"
    )
    found = read(here / "back.jsonl")
    assert [(one["id"], one["output"], one.get("row")) for one in found] == [
        ("d", None, rows[0]),
        ("c", "C", rows[1]),
        ("b", None, rows[2]),
        ("a", "A", rows[3]),
        ("x", "X", None),
    ]


def test_rows_whose_ids_are_in_another_column(here: Path, said: Said) -> None:
    write(here / "rows.jsonl", [{"name": "a"}])
    write(here / "out.jsonl", [batch("a")])
    assert main(["import", "out.jsonl", "--rows", "rows.jsonl", "--out", "back.jsonl"]) == 0
    assert said() == (
        "wrote back.jsonl: 2 records, 1 of them not ok (unanswered 1)\n"
        "1 record of no row; at the end, without a row\n"
        "no custom_id is the id of a row: name the rows' column of ids with --id\n"
    )


def test_variants_and_repeats_of_promptfoo(here: Path) -> None:
    long = "A prompt\nof several lines"
    lines = [
        test_case(testIdx=test, provider={"id": provider}, prompt={"label": prompt})
        for test in (0, 1)
        for provider in ("p", "q")
        for prompt in ("short", long)
    ]
    write(here / "x.jsonl", [*lines, test_case(testIdx=2, vars={}, prompt={"label": "short"})])
    assert main(["import", "x.jsonl", "--out", "back.jsonl"]) == 0
    found = read(here / "back.jsonl")
    assert [(one["id"], one["variant"], one["repeat"]) for one in found[3:6]] == [
        ("a", "endpoint=q,prompt=2", 1),
        ("a", "endpoint=p,prompt=short", 2),
        ("a", "endpoint=p,prompt=2", 2),
    ]
    assert found[-1]["id"] == "2"


def test_what_is_read_twice_may_come_from_standard_input(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(here / "x.jsonl", [test_case()])
    with open(here / "x.jsonl", encoding="utf-8") as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert main(["import", "-", "--out", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["output"] == "Hi."


def test_tables(here: Path, said: Said) -> None:
    assert main(["export", "r.jsonl", "--to", "csv"]) == 0
    assert main(["export", "r.jsonl", "--to", "parquet"]) == 0
    with open(here / "r.csv", encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [(line["id"], line["output"], line["row.label"]) for line in table[:2]] == [
        ("a", "Hi.", "x"),
        ("b", '{"name": "Ada"}', "y"),
    ]
    assert [one["id"] for one in read(here / "r.parquet")] == ["a", "b", "c", "d"]
    assert main(["export", "r.parquet", "--to", "openai-batch", "--out", "x.jsonl"]) == 0
    assert main(["import", "x.jsonl", "--out", "back.csv.gz"]) == 0
    with gzip.open(here / "back.csv.gz", "rt", encoding="utf-8") as text:
        assert next(text).startswith("id,status,output")


def test_an_evaluation_for_promptfoo(here: Path) -> None:
    assert main(["export", "r.jsonl", "--to", "promptfoo", "--out", "x.json"]) == 0
    told = json.loads((here / "x.json").read_text(encoding="utf-8"))
    assert told["results"]["version"] == 3
    assert [one["testIdx"] for one in told["results"]["results"]] == [0, 1, 2, 3]
    assert told["results"]["stats"]["errors"] == 2
    (prompt,) = told["results"]["prompts"]
    assert (prompt["metrics"]["testPassCount"], prompt["metrics"]["testErrorCount"]) == (2, 2)


def test_samples_are_of_one_variant(here: Path, said: Said) -> None:
    variants = [{**record, "variant": name} for record in RECORDS[:2] for name in ("p=1", "p=2")]
    write(here / "v.jsonl", variants)
    assert main(["export", "v.jsonl", "--to", "lm-eval"]) == 2
    assert "several variants" in said()
    words = ["export", "v.jsonl", "--to", "lm-eval", "--variant", "p=2", "--target-column", "label"]
    assert main(words) == 0
    lines = (here / "v.lm-eval.jsonl").read_text(encoding="utf-8").splitlines()
    samples = [json.loads(line) for line in lines]
    assert [(one["doc_id"], one["target"], one["right"]) for one in samples] == [
        (0, "x", 1.0),
        (1, "y", None),
    ]
    assert main([*words[:5], "p=3", "--out", "y.jsonl"]) == 2
    assert "no record is of variant 'p=3'" in said()
    assert not (here / "y.jsonl").exists()


# --- What is wrong ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([batch("a"), {"custom_id": "b", "resp": 1}], "x.jsonl:2: the line has neither"),
        ([batch("a"), [1]], "x.jsonl:2: the line is no object"),
        ([batch("a"), batch("b"), batch("a")], "x.jsonl:3: custom_id 'a' was at x.jsonl:1 already"),
        ([{"custom_id": "a", "method": "POST", "body": {}}], "x.jsonl:1: this is a request"),
        ([{**batch("a"), "dbrun": {"id": 1}}], "x.jsonl:1: its member 'dbrun' does not fit"),
        ([test_case(), test_case()], "x.jsonl:2: test 0 of this provider and prompt was at"),
        ([test_case(), {"testIdx": 1}], "x.jsonl:2: this is no result of promptfoo"),
        ([{"id": 1}], "x.jsonl:1: these are no results of OpenAI's Batch API or of promptfoo"),
        ([], "x.jsonl: there are no results to import"),
    ],
)
def test_lines_that_do_not_fit(here: Path, said: Said, lines: list[Any], told: str) -> None:
    write(here / "x.jsonl", lines)
    assert main(["import", "x.jsonl", "--out", "back.jsonl"]) == 2
    message = said()
    assert told in message
    assert message.count("\n") == 1
    assert sorted(path.name for path in here.iterdir()) == ["r.jsonl", "x.jsonl"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            json.dumps(batch("a")).encode() + b'\n{"custom_id":"b","resp',
            "x.jsonl:2: the line is no",
        ),
        (json.dumps(batch("a")).encode() + b"\n\xff\xff\n", "x.jsonl:2: the line is not UTF-8"),
        (b"\x00\x01", "x.jsonl:1: the line is no JSON"),
        (b"[" * 100_000, "x.jsonl:1: the line is no JSON"),
    ],
)
def test_files_that_are_broken(here: Path, said: Said, content: bytes, told: str) -> None:
    (here / "x.jsonl").write_bytes(content)
    assert main(["import", "x.jsonl", "--out", "back.jsonl"]) == 2
    assert told in said()
    assert not (here / "back.jsonl").exists()


def test_a_compressed_file_that_is_cut(here: Path, said: Said) -> None:
    (here / "x.jsonl.gz").write_bytes(gzip.compress(json.dumps(batch("a")).encode() * 50)[:60])
    assert main(["import", "x.jsonl.gz", "--out", "back.jsonl"]) == 3
    assert "x.jsonl.gz: cannot be read" in said()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("export s.yaml --to csv", "this is a spec, no results file"),
        ("export none.jsonl --to csv", "there is no such results file"),
        ("export r.jsonl --to csv --out r.jsonl", "it must end in .csv"),
        ("export r.jsonl --to openai-batch --out r.jsonl", "r.jsonl is what is read"),
        ("export r.jsonl --to csv --out -", "--to csv makes a file"),
        (
            "export r.jsonl --to lm-eval --out x.jsonl --target-column lable",
            "r.jsonl: the row of 'a' has no 'lable'; it has n, label; name another",
        ),
        ("export r.jsonl --to csv --target-column x", "--target-column goes with --to lm-eval"),
        ("export r.jsonl --to word", "'word' is not one of"),
        ("import none.jsonl --out x.jsonl", "none.jsonl: there is no such file"),
        ("import eval.json --out x.jsonl", "eval.json: import reads JSON Lines, not one document"),
        ("import . --out x.jsonl", ".: is a folder"),
        ("import s.yaml --out x.jsonl", "`dbrun validate s.yaml` says of a config's keys"),
        ("import b.jsonl --out b.jsonl", "b.jsonl is what is read"),
        ("import b.jsonl --out x.txt", "x.txt: the name does not fit"),
        ("import b.jsonl --out run.jsonl", "run.jsonl has the results of a run"),
        ("import b.jsonl --out x.jsonl --rows none.jsonl", "none.jsonl"),
        ("import b.jsonl --out x.jsonl --rows none", "--rows: none: the name does not tell"),
        ("import b.jsonl --out x.jsonl --rows rows.csv --id x", "the row has no 'x', which --id"),
        ("import b.jsonl --out x.jsonl --rows rows.csv --id n", "row 2 of rows.csv has the id '1'"),
        ("import p.jsonl --out x.jsonl --rows rows.csv", "results of promptfoo bring their rows"),
        (
            "import p.jsonl --out x.jsonl --id ticket",
            "p.jsonl:1: the test has no variable",
        ),
        ("import b.jsonl --from promptfoo --out x.jsonl", "this is no result of promptfoo"),
    ],
)
def test_mistakes(here: Path, said: Said, words: str, told: str) -> None:
    (here / "s.yaml").touch()
    write(here / "b.jsonl", [batch("a")])
    write(here / "p.jsonl", [test_case()])
    (here / "rows.csv").write_text("n,m\n1,2\n1,3\n")
    (here / "eval.json").write_text("{}")
    (here / "run.jsonl").touch()
    (here / "run.run.json").write_text('{"results": {"path": "run.jsonl"}}')
    assert main(words.split()) == 2
    message = said()
    assert told in message
    assert not (here / "x.jsonl").exists()
    assert not list(here.glob("*.partial*"))


def test_what_killed_exports_left_is_cleared_away(here: Path) -> None:
    """Unlike what another one is writing just now."""
    for number in (1, 2):
        (here / f"x.jsonl.partial.{number}").touch()
    with locked(str(here / "x.jsonl.partial.2")):
        assert main(["export", "r.jsonl", "--to", "openai-batch", "--out", "x.jsonl"]) == 0
    assert [path.name for path in here.glob("x.*")] == ["x.jsonl", "x.jsonl.partial.2"]


ODD = [
    {"id": 1, "status": "ok"},
    {"id": "a", "status": "ok", "output": "x", "scores": [1], "error": 5, "usage": "x"},
    {"id": "b", "status": "ok", "output": "x", "scores": {"s": 1}, "variant": {"a": 1}},
    {"id": "c", "status": "ok", "output": "x", "row": [1], "raw": {"choices": 3}, "timing": 7},
    {"id": "d", "status": "error", "output": None, "error": "text"},
    {"id": "e", "status": "error", "output": None, "error": {"message": ["x"], "status": "no"}},
    {"id": "f", "status": "error", "cost": "much", "finish_reason": 4, "request": [1]},
    {"id": "g", "status": "ok", "output": 1, "usage": {"input_tokens": "x"}, "repeat": "two"},
]


@pytest.mark.parametrize("kind", ["openai-batch", "lm-eval", "promptfoo", "csv", "parquet"])
@pytest.mark.parametrize("number", range(len(ODD)))
def test_results_that_others_made_oddly(here: Path, said: Said, kind: str, number: int) -> None:
    write(here / "odd.jsonl", [ODD[number]])
    assert main(["export", "odd.jsonl", "--to", kind]) == 0
    assert ": 1 record" in said()


def test_keys_of_requests_belong_into_a_journal(here: Path, said: Said) -> None:
    write(here / "x.jsonl", [batch("a" * 64)])
    assert main(["import", "x.jsonl", "--out", "back.jsonl"]) == 0
    assert "dbrun journal SPEC --import FILE" in said()


def test_imported_answers_are_judged_as_the_manual_has_it(here: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "interop.md").read_text(encoding="utf-8")
    (here / "pyproject.toml").touch()
    (here / "pipelines").mkdir()
    (here / "pipelines" / "functions.py").write_text("def as_given(prompt):\n    return prompt\n")
    (here / "pipelines" / "judged.yaml").write_text(page.split("```yaml\n")[1].split("```")[0])
    write(here / "rows.jsonl", [{"id": "a", "label": "Hi."}, {"id": "b", "label": "No."}])
    write(here / "x.jsonl", [batch("b"), batch("a")])
    assert (
        main(
            ["import", "x.jsonl", "--rows", "rows.jsonl", "--id", "id", "--out", "out/batch.jsonl"]
        )
        == 0
    )
    assert main(["run", "pipelines/judged.yaml", "--quiet"]) == 0
    found = read(here / "out" / "judged.jsonl")
    assert [(one["id"], one["scores"]["right"]["value"]) for one in found] == [
        ("a", True),
        ("b", False),
    ]


def test_imported_results_make_a_report(here: Path, said: Said) -> None:
    write(here / "x.jsonl", [batch("a"), {"custom_id": "b", "error": {"code": "batch_expired"}}])
    assert main(["import", "x.jsonl", "--out", "back.jsonl"]) == 0
    assert main(["report", "back.jsonl"]) == 0
    assert "wrote back.html: 2 records" in said()


def test_the_example_of_a_mistake_in_the_manual_is_what_is_said(here: Path, said: Said) -> None:
    page = (Path(__file__).parents[2] / "docs" / "interop.md").read_text(encoding="utf-8")
    write(here / "output.jsonl", [batch("T-1"), batch("T-2"), batch("T-1")])
    assert main(["import", "output.jsonl", "--out", "back.jsonl"]) == 2
    assert said() in page


def test_imported_results_are_compared(
    here: Path, said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    """What came back is what went out; and what a batch answered is paired by id."""
    assert main(["export", "r.jsonl", "--to", "promptfoo", "--out", "x.jsonl"]) == 0
    assert main(["import", "x.jsonl", "--out", "back.jsonl"]) == 0
    assert main(["diff", "r.jsonl", "back.jsonl", "--format", "json"]) == 0
    assert "another output" not in capsys.readouterr().out
    write(here / "y.jsonl", [batch("a", "Hello.")])
    assert main(["import", "y.jsonl", "--out", "other.jsonl"]) == 0
    assert main(["diff", "r.jsonl", "other.jsonl"]) == 0
    assert "[-Hi-]" in capsys.readouterr().out
