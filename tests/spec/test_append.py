"""A test put into the text of a spec: the rest stays to the letter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbrun.errors import SpecError, UserError
from dbrun.spec.append import with_test
from dbrun.spec.document import parse
from dbrun.spec.nodes import plain

TEST = {"name": "new", "given": {"row": {"a": 1}}, "expect": {"output": "b"}}
ADDED = """\
- name: new
  given:
    row:
      a: 1
  expect:
    output: b
"""


def indented(margin: int) -> str:
    return "".join(f"{' ' * margin}{line}" for line in ADDED.splitlines(keepends=True))


def added(folder: Path, text: str, test: Any = None) -> str:
    """*text* with a test added; its own tests are those that the spec has."""
    path = folder / "spec.yaml"
    root = parse(text, file=str(path), folder=str(folder))
    tests = root.get("tests")
    marks = [one.place.mark for one in tests.value] if tests is not None else []
    return with_test(str(path), text, TEST if test is None else test, marks)


@pytest.mark.parametrize(
    ("before", "after", "margin"),
    [
        ("name: x\n", "", 2),
        ("name: x", "", 2),
        ("  name: x\n  prompt: y\n", "", 4),
        ("name: x\ntests: []  # none yet\n", "", 2),
        ("name: x\ntests: [ ]\n", "", 2),
        ("name: x\ntests: []\n", "prompt: y\n", 2),
        ("name: x\ntests:\n  - name: old  # one\n", "prompt: y\n", 2),
        ("name: x\ntests:\n- name: old\n", "prompt: y\n", 0),
        ("name: x\ntests:\n    -   name: old\n        given: 1\n", "\n# more\nprompt: y\n", 4),
        ("name: x\ntests:\n  - {name: old}\n  # about the next\n  - {name: older}\n", "", 2),
        ("name: x\ntests:\n  - name: |\n      a\n\n      # b\n", "\n\nprompt: y\n", 2),
        ("name: x\ntests:\n- [\n  1,\n  2]\n", "prompt: |\n  - a\n  - b\n", 0),
        ("name: x\ntests:\n- a\n", "# the end\n...\n", 0),
    ],
)
def test_the_rest_stays_as_it_is(tmp_path: Path, before: str, after: str, margin: int) -> None:
    new = added(tmp_path, before + after)
    if "tests" not in before:
        lead = before if before.endswith("\n") else before + "\n"
        assert new == f"{lead}\n{' ' * (margin - 2)}tests:\n{indented(margin)}"
    else:
        kept = before.replace(" []", "").replace(" [ ]", "")
        assert new == kept + indented(margin) + after


def test_line_ends_and_byte_order_marks_are_kept(tmp_path: Path) -> None:
    new = added(tmp_path, "\ufeffname: x\r\ntests:\r\n- a\r\nprompt: y\r\n")
    assert new == "\ufeffname: x\r\ntests:\r\n- a\r\n" + ADDED.replace("\n", "\r\n") + (
        "prompt: y\r\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "{name: x}\n",
        "name: x\ntests: [a]\n",
        "name: x\nother: &t\n  - a\ntests: *t\n",
        "name: x\nprompt: |+\n  a\n",
    ],
)
def test_what_is_written_otherwise_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="cannot be added"):
        added(tmp_path, text)


def test_tests_of_a_parent_are_not_replaced(tmp_path: Path) -> None:
    parent = parse("tests: [a]", file="parent.yaml", folder="/")
    tests = parent.get("tests")
    assert tests is not None
    with pytest.raises(UserError, match=r"written at the top of this file, but at parent.yaml:1:9"):
        with_test(str(tmp_path / "spec.yaml"), "name: x\n", TEST, [tests.value[0].place.mark])


def test_a_text_that_is_no_yaml_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        with_test(str(tmp_path / "spec.yaml"), "a: [", TEST, [])


ODD = [
    "no",
    "-",
    "- a",
    "a: b",
    "# a",
    "a # b",
    "1e3",
    "~",
    "{{ x }}",
    " a\n b\n",
    "a\n\n",
    "\ta\n",
    "|",
    ">-\n",
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(ODD)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4), st.booleans())
def test_every_test_reads_as_what_it_is(tmp_path: Path, test: Any, has_one: bool) -> None:
    text = "name: x\n" + ("tests:\n  - a: |\n      b\n" if has_one else "")
    root = parse(added(tmp_path, text, test), file="x", folder="/")
    tests = root.get("tests")
    assert tests is not None
    assert plain(tests.value[-1]) == test
