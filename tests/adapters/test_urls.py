"""The addresses of a server's paths."""

from __future__ import annotations

import pytest

from dbrun.adapters.urls import base_of, below


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://one:8000/v1", "http://one:8000/v1/chat/completions"),
        ("http://one:8000/v1/", "http://one:8000/v1/chat/completions"),
        ("http://one", "http://one/chat/completions"),
        ("http://one/v1?api-version=2", "http://one/v1/chat/completions?api-version=2"),
        ("http://one/v1#part", "http://one/v1/chat/completions"),
    ],
)
def test_a_path_is_put_before_the_query(base: str, url: str) -> None:
    assert below(base, "chat/completions") == url


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://one/v1", "http://one/v1"),
        ("http://one/v1/", "http://one/v1"),
        ("http://one/v1/chat/completions", "http://one/v1"),
        ("http://one/v1/chat/completions/", "http://one/v1"),
        ("http://one/v1/completions", "http://one/v1/completions"),
        ("http://one/achat/completions", "http://one/achat/completions"),
    ],
)
def test_a_path_that_was_copied_along_is_left_out(url: str, base: str) -> None:
    assert base_of(url, "chat/completions") == base
