"""The forms in which a comparison is told: nothing foreign is markup, nothing is too long."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from diff.conftest import Results, record
from jsonschema import Draft202012Validator
from markdown_it import MarkdownIt

from dbrun.diff import html, markdown, text
from dbrun.diff import json as data
from dbrun.diff.model import Comparison, Options
from dbrun.report.words import visible
from dbrun.spec.schema import read_schema

SCHEMA = Draft202012Validator(read_schema("diff"))
HOSTILE = [
    "</pre></code><script>alert(1)</script><img src=x onerror=alert(1)>",
    "@everyone #123 GH-7 me/you#8 https://example.com/ www.example.com a@b.example",
    "| a | b |\n|---|---|\n\n# title\n\n- item\n\n```\ncode\n```\n\n    indented",
    "**bold** _it_ ~~gone~~ `code` [link](http://x.example) ![i](x) <!-- --> &lt; \\* $x$ :tada:",
    "\x00\x1b[31mred\u202egnp.exe\u2066\ud800",
    "</details>\n\n<details open><summary>fooled</summary>\n\n",
    "{{ 7 * 7 }} {% raw %}",
]
OURS = {"p", "pre", "code", "del", "ins", "br", "details", "summary", "h3", "ul", "li", "table"}
OURS |= {"thead", "tbody", "tr", "th", "td"}


class Seen(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.text = ""
        self.outside = ""
        self.depth = 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.depth += tag in ("pre", "code")

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag in ("pre", "code")

    def handle_data(self, data: str) -> None:
        self.text += data
        if not self.depth:
            self.outside += data


def rendered(comment: str) -> Seen:
    """A comment as GitHub's kind of Markdown makes it a page."""
    return Seen(
        MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(comment)
    )


@pytest.fixture
def hostile(results: Results) -> Comparison:
    """A comparison in which everything foreign is hostile."""
    old, new = [], []
    for number, one in enumerate(HOSTILE):
        scores: dict[str, Any] = {one: {"value": 1, "explanation": one}}
        old.append(record(f"{number}{one}", one, variant=one, scores=scores))
        worse: dict[str, Any] = {one: {"value": 0, "explanation": one}}
        new.append(record(f"{number}{one}", f"{one} new {one}", variant=one, scores=worse))
        old.append(record(f"f{one}", one, variant=one))
        new.append({**record(f"f{one}", variant=one, error="timeout"), "error": {"message": one}})
        new.append(record(f"n{one}", one, variant=one))
        old.append(record(f"o{one}", one, variant=f"gone {one}"))
    spec = {one: one for one in HOSTILE}
    manifests = (
        {"name": HOSTILE[0], "spec": spec, "target": HOSTILE[1], "cost": {"currency": HOSTILE[1]}},
        {"name": HOSTILE[2], "spec": {**spec, HOSTILE[1]: "x"}, "finished": HOSTILE[3]},
    )
    return results.compared(old, new, manifests=manifests)


def test_nothing_foreign_is_markup_in_a_comment(hostile: Comparison) -> None:
    comment = markdown.shown([hostile])
    page = rendered(comment)
    assert page.tags <= OURS
    assert not re.search(r"@\w|#\d|://|www\.\w", page.outside)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e\u2066\ud800]", comment)
    for one in HOSTILE:
        assert visible(f"n{one}") in page.text
    # Ours are balanced, so that nothing ends or folds what is not its own.
    for tag in ("details", "summary", "pre", "code", "p"):
        assert comment.count(f"<{tag}>") == comment.count(f"</{tag}>"), tag


def test_nothing_foreign_is_markup_in_a_page(hostile: Comparison) -> None:
    made = "".join(html.pieces([hostile]))
    page = Seen(made)
    assert not page.tags & {"img", "i", "b", "a"}
    assert made.count("<script>") == 1
    assert "default-src 'none'" in made
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e\u2066\ud800]", made)
    for one in HOSTILE:
        assert visible(f"n{one}") in page.text
    assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?(http|//)""", made.split("<body>")[0])


def test_nothing_foreign_steers_a_terminal(hostile: Comparison) -> None:
    said = text.shown([hostile], width=80)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e\u2066\ud800]", said)
    assert "⟨U+001B⟩[31mred" in said


def test_lines_fit_the_width(results: Results) -> None:
    old = [record(f"{n}", "word " * 50 + "x" * 200, scores={"a_score": n}) for n in range(9)]
    new = [record(f"{n}", "other " * 50 + "y" * 200, scores={"a_score": n / 3}) for n in range(9)]
    for width in (80, 110):
        lines = text.shown([results.compared(old, new)], width=width).splitlines()
        assert max(map(len, lines)) <= width
    plain = text.shown([results.compared(old, new)])
    coloured = text.shown([results.compared(old, new)], colour=True)
    unpainted = re.sub(r"\x1b\[[\d;]*m", "", coloured)
    assert [line.rstrip() for line in unpainted.splitlines()] == plain.splitlines()
    assert "\x1b[31m" in coloured


def test_json_has_everything(hostile: Comparison) -> None:
    said = json.loads(data.shown([hostile]))
    SCHEMA.validate(said)
    (one,) = said["comparisons"]
    assert said["version"] == 1
    assert one["counts"]["failing"] == len(HOSTILE) == len(one["parts"])
    assert {row["new"]["output"] for row in one["rows"]} >= {f"{x} new {x}" for x in HOSTILE}
    assert {found["what"] for found in one["regressions"]} == {"rows"}
    assert one["new"]["name"] == HOSTILE[2]


def test_json_is_what_its_schema_says(results: Results) -> None:
    SCHEMA.validate(json.loads(data.shown([big(results)])))
    assert not SCHEMA.is_valid({"version": 1, "comparisons": [{}]})


def big(results: Results, number: int = 200) -> Comparison:
    old = [
        record(f"{n}", f"{n} <b> 🎈 " * 15, scores={f"s{k}": n + k for k in range(9)})
        for n in range(number)
    ]
    new = [
        record(f"{n}", f"{n} <i> 🎈 " * 15, scores={f"s{k}": n + k - n % 7 for k in range(9)})
        if n % 3
        else record(f"{n}", error="timeout")
        for n in range(number)
    ]
    manifests = ({"spec": {f"k{n}": "x" * 200 for n in range(300)}}, {"spec": {"k": 1}})
    return results.compared(old, new, Options(rows=100), manifests=manifests)


@pytest.mark.parametrize("most", [1_500, 5_000, 60_000])
@pytest.mark.parametrize("copies", [1, 3, 200])
def test_a_comment_is_never_too_long(results: Results, most: int, copies: int) -> None:
    found = big(results)
    comment = markdown.shown([found] * copies, most=most)
    assert len(comment.encode("utf-16-le")) // 2 <= most
    assert rendered(comment).tags <= OURS
    for tag in ("details", "pre", "code"):
        assert comment.count(f"<{tag}>") == comment.count(f"</{tag}>")
    assert "67 records were ok and are not" in comment
    assert ("for which there is no room" in comment) == (
        copies == 200 or (copies, most) == (3, 1_500)
    )


def test_what_does_not_fit_is_counted(results: Results) -> None:
    comment = markdown.shown([big(results)])
    folded = comment.split("<summary>67 records that were ok and are not</summary>")[1]
    folded = folded.split("</details>")[0]
    shown = folded.count("<pre>")
    (more,) = re.findall(r"^and (\d+) more$", folded, re.MULTILINE)
    assert 0 < shown < 67
    assert shown + int(more) == 67


def test_comparisons_with_regressions_come_first(results: Results) -> None:
    good = results.compared([record("a")], [record("a")], manifests=({}, {"name": "good"}))
    bad = results.compared(
        [record("a")], [record("a", error="timeout")], manifests=({}, {"name": "bad"})
    )
    comment = markdown.shown([good, bad])
    assert comment.index("bad") < comment.index("good")
    assert comment.startswith("### <code>bad</code>: 1 regression\n")


def test_costs_and_tokens_are_told(results: Results) -> None:
    old = [record("a", usage={"input_tokens": 1000, "output_tokens": 20}, cost=0.5)]
    new = [record("a", usage={"input_tokens": 1500, "output_tokens": 20}, cost=0.25)]
    told = {"cost": {"currency": "EUR"}, "latency": {"p50": 0.004, "p90": 75.0}}
    said = text.shown([results.compared(old, new, manifests=(told, told))])
    lines = [re.sub(r"  +", " | ", line.strip()) for line in said.splitlines()]
    assert "tokens in | 1,000 (1,000.0 each) | 1,500 (1,500.0 each) | +500 (+50.0%)" in lines
    assert "tokens out | 20 (20.0 each) | 20 (20.0 each) | none" in lines
    assert "cost | 0.5000 EUR | 0.2500 EUR | -0.2500 EUR (-50.0%)" in lines
    assert "latency p50 | 4 ms | 4 ms | none" in lines
    assert "latency p90 | 1 min 15 s | 1 min 15 s | none" in lines


def test_numbers_beyond_all_measure_are_told(results: Results) -> None:
    old = [record(f"{n}", scores={"s": 1.7e308}) for n in range(2)]
    found = results.compared(old, [record(f"{n}", scores={"s": -1.7e308}) for n in range(2)])
    assert "the numbers are too large" in text.shown([found])
    assert "Infinity" not in data.shown([found])
    assert "too large" in markdown.shown([found])
