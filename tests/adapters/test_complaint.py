"""Reading a server's reason out of every body in which servers have put one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.adapters.complaint import LONGEST, of, phrase, read

NESTED = json.dumps(
    {
        "external_model_provider": "anthropic",
        "external_model_error": {
            "type": "error",
            "error": {"type": "permission_error", "message": "no access to claude"},
        },
    }
)


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"error_code": "BAD_REQUEST", "message": "no\n"}, "no", "BAD_REQUEST"),
        ({"error_code": 401, "message": "who?"}, "who?", ""),
        ({"error": {"message": "m", "type": "invalid", "code": None}}, "m", "invalid"),
        ({"error": {"message": "m", "type": "t", "code": "c"}}, "m", "c"),
        ({"error": "plain"}, "plain", ""),
        ({"error": "Token is old", "message": "M"}, "Token is old", ""),
        ({"error": "invalid_request", "message": "M"}, "M", ""),
        ({"detail": "Not Found"}, "Not Found", ""),
        (
            {
                "detail": [
                    {"loc": ["body", "stop", 0], "msg": "bad", "type": "missing"},
                    {"msg": "b"},
                ]
            },
            "body.stop.0: bad; b",
            "missing",
        ),
        ({"detail": "scim", "scimType": "mutability", "status": "400"}, "scim", "mutability"),
        ({"errors": [{"message": "one"}, {"message": "two"}]}, "one; two", ""),
        ({"message": '{"error":{"message":"inner","code":"c"}}'}, "inner", "c"),
        (
            {"error_code": "PERMISSION_DENIED", "message": NESTED},
            "anthropic: no access to claude",
            "PERMISSION_DENIED",
        ),
        (
            {"type": "error", "error": {"type": "overloaded_error"}},
            "Bad Request",
            "overloaded_error",
        ),
        ({}, "Bad Request", ""),
        ([], "Bad Request", ""),
        ("just text", "just text", ""),
    ],
)
def test_the_message_is_found(body: Any, message: str, code: str) -> None:
    said = read(400, json.dumps(body).encode())
    assert (said.message, said.code) == (message, code)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Bad Gateway"),
        (b"  plain\n text ", "plain text"),
        (b"<html><head><title>502 Bad\nGateway</title></head></html>", "502 Bad Gateway"),
        (
            b"<html><title>t</title><body><pre>Error 403 <b>Invalid</b> access token.</pre></body>",
            "Error 403 Invalid access token.",
        ),
        (b"<p>only this</p>", "only this"),
        (b"\xff\xfe{", "\ufffd\ufffd{"),
        (b"{broken", "{broken"),
        (b"[" * 100_000, "[" * LONGEST + "…"),
    ],
)
def test_what_is_no_json_is_read_as_text(body: bytes, message: str) -> None:
    assert read(502, body).message == message


def test_all_codes_are_kept_outermost_first() -> None:
    said = of({"error_code": "A", "message": NESTED}, 400)
    assert said.code == "A"
    assert {"a", "permission_error"} <= said.codes
    assert said.provider == "anthropic"


def test_the_reason_of_a_guardrail_is_a_code() -> None:
    said = of({"choices": [{"finish_reason": "input_guardrail_triggered"}]}, 400)
    assert "input_guardrail_triggered" in said.codes


def test_a_message_commands_no_terminal() -> None:
    said = read(400, b'{"message": "a \\u001b[31mred\\u0007 \\u202eb\\n\\u0000 c"}').message
    assert said == "a [31mred b c"


def test_a_long_message_is_trimmed() -> None:
    assert len(read(400, json.dumps({"message": "x" * 9999}).encode()).message) == LONGEST + 1


TRACE = 'Traceback (most recent call last):\n  File "/opt/m.py", line 7\nValueError: boom'


def test_of_a_stack_trace_only_the_exception_is_told() -> None:
    body = json.dumps({"message": "m.", "stack_trace": TRACE}).encode()
    said = read(400, body)
    assert (said.message, said.trace) == ("m. (ValueError: boom)", None)
    assert read(400, body, traces=True).trace == TRACE


@pytest.mark.parametrize("trace", ["", 'File "/opt/m.py", line 7', None, ["ValueError: boom"]])
def test_a_trace_without_an_exception_tells_nothing(trace: Any) -> None:
    assert read(400, json.dumps({"message": "m", "stack_trace": trace}).encode()).message == "m"


def test_a_status_without_a_phrase_is_its_number() -> None:
    assert phrase(529) == "status 529"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["error", "message", "detail", "code", "error_code", "choices", "x"]
                ),
                inner,
            )
        ),
        max_leaves=20,
    )
)
def test_nothing_that_a_server_says_is_too_odd(body: Any) -> None:
    said = read(400, json.dumps(body).encode())
    assert said.message
    assert "\n" not in said.message
