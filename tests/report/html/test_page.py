"""`dbrun report`: what is in the page, and that nothing in it is more than text."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import tracemalloc
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from dbrun.cli.main import main
from dbrun.report.html.blocks import Blocks, script_json
from dbrun.report.html.records import LONGEST_TEXT, clipped
from dbrun.report.html.sides import Side

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    "a\x00b\x07c\x1b[31m\x7f\x85",
    "\u202egnp.exe\u2066",
    "\u2028\u2029\ufeff",
    "\ud800 alone",
    "{{ 7 * 7 }} {% raw %} ]]> &lt;b&gt; \" ' `",
]


class Page(HTMLParser):
    """A page as an HTML parser sees it: elements, texts, scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.texts: list[str] = []
        self._open: dict[str, str | None] | None = None
        self._data = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self._open, self._data = dict(attrs), ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and self._open is not None:
            self.scripts.append((self._open, self._data))
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self._data += data
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All that a person reads."""
        return " ".join(" ".join(self.texts).split())

    @property
    def about(self) -> dict[str, Any]:
        (found,) = [data for given, data in self.scripts if given.get("id") == "about"]
        return dict(json.loads(found))

    @property
    def records(self) -> list[dict[str, Any]]:
        """As the program in the page reads them."""
        found = []
        for given, data in self.scripts:
            if given.get("class") == "rows":
                if given["type"] == "text/plain":
                    data = zlib.decompress(base64.b64decode(data)).decode()
                found += json.loads(data)
        return found


def ok(row_id: str, output: Any = "yes", **more: Any) -> dict[str, Any]:
    return {"id": row_id, "status": "ok", "output": output, **more}


def failed(row_id: str, kind: str = "timeout", **more: Any) -> dict[str, Any]:
    error = {"class": kind, "message": "no answer", "status": None, "retryable": True}
    return {"id": row_id, "status": "error", "output": None, "error": error, **more}


def write(path: Path, records: list[dict[str, Any]], manifest: Any = None) -> str:
    text = "".join(json.dumps(record) + "\n" for record in records)
    path.write_text(text, encoding="utf-8")
    if manifest is not None:
        beside = path.with_name(path.name.split(".")[0] + ".run.json")
        beside.write_text(json.dumps(manifest), encoding="utf-8")
    return str(path)


def made(*words: str) -> Page:
    assert main(["report", *words]) == 0
    out = words[words.index("--out") + 1] if "--out" in words else None
    path = Path(out) if out else Path(words[0]).with_suffix(".html")
    return Page(path.read_text(encoding="utf-8"))


def test_a_page_has_every_record_and_lies_beside_the_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [ok("a", {"deep": [1, None]}, usage={"output_tokens": 3}), failed("b")]
    path = write(tmp_path / "r.jsonl", records)
    page = made(path)
    assert [{**one, "side": 0} for one in records] == page.records
    assert "There is no manifest" in page.text
    assert capsys.readouterr().err.startswith(f"wrote {tmp_path}/r.html: 2 records, ")


def test_what_the_manifest_tells_is_told(tmp_path: Path) -> None:
    manifest = {
        "name": "tickets",
        "run": "20261122T201538Z-3f9c",
        "counts": {"rows": 2},
        "tokens": {"answers": {"input_tokens": 1200, "output_tokens": 34}},
        "cost": {"currency": "EUR", "answers": 1.25, "spent": 1},
        "latency": {"p50": 0.5, "p90": 1.5},
        "requests": {"sent": 7, "reused": 3},
        "scores": {
            "right": {"mean": 0.75, "count": 2, "failed": 0, "better": "lower", "error": 0.1}
        },
        "endpoints": [{"adapter": "databricks", "name": "chat", "models": {"llama-7": 2}}],
        "limits": [{"endpoint": "chat", "history": [[0, 8, "start"]]}],
        "spec": {"name": "tickets", "prompt": "<b>{{ text }}"},
    }
    page = made(write(tmp_path / "r.jsonl", [ok("a"), ok("b")], manifest))
    for said in (
        "tickets – dbrun report",
        "1,200 in, 34 out",
        "1.25 EUR",
        "1.00 EUR spent by this run",
        "half of the answers; p90 1.5 s",
        "0.75 ± 0.2",
        "sent; 3 reused",
        "databricks chat (llama-7)",
        "20261122T201538Z-3f9c",
        "<b>{{ text }}",
    ):
        assert said in page.text
    assert "There is no manifest" not in page.text
    assert page.about["better"] == {"right": "lower"}
    assert page.about["files"][0]["limits"] == manifest["limits"]


@pytest.mark.parametrize(
    "manifest",
    [
        {},
        {"name": 7, "counts": [], "tokens": 1, "cost": "much", "latency": {"p50": "fast"}},
        {"variants": [], "scores": {"x": 3, "y": {"mean": "high"}}, "endpoints": {}, "limits": 1},
        {"variants": {"v": 1}, "versions": None, "git": [], "selection": [], "spec": 3},
        {"requests": {"sent": None}, "cost": {"answers": 1}, "seconds": "long", "run": {}},
        [],
    ],
)
def test_manifests_of_other_ages_and_makers_are_borne(tmp_path: Path, manifest: Any) -> None:
    page = made(write(tmp_path / "r.jsonl", [ok("a")], manifest))
    assert len(page.records) == 1


def test_a_manifest_of_another_run_is_told(tmp_path: Path) -> None:
    page = made(write(tmp_path / "r.jsonl", [ok("a")], {"counts": {"rows": 9}}))
    assert "The manifest tells of 9 records, here are 1" in page.text


@pytest.mark.parametrize("bad", HOSTILE)
def test_what_rows_and_models_write_stays_text(tmp_path: Path, bad: str) -> None:
    names = [bad, f"other {bad}"]
    records = [
        ok(
            bad,
            bad,
            variant=name,
            row={bad: bad},
            scores={bad: {"value": True, "explanation": bad}},
        )
        for name in names
    ] + [failed("f", bad, variant=names[0])]
    manifest = {
        "name": bad,
        "spec": {bad: [bad]},
        "variants": {name: {"scores": {bad: {"mean": 0.5, "better": bad}}} for name in names},
        "endpoints": [{"adapter": bad, "name": bad}],
        "limits": [{"endpoint": bad, "history": [[0, 1, bad]]}],
        "cost": {"currency": bad, "answers": 1},
    }
    path = write(tmp_path / "r.jsonl", records, manifest)
    calm = made(write(tmp_path / "calm.jsonl", [ok("a")]))
    page = made(path)

    assert [{**one, "side": names.index(one["variant"])} for one in records] == page.records
    assert [side["variant"] for side in page.about["sides"]] == names
    kinds = [given.get("type") for given, _ in page.scripts]
    assert kinds == ["application/json", "application/json", None, None]
    assert [data for given, data in page.scripts if not given] == [
        data for given, data in calm.scripts if not given
    ]
    assert not {"img", "iframe", "object", "link", "base"} & {tag for tag, _ in page.tags}
    for _, given in page.tags:
        assert not [name for name in given if name.startswith("on")]
        assert not set(given) & {"src", "srcdoc"}
        assert given.get("href", "#grid") == "#grid"
    unseen = set(map(chr, [*range(9), *range(14, 32), 127, 0x85, 0x202E, 0x2066, 0xFEFF]))
    assert not unseen & set("".join(page.texts))


def test_the_page_forbids_itself_the_network_and_other_programs(tmp_path: Path) -> None:
    page = made(write(tmp_path / "r.jsonl", [ok("a")]))
    (policy,) = [given["content"] for _, given in page.tags if "http-equiv" in given]
    assert policy is not None
    assert "default-src 'none'" in policy
    own = [data for given, data in page.scripts if not given]
    assert len(own) == 2
    for data in own:
        digest = base64.b64encode(hashlib.sha256(data.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_several_results_are_compared(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    one = write(old / "r.jsonl", [ok("a", "one"), failed("b")], {"name": "tickets"})
    two = write(tmp_path / "r.jsonl", [ok("a", "two", variant="x"), ok("a", "3", variant="y")])
    page = made(one, two, "--out", str(tmp_path / "both.html"))
    assert [side["file"] for side in page.about["sides"]] == [0, 1, 1]
    labels = [side["label"] for side in page.about["sides"]]
    assert labels[0].endswith("old/r.jsonl")
    assert [label.rpartition(" · ")[2] for label in labels[1:]] == ["x", "y"]
    assert [one["side"] for one in page.records] == [0, 0, 1, 2]
    assert "Side by side" in page.text
    assert main(["report", one, two]) == 0
    assert (old / "report.html").exists()


def test_results_of_every_format_are_read(tmp_path: Path) -> None:
    record = ok("1", "yes", usage={"output_tokens": 2}, scores={"s": {"value": 0.5}})
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress((json.dumps(record) + "\n").encode()))
    (tmp_path / "b.csv").write_text(
        'id,status,output,usage,scores,error,cost\r\n1,ok,yes,"{""output_tokens"":2}",'
        '"{""s"":{""value"":0.5}}",,0.25\r\n2,error,,,,"{""class"":""timeout""}",\r\n'
    )
    out = str(tmp_path / "p.html")
    assert made(str(tmp_path / "a.jsonl.gz"), "--out", out).records == [{**record, "side": 0}]
    page = made(str(tmp_path / "b.csv"), "--out", out)
    assert page.records == [
        {**record, "cost": 0.25, "side": 0},
        {"id": "2", "status": "error", "output": None, "error": {"class": "timeout"}, "side": 0},
    ]


def test_no_records_make_a_page_too(tmp_path: Path) -> None:
    page = made(write(tmp_path / "r.jsonl", []))
    assert page.records == []
    assert "There are no records" in page.text


def test_standard_output_takes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", write(tmp_path / "r.jsonl", [ok("a")]), "--out", "-"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert len(Page(said.out).records) == 1


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("gone.jsonl", None, "there is no such results file"),
        ("s.yaml", "name: x", "this is a spec"),
        ("r.run.json", "{}", "this is a manifest"),
        ("r.toml", "x", "the name does not tell the format"),
        ("r.jsonl", "not json\n", "r.jsonl:1: not JSON"),
        ("r.jsonl", '{"text":"a row"}\n', "record 1 has no id of dbrun's"),
        ("r.jsonl", '{"id":"a","status":"fine"}\n', "record 1 has no status of dbrun's"),
    ],
)
def test_what_is_no_results_file_is_refused(
    tmp_path: Path,
    name: str,
    text: str | None,
    complaint: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    assert main(["report", str(path)]) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert len(said.splitlines()) == 1
    assert not list(tmp_path.glob("*.html*"))


def test_a_page_is_not_written_over_what_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "r.jsonl", [ok("a")])
    for out, complaint in ((path, "among the results"), (str(tmp_path), "no regular file")):
        assert main(["report", path, "--out", out]) == 2
        assert complaint in capsys.readouterr().err
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    assert main(["report", path, "--out", str(notes)]) == 2
    assert notes.read_text() == "mine"


def test_many_records_make_a_small_page_in_little_memory() -> None:
    tracemalloc.start()
    try:
        with Blocks() as blocks:
            for number in range(100_000):
                blocks.add(ok(f"T-{number}", f"the answer to question {number}", row={"n": number}))
            size = sum(map(len, blocks.elements()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert blocks.kept == 100_000
    assert size < 4_000_000
    assert peak < 8_000_000


def test_blocks_begin_plain_and_go_on_packed() -> None:
    with Blocks() as blocks:
        for number in range(30):
            blocks.add(ok(str(number), f"{number} </script>" * 10_000))
        page = Page("".join(blocks.elements()))
    kinds = [given["type"] for given, _ in page.scripts]
    assert kinds == sorted(kinds)
    assert set(kinds) == {"application/json", "text/plain"}
    assert [one["id"] for one in page.records] == [str(number) for number in range(30)]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), None),
        (1 << 53, str(1 << 53)),
        (-(1 << 53) + 1, -(1 << 53) + 1),
        (True, True),
        ([{"a": (1, 2)}], [{"a": [1, 2]}]),
        ("x" * (LONGEST_TEXT + 3), "x" * LONGEST_TEXT + "… (3 more characters)"),
        (list(range(502)), [*range(500), "… (2 more)"]),
    ],
)
def test_values_are_made_fit_for_a_page(value: Any, shown: Any) -> None:
    assert clipped(value) == shown
    script_json(clipped(value))


def test_values_of_any_depth_end() -> None:
    value: Any = "end"
    for _ in range(5000):
        value = [value]
    assert "…" in script_json(clipped(value))


def test_a_side_counts() -> None:
    side = Side(0, None)
    side.count(ok("a", scores={"s": {"value": True}}, usage={"output_tokens": 2}, cost=0.5))
    side.count(ok("b", scores={"s": {"value": None}}, finish_reason="length", cost=0.25))
    side.count(failed("c", "timeout"))
    assert side.counts == {"rows": 3, "ok": 2, "error": 1, "truncated": 1}
    assert side.errors == {"timeout": 1}
    assert side.tokens == {"output_tokens": 2}
    assert side.cost == 0.75
    assert side.scores() == {"s": {"mean": 1.0, "count": 1, "failed": 1}}
