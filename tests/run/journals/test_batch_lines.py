"""Lines of a batch API: what is written, what is read, and what is no answer."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.client.journal import Entry
from dbrun.run.journals.batch_lines import (
    BatchAnswer,
    ForeignLine,
    answer_line,
    is_key,
    read_answer,
    request_line,
)

KEY = "0123456789abcdef" * 4
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)  # fmt: skip


def line(**fields: Any) -> bytes:
    said = {"id": "b1", "custom_id": "c", "response": None, "error": None, **fields}
    return json.dumps(said).encode()


def test_a_request_is_as_the_api_takes_it() -> None:
    written = request_line(KEY, "/v1/chat/completions", {"messages": [], "model": "ä\ud800"})
    assert written == (
        b'{"custom_id":"%b","method":"POST","url":"/v1/chat/completions",'
        b'"body":{"messages":[],"model":"\xc3\xa4\\ud800"}}\n' % KEY.encode()
    )
    assert len(KEY) == 64  # what servers take


@given(JSON)
def test_an_answer_comes_back_as_it_was(body: Any) -> None:
    written = answer_line(KEY, Entry(body=body))
    assert written.count(b"\n") == 1
    assert read_answer(written) == BatchAnswer(custom_id=KEY, body=body, status=200)


@pytest.mark.parametrize(
    ("fields", "failure"),
    [
        ({"error": {"code": "batch_expired", "message": "too late"}}, "batch_expired"),
        ({"error": {"message": "too  late"}}, "too late"),
        ({"error": "no"}, "no"),
        ({"error": {}}, "error"),
        ({"response": {"status_code": 429, "body": {"error": {"code": "slow"}}}}, "429 slow"),
        ({"response": {"status_code": 400, "body": {"error_code": "BAD"}}}, "400 BAD"),
        ({"response": {"status_code": 500, "body": None}}, "500"),
        ({"response": {"status_code": 500}}, "500"),
        ({"response": {"status_code": None}}, "None"),
        ({"error": {"code": "x" * 500}}, "x" * 60),
        ({"error": {"code": "red \x1b[31m"}}, "red ?[31m"),
    ],
)
def test_failures_are_told_by_their_code(fields: dict[str, Any], failure: str) -> None:
    answer = read_answer(line(**fields))
    assert (answer.custom_id, answer.failure) == ("c", failure)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "no JSON"),
        (b'{"custom_id": "c", "resp', "no JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "no JSON"),
        (b"null", "no object"),
        (b'{"custom_id": ""}', "no custom_id"),
        (b'{"custom_id": 5, "response": {}}', "its custom_id is no text"),
        (line(), "neither response.status_code nor an error"),
        (line(response="text"), "neither response.status_code nor an error"),
        (line(response={"body": {}}), "neither response.status_code nor an error"),
        (line(response={"status_code": 200}), "no response.body"),
        (request_line(KEY, "/v1/embeddings", {}), "this is a request"),
    ],
)
def test_other_lines_are_foreign(text: bytes, why: str) -> None:
    with pytest.raises(ForeignLine, match=why):
        read_answer(text)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_is_an_answer_or_foreign(text: bytes) -> None:
    with suppress(ForeignLine):
        assert read_answer(text).custom_id


def test_what_json_does_not_have_is_null_and_a_bom_is_none() -> None:
    text = b'\xef\xbb\xbf{"custom_id":"c","response":{"status_code":200,"body":[NaN,1e999,1.5]}}'
    assert read_answer(text).body == [None, None, 1.5]


@pytest.mark.parametrize(
    ("text", "whether"),
    [(KEY, True), (KEY.upper(), False), (KEY[1:], False), (KEY + "0", False), ("T-1", False)],
)
def test_keys_are_known_by_their_form(text: str, whether: bool) -> None:
    assert is_key(text) is whether
