"""The key must never change within a major version: all journals of the world depend on it."""

import hashlib

import pytest

from dbrun.client.journal import request_key

CHAT = {"messages": [{"role": "user", "content": "Grüße \U0001f600"}], "temperature": 0.0}
IDENTITY = {"host": "https://example.cloud.databricks.com", "name": "llama", "served_model": None}

GOLDEN = [
    (
        {"adapter": "python", "identity": None, "body": {}},
        '{"adapter":"python","body":{},"identity":null,"repeat":0,"version":1}',
        "c33ade4c57498f24adc90c51b4b570a81ac8373ebbc33ce41da900497368170f",
    ),
    (
        {"adapter": "databricks", "identity": IDENTITY, "body": CHAT},
        '{"adapter":"databricks","body":{"messages":[{"content":"Grüße \U0001f600","role":"user"}],'
        '"temperature":0},"identity":{"host":"https://example.cloud.databricks.com",'
        '"name":"llama","served_model":null},"repeat":0,"version":1}',
        "7d8845da863f5f64d9995e44e58cb84cf40f53087bd2b6ce74054a766a47c068",
    ),
    (
        {"adapter": "openai", "identity": "http://a/v1", "body": {"x": 1e21}, "repeat": 2},
        '{"adapter":"openai","body":{"x":1e+21},"identity":"http://a/v1","repeat":2,"version":1}',
        "b11ef7519437196ff508a634e8c45cb4adc2b61b71bdcb5079b72c23a58fabd5",
    ),
    (
        {"adapter": "local", "identity": "d1", "body": [1.5], "row_id": "T-17", "version": 2},
        '{"adapter":"local","body":[1.5],"identity":"d1","repeat":0,"row":"T-17","version":2}',
        "c8c50f47741aeaacf0e78fc321804506ad27b6e0ef31ca8f519a6629def5d2fa",
    ),
]


@pytest.mark.parametrize(("asked", "canonical", "key"), GOLDEN)
def test_keys_are_pinned(asked, canonical, key):
    assert request_key(**asked) == hashlib.sha256(canonical.encode()).hexdigest() == key


@pytest.mark.parametrize(
    "changed",
    [
        {"adapter": "mlflow"},
        {"identity": {"url": "http://b"}},
        {"body": {"prompt": "b"}},
        {"repeat": 1},
        {"row_id": "1"},
        {"row_id": ""},
        {"version": 2},
    ],
)
def test_all_that_is_asked_enters(changed):
    asked = {"adapter": "openai", "identity": {"url": "http://a"}, "body": {"prompt": "a"}}
    assert request_key(**asked) != request_key(**{**asked, **changed})


def test_order_of_members_does_not_matter():
    asked = {"adapter": "openai", "identity": None}
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}
    assert request_key(**asked, body=one) == request_key(**asked, body=other)


def test_lone_surrogates_have_keys_of_their_own():
    keys = {
        request_key(adapter="python", identity=None, body=body)
        for body in ("\ud800", "\ud801", "\\ud800", "?", "\ufffd")
    }
    assert len(keys) == 5


def test_nan_has_no_key():
    with pytest.raises(ValueError, match="not JSON"):
        request_key(adapter="python", identity=None, body={"temperature": float("nan")})
