"""YAML text to data and places."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dbrun.errors import SpecError
from dbrun.spec import document
from dbrun.spec.document import Document, parse, read
from dbrun.spec.nodes import Node, plain


def problems_of(text: str) -> list[str]:
    """What is said of a text that cannot be read."""
    with pytest.raises(SpecError) as raised:
        parse(text, file="x.yaml", folder="/")
    return [str(problem) for problem in raised.value.problems]


@pytest.fixture(params=["as installed", "pure"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test with libyaml's parser, where it is installed, and with PyYAML's own."""
    if request.param == "pure":
        monkeypatch.setattr(document, "_EVENTS", yaml.SafeLoader)


def test_data_and_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = 'name: x\nstop: [no, "\\n"]\ntext: |\n  One\n  Two\nmore:\n  - {a: é, b: *s}\n'
    Path("x.yaml").write_text("vars: &s [1]\n" + text, encoding="utf-8")
    found = read("x.yaml")
    assert found.file == "x.yaml"
    assert found.folder == str(tmp_path)
    assert found.data == {
        "vars": [1],
        "name": "x",
        "stop": ["no", "\n"],
        "text": "One\nTwo\n",
        "more": [{"a": "é", "b": [1]}],
    }
    spans = {
        path: [(place.line, place.column, place.length) for place in places]
        for path, places in found.marks.items()
    }
    assert spans[("name",)] == [(2, 1, 4), (2, 7, 1)]
    assert spans[("stop", 0)] == [(3, 8, 2), (3, 8, 2)]
    assert spans[("stop", 1)] == [(3, 12, 4), (3, 12, 4)]
    assert spans[("text",)] == [(4, 1, 4), (4, 7, 1)]
    assert spans[("more", 0, "a")] == [(8, 6, 1), (8, 9, 1)]
    assert spans[("more", 0, "b")] == [(8, 12, 1), (8, 15, 2)]
    assert spans[("more", 0, "b", 0)] == [(1, 11, 1), (1, 11, 1)]


def test_text_may_be_given(tmp_path: Path) -> None:
    found = read(str(tmp_path / "nowhere.yaml"), "a: 1\n")
    assert found.data == {"a": 1}
    assert found.file == str(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_ends(ending: str) -> None:
    text = ending.join(["\ufeffa: 1", "b:", "  - c", "b: 2", ""])
    assert problems_of(text) == [
        "x.yaml:4:1: b: the key 'b' is here twice, first on line 2; remove one"
    ]


def test_separators_within_a_line_are_no_line_ends() -> None:
    text = 'a: "x\u2028y\x85z"\nb: 1\nb: 2\n'
    assert problems_of(text)[0].startswith("x.yaml:3:1: b: the key")


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: !!str 5", {"a": "5"}),
        ("a: ! 5", {"a": "5"}),
        ("? a\n: 1", {"a": 1}),
        ("'5': 1", {"5": 1}),
        ("{a: 1, b: }", {"a": 1, "b": None}),
        ("&k a: *k", {"a": "a"}),
        ("a: &x 1\nb: *x", {"a": 1, "b": 1}),
        ('a: "b\tc" #\td\nd: |\n  e\tf', {"a": "b\tc", "d": "e\tf"}),
        ("a: {}\nb: []", {"a": {}, "b": []}),
        ('{"a": [1, 2.5, true, null, "\\u00e9\\n"]}', {"a": [1, 2.5, True, None, "é\n"]}),
        ("a: '<<'\n'<<': 1", {"a": "<<", "<<": 1}),
        ("---\na: 1\n...\n", {"a": 1}),
        ('a: "\\U0001F600"', {"a": "\U0001f600"}),
        ('{"\\ud83d\\ude00": "x\\ud83d\\ude00"}', {"\U0001f600": "x\U0001f600"}),
    ],
)
def test_reads(text: str, data: Any) -> None:
    assert plain(parse(text, file="x.yaml", folder="/")) == data


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: the file is empty; the smallest spec has name, source, endpoint, prompt"),
        ("a: 1\n--- \nb: 2", "2:1: a second document starts here; a spec is one document"),
        (
            '{"a": 1}\n{"a": 2}',
            "2:1: expected '<document start>', but found '{'; a spec is one YAML mapping",
        ),
        ("a: &b [*b]", "1:8: a[0]: '*b' stands within what it names"),
        ("a: *b", "1:4: a: there is no anchor '&b' above"),
        ("[a]: 1", "1:1: a key must be text; a mapping, list or alias cannot be one"),
        ("*a : 1", "1:1: a key must be text; a mapping, list or alias cannot be one"),
        ("a: !x 1", None),
        ("a: !!binary aGk=", None),
        ("a: !!python/name:os.system", None),
        ("a: !!set {b}", None),
        ("a: b\tc", "1:5: a tab; YAML wants spaces"),
        ("a:\n\tb: 1", "2:1: a tab; YAML wants spaces"),
        ("a: 'b", "1:4: a quote is not closed; close it"),
        ("a: {b: [1, 2}", None),
        ("a: b: c", None),
        ("a: @b", None),
        ('a: "\\q"', None),
        ("a: 1\n b: 2", None),
        ("a: \ud800", "1:4: a character that YAML does not allow; remove it, or write an escape"),
        ("a: \x00", "1:4: a character that YAML does not allow; remove it, or write an escape"),
        ('a: "\\ud83d"', "1:4: a: half of a surrogate pair; write the character itself"),
    ],
)
def test_refuses(text: str, said: str | None) -> None:
    found = problems_of(text)
    assert all(problem.startswith("x.yaml:") for problem in found)
    if said is not None:
        assert found[0].startswith(f"x.yaml:{said}")


def test_says_everything_at_once() -> None:
    text = "a: !x 1\nb: .nan\n5: c\nd: 1\nd: 2\n<<: e\nf: *g\n"
    assert [problem.split(": ")[0] for problem in problems_of(text)] == [
        f"x.yaml:{place}" for place in ("1:4", "2:4", "3:1", "5:1", "6:1", "7:4")
    ]


def test_deep_texts_end_early() -> None:
    for text in ("[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 10_000):
        assert "levels deep" in problems_of(text)[-1]
    assert plain(parse("[" * 50 + "]" * 50, file="x", folder="/"))


def test_recursion_is_bounded_whatever_the_limit_of_the_interpreter() -> None:
    limit = sys.getrecursionlimit()
    text = "a: " + "[" * 49 + "]" * 49
    assert isinstance(parse(text, file="x", folder="/"), Node)
    assert sys.getrecursionlimit() == limit


def test_aliases_unfold_within_bounds() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert "aliases unfold to more than" in problems_of("\n".join(lines))[0]
    few = "a: &a [1, 2]\n" + "\n".join(f"b{n}: *a" for n in range(1000))
    assert len(Document(file="", folder="", root=parse(few, file="", folder="")).data) == 1001


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("latin.yaml").write_bytes(b"a: 1\nb: \xff\n")
    Path("utf16.yaml").write_bytes("a: 1\n".encode("utf-16"))
    Path("big.yaml").write_bytes(b"# " + b"x" * (21 * 2**20))
    said = {}
    for name in ("nowhere.yaml", ".", "pipe", "latin.yaml", "utf16.yaml", "big.yaml", "a\0b"):
        with pytest.raises(SpecError) as raised:
            read(name)
        said[name] = str(raised.value.problems[0])
    assert said["nowhere.yaml"] == "nowhere.yaml: there is no such file"
    assert said["."] == ".: is a folder; name a file in it"
    assert said["pipe"] == "pipe: is no regular file"
    assert said["latin.yaml"] == (
        "latin.yaml:2:4: the byte 0xff is not UTF-8; save the file as UTF-8"
    )
    assert said["utf16.yaml"].startswith("utf16.yaml:1:1: the byte 0xff is not UTF-8")
    assert said["big.yaml"] == "big.yaml: is larger than 20 MB; keep rows in a file of their own"
    assert "null" in said["a\0b"] or "NUL" in said["a\0b"]
