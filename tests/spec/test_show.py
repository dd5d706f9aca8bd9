"""The merged spec as YAML: it reads as what it shows, and tells where everything came from."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dbrun.spec.document import parse
from dbrun.spec.layers import Merged
from dbrun.spec.nodes import Node, Place, from_plain, plain
from dbrun.spec.show import show

PLACE = Place(file="x.yaml", folder="/", line=3, column=1)


def merged(root: Node) -> Merged:
    """A merged spec."""
    return Merged(root=root, target=None, others={})


def test_the_form() -> None:
    text = """name: x
prompt: |
  One # no comment
    two

  three
stop: ["\\n", no, "5", a b]
params: {temperature: 0, seed: 5}
steps:
  - name: first
    messages: [{role: user, content: "a: b"}]
sink: "${OUT}.jsonl"
vars: {empty: {}, none: [], nothing: null}
"""
    shown = show(merged(parse(text, file="x.yaml", folder="/")))
    assert shown == (
        "name: x  # x.yaml:1\n"
        "prompt: |  # x.yaml:2\n"
        "  One # no comment\n"
        "    two\n"
        "\n"
        "  three\n"
        'stop: ["\\n", no, "5", a b]  # x.yaml:7\n'
        "params:\n"
        "  temperature: 0  # x.yaml:8\n"
        "  seed: 5  # x.yaml:8\n"
        "steps:\n"
        "  - name: first  # x.yaml:10\n"
        "    messages:\n"
        "      - role: user  # x.yaml:11\n"
        '        content: "a: b"  # x.yaml:11\n'
        'sink: "${OUT}.jsonl"  # x.yaml:12\n'
        "vars:\n"
        "  empty: {}  # x.yaml:13\n"
        "  none: []  # x.yaml:13\n"
        "  nothing: null  # x.yaml:13\n"
    )


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(["a\nb\n", "a\n\n  b\n", " a\nb\n", "- a", "null", "1", "é", "#", "a #b", ""])
    | st.sampled_from(
        ["a\nb", "a\n \nb\n", "a\n\n", "\n", "a\tb\nc\n", "~", "no", "a: b", "'", '"']
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=300)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES, max_size=4))
def test_reads_as_what_it_shows(data: dict[str, Any]) -> None:
    shown = show(merged(from_plain(data, PLACE)))
    assert plain(parse(shown, file="y.yaml", folder="/")) == data
