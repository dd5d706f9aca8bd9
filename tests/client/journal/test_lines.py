"""One line of the journal, both ways, and lines that somebody else has had in hand."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.adapters.base import Answer
from dbrun.client.journal.lines import Entry, decode, encode, glance, is_tidy, key_in, tidy

KEY = "0123456789abcdef" * 4
PREFIX = 0x0123456789ABCDEF

# Any text at all: lone surrogates too, which some endpoints do send.
texts = st.text(st.characters(codec=None, exclude_categories=()))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def line_of(body, raw=None, model=None, generation=1, extra=None):
    return encode(KEY, generation, Answer(body=body, raw=raw, model=model), extra or {})


@given(body=values, model=st.none() | texts, generation=st.integers(1, 2**32 - 1), extra=values)
def test_what_is_written_is_read(body, model, generation, extra):
    line = line_of(body, model=model, generation=generation, extra={"told": extra})
    assert line.count(b"\n") == 1
    assert b"\r" not in line
    assert glance(line) == (PREFIX, KEY.encode(), generation)
    assert decode(line) == (
        KEY,
        Entry(body=body, model=model, generation=generation, extra={"told": extra}),
    )


@given(body=values)
def test_any_json_text_on_one_line_is_kept_byte_for_byte(body):
    raw = json.dumps(body).encode()
    line = line_of(None, raw=raw)
    assert line.endswith(b',"body":' + raw + b"}\n")
    assert decode(line)[1].body == body


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        (b'{ "a" : 1.50,"b":"\\u00e4" }', b'{ "a" : 1.50,"b":"\\u00e4" }'),
        (b'\r\n {"a": 2}\n', b'{"a": 2}'),  # the space around it is not part of the answer
        (b'"\xe2\x80\xa8"', b'"\xe2\x80\xa8"'),  # U+2028 ends no line
        (b'{"a":"\\ud800"}', b'{"a":"\\ud800"}'),
        (b"[NaN]", b"[NaN]"),
        (b'{\n "a": 1\n}', b'{"body":1}'),
        (b'{\r "a": 1}', b'{"body":1}'),
        (b'"\xff"', b'{"body":1}'),
        ('{"a":1}'.encode("utf-16"), b'{"body":1}'),
        (b'{"a":1', b'{"body":1}'),
        (b"{}{}", b'{"body":1}'),
        (b'{}\n{"key":"', b'{"body":1}'),
        (b"", b'{"body":1}'),
    ],
)
def test_raw_text_that_cannot_be_kept_is_written_anew(raw, written):
    line = line_of({"body": 1}, raw=raw)
    assert line.endswith(b',"body":' + written + b"}\n")
    assert decode(line) is not None


@pytest.mark.parametrize("text", ["\ud800", "a\udfff\ud800b", "\U0001f600\ud83d", "ä\u2028\x00"])
def test_texts_that_utf_8_cannot_hold_survive(text):
    line = line_of({text: [text]}, model=text, extra={text: text})
    assert decode(line)[1] == Entry(body={text: [text]}, model=text, extra={text: text})


def test_a_line_reads_as_it_is_documented():
    line = line_of({"text": "ä"}, model="m-1", generation=3, extra={"usage": {"input_tokens": 2}})
    assert line.decode() == (
        f'{{"key":"{KEY}","generation":3,"model":"m-1",'
        '"usage":{"input_tokens":2},"body":{"text":"ä"}}\n'
    )


@pytest.mark.parametrize("key", ["", "abc", KEY.upper(), KEY + "0", "g" * 64, KEY[:-1] + '"'])
def test_keys_are_64_hexadecimal_digits(key):
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        encode(key, 1, Answer(body=1), {})


def test_further_fields_cannot_replace_the_own_ones():
    with pytest.raises(ValueError, match=r"\['body', 'key'\]"):
        line_of(1, extra={"usage": 1, "key": 2, "body": 3})


GOOD = line_of({"n": 1}, model="m")


@pytest.mark.parametrize(
    "damaged",
    [
        b"\n",
        b"\0" * 100 + b"\n",
        b"null\n",
        b"[]\n",
        b"<<<<<<< HEAD\n",
        GOOD[:-2] + b"\n",
        GOOD[1:],
        GOOD.replace(b'"n"', b"n"),
        GOOD.replace(KEY.encode(), KEY.encode()[:-1]),
        GOOD.replace(b'"generation":1', b'"generation":-1'),
        GOOD.replace(b'"generation":1', b'"generation":4294967296'),
        GOOD.replace(b'"generation":1', b'"generation":true'),
        GOOD.replace(b'"generation":1', b'"generation":1.0'),
        GOOD.replace(b'"model":"m"', b'"model":7'),
        GOOD.replace(b'"body"', b'"bode"'),
        GOOD.replace(b'"n"', b'"\xff"'),
        GOOD.replace(b'{"n":1}', b"[" * 100_000 + b"]" * 100_000),
    ],
)
def test_damage_is_noticed(damaged):
    assert decode(damaged) is None
    assert tidy(damaged) is None


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"\0" * 100 + b"\n",
        GOOD[:-3] + b"\n",
        GOOD[1:],
        GOOD.replace(KEY.encode(), KEY.encode()[:-1] + b"G"),
        GOOD.replace(b'"generation":1', b'"generation":4294967296'),
    ],
)
def test_a_glance_notices_damage_around_the_key(line):
    assert glance(line) is None


@pytest.mark.parametrize(
    "foreign",
    [
        GOOD[:-1] + b"\r\n",
        b"\xef\xbb\xbf" + GOOD,
        b" " + GOOD,
        json.dumps(json.loads(GOOD)).encode() + b"\n",
        json.dumps(json.loads(GOOD), sort_keys=True).encode() + b"\n",
        GOOD[:-1],
    ],
)
def test_a_line_laid_out_by_somebody_else_still_counts(foreign):
    assert not is_tidy(foreign)
    assert glance(foreign) == (PREFIX, KEY.encode(), 1)
    assert decode(foreign) == decode(GOOD)
    assert tidy(foreign) == GOOD


def test_a_tidy_line_stays_as_it_is():
    assert is_tidy(GOOD)
    assert tidy(GOOD) == GOOD
    assert key_in(GOOD) == KEY.encode()
