"""Encoders: the standard library's bytes, whichever module writes them."""

from __future__ import annotations

import json
import math

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dbrun.encoding import encoder, is_plain, reader

TEXTS = st.text(st.characters(exclude_categories=()), max_size=12)
NUMBERS = st.one_of(
    st.integers(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4), st.tuples(inner)
    ),
    max_leaves=12,
)
SETTINGS = [
    {"sort_keys": sort_keys, "escape_all": escape_all}
    for sort_keys in (False, True)
    for escape_all in (False, True)
]


def standard(value, *, sort_keys, escape_all):
    """What the standard library writes, by its plainest way."""

    def write(ascii_only):
        return json.dumps(
            value, ensure_ascii=ascii_only, sort_keys=sort_keys, separators=(",", ":")
        )

    try:
        return write(False).encode()
    except UnicodeEncodeError:
        return (
            write(True).encode() if escape_all else write(False).encode("utf8", "backslashreplace")
        )


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("fast", [orjson, None], ids=["orjson", "standard library"])
@given(value=VALUES)
@example(value={"a": 1e16, "b": 1e-7, "c": -0.0, "d": 1.0, "e": 0.1, "f": 123456789.125})
@example(value={"a": 2**63, "b": 2**64 - 1, "c": 2**64, "d": -(2**63) - 1})
@example(value={"a": "\ud800", "b": '\x00\x1f\x7f\u2028\u2029é😀"\\/'})
@example(value={"é": 1, "e": 2, "\U0001f600": 3, "\uffff": 4})
@example(value=[{"a": [{"b": "c" * 300}]}])
def test_every_encoder_writes_the_same_bytes(settings, fast, value):
    assert encoder(fast=fast, **settings)(value) == standard(value, **settings)


@given(value=VALUES)
def test_what_is_plain_needs_no_second_look(value):
    if is_plain(value):
        quick = encoder(fast=orjson, plain_only=True, sort_keys=True)
        assert quick(value) == standard(value, sort_keys=True, escape_all=False)


@pytest.mark.parametrize("fast", [orjson, None], ids=["orjson", "standard library"])
@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({"a": math.nan}, ValueError),
        ({"a": [math.inf]}, ValueError),
        ({"a": object()}, TypeError),
        ({"a": {1, 2}}, TypeError),
        ({"a": b"bytes"}, TypeError),
        ({(1, 2): 3}, TypeError),
    ],
)
def test_what_is_not_json_is_refused(fast, value, error):
    with pytest.raises(error):
        encoder(fast=fast, allow_nan=False)(value)


@pytest.mark.parametrize("fast", [orjson, None], ids=["orjson", "standard library"])
def test_what_holds_itself_is_refused(fast):
    value: dict[str, object] = {}
    value["a"] = value
    with pytest.raises(RecursionError):
        encoder(fast=fast)(value)


@pytest.mark.parametrize("fast", [orjson, None], ids=["orjson", "standard library"])
def test_deep_values_are_written_by_either(fast):
    value: object = "x"
    for _ in range(400):
        value = [value]
    assert (
        encoder(fast=fast)({"a": value}) == json.dumps({"a": value}, separators=(",", ":")).encode()
    )


def read_by(read, raw: bytes) -> str:
    """What *read* makes of *raw*, spelled so that 1, 1.0, True, 0.0 and -0.0 are told apart."""
    try:
        return repr(read(raw))
    except (ValueError, RecursionError) as error:
        return type(error).__name__


_TOKENS = st.one_of(
    st.integers().map(str),
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=True).map(json.dumps),
    st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][-+]?[0-9]{1,4})?", fullmatch=True),
    st.text().map(json.dumps),
    st.text(st.characters(codec="utf-8")).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(["NaN", "-Infinity", "-0", '"\\ud800"', "1e999", "01", "tru", "", '"\x01"']),
)


@given(
    st.recursive(
        _TOKENS,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
            st.lists(st.tuples(st.sampled_from(['"a"', '"b"']), inner), max_size=4).map(
                lambda pairs: "{" + ",".join(f"{name}:{value}" for name, value in pairs) + "}"
            ),
        ),
        max_leaves=8,
    )
)
@example("9223372036854775808")
@example("-9223372036854775809")
@example("18446744073709551616")
@example('{"a":1,"a":2}')
@example(" [1] \n")
@example("[" * 2000 + "]" * 2000)
def test_every_reader_reads_the_same_values(text):
    raw = text.encode("utf-8", "surrogatepass")
    standard = json.JSONDecoder().decode
    wanted = read_by(reader(standard, fast=None), raw)
    assert read_by(reader(standard, fast=orjson), raw) == wanted


def test_what_the_standard_reader_refuses_is_refused():
    def refuse(name: str) -> None:
        raise KeyError(name)

    standard = json.JSONDecoder(parse_constant=refuse).decode
    for fast in (orjson, None):
        read = reader(standard, fast=fast)
        assert read(b'{"a": [1.5, "x"]}') == {"a": [1.5, "x"]}
        with pytest.raises(KeyError, match="NaN"):
            read(b'{"a": NaN}')
        with pytest.raises(UnicodeDecodeError):
            read(b'"\xff"')
