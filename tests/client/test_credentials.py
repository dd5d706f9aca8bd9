"""Secrets: read where they are, hidden everywhere else."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.client.credentials import Headers, Secret, mask, read_credential
from dbrun.errors import AuthError, DbrunError, Unavailable

PERSONAL = "dapi" + "0123456789abcdef" * 2
WEB = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0abc.c2lnbmF0dXJl"


def no_secrets(scope: str, key: str) -> str:
    raise AssertionError("no secret was asked for")


def test_a_secret_shows_itself_to_nobody_but_who_asks() -> None:
    secret = Secret("hunter22")
    assert f"{secret} {secret!r} {[secret]}" == "*** *** [***]"
    assert secret.reveal() == "hunter22"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)


def test_a_variable_is_read_without_its_newline() -> None:
    assert read_credential({"env": "A"}, "p", {"A": " x\n"}, no_secrets).reveal() == "x"


def test_a_secret_of_a_scope_is_read() -> None:
    asked = []

    def read(scope: str, key: str) -> str:
        asked.append((scope, key))
        return "v"

    assert read_credential({"secret": "s/k"}, "p", {}, read).reveal() == "v"
    assert asked == [("s", "k")]


@pytest.mark.parametrize(
    ("reference", "environ", "said"),
    [
        ({"env": "A"}, {}, r"endpoint\.token: environment variable A is not set"),
        ({"env": "A"}, {"A": "  "}, "A is not set"),
        ({"env": "A"}, {"A": "x\r\nHost: y"}, "holds characters that a header cannot"),
        ({"env": "A"}, {"A": "schlüssel"}, "holds characters that a header cannot"),
        ({"secret": "s"}, {}, "names no credential"),
        ({"secret": "/k"}, {}, "names no credential"),
        ({}, {}, "names no credential"),
    ],
)
def test_what_is_no_credential_is_told(
    reference: dict[str, str], environ: dict[str, str], said: str
) -> None:
    with pytest.raises(AuthError, match=said) as caught:
        read_credential(reference, "endpoint.token", environ, no_secrets)
    assert "schlüssel" not in str(caught.value)


LOGIN = "; outside Databricks write {env: NAME} in its place"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AuthError("no login", "log in"), f"secret s/k cannot be read: no login; log in{LOGIN}"),
        (AuthError("secret s/k is not text", "set it anew"), "secret s/k is not text; set it anew"),
        (Unavailable("cannot connect", 503), "secret s/k cannot be read: cannot connect"),
    ],
)
def test_who_wanted_a_secret_that_cannot_be_read_is_told(error: DbrunError, said: str) -> None:
    def read(scope: str, key: str) -> str:
        raise error

    with pytest.raises(type(error)) as caught:
        read_credential({"secret": "s/k"}, "x.yaml:3:9: endpoint.token", {}, read)
    assert str(caught.value) == f"x.yaml:3:9: endpoint.token: {said}"
    assert str(pickle.loads(pickle.dumps(caught.value))).startswith("x.yaml:3:9: endpoint.token: ")


def test_headers_are_read_when_they_are_needed() -> None:
    environ: dict[str, str] = {}
    declared: dict[str, Any] = {"X-A": "plain", "X-B": {"env": "B", "prefix": "Key "}}
    headers = Headers(declared, lambda name: f"x.yaml:3:9: {name}", environ, no_secrets)
    with pytest.raises(AuthError, match=r"^x.yaml:3:9: headers\.X-B: environment variable B"):
        headers.resolve()
    environ["B"] = "hunter22"
    assert headers.resolve() == {"X-A": "plain", "X-B": "Key hunter22"}
    assert mask("it was hunter22", headers.secrets) == "it was ***"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"token {PERSONAL} is old", "token *** is old"),
        (f"token {PERSONAL}-3.", "token ***."),
        ("Authorization: Bearer abc.def-123_45", "Authorization: Bearer ***"),
        ("basic dXNlcjpwYXNz==", "basic ***"),
        (f"jwt={WEB};", "jwt=***;"),
        ("a bearer of news", "a bearer of news"),
        ("nothing", "nothing"),
    ],
)
def test_what_looks_like_a_credential_is_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


@given(
    before=st.text(max_size=20),
    value=st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=8),
    after=st.text(max_size=20),
)
def test_a_known_secret_is_never_left(before: str, value: str, after: str) -> None:
    assert value not in mask(before + value + after, [Secret(value)]).replace("***", "\0")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("no: long-enough-a-value.", "no: ***."),
        ("no: long-enough-a-v…", "no: ***…"),
        ("no: long…", "no: ***…"),
        ("no: lo…", "no: lo…"),
        ("no…: long-enough", "no…: long-enough"),
    ],
)
def test_a_secret_is_masked_also_where_a_text_was_cut_off(said: str, kept: str) -> None:
    assert mask(said, [Secret("long-enough-a-value")]) == kept
