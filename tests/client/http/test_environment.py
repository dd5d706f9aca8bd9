"""Which proxy the environment names, as a table."""

from __future__ import annotations

import pytest

from dbrun.client.http.environment import ca_bundle, proxy_for

P = "http://proxy:3128"


@pytest.mark.parametrize(
    ("environ", "scheme", "proxy"),
    [
        ({}, "http", None),
        ({"http_proxy": P}, "http", P),
        ({"HTTP_PROXY": P}, "http", P),
        ({"http_proxy": P}, "https", None),
        ({"https_proxy": P, "HTTPS_PROXY": "http://other"}, "https", P),
        ({"http_proxy": "", "HTTP_PROXY": P}, "http", None),
        ({"all_proxy": "socks5h://proxy:1080"}, "https", "socks5h://proxy:1080"),
        ({"ALL_PROXY": P, "https_proxy": "http://own"}, "https", "http://own"),
        ({"https_proxy": "proxy:3128"}, "https", P),
        ({"HTTP_PROXY": P, "REQUEST_METHOD": "GET"}, "http", None),
        ({"http_proxy": P, "REQUEST_METHOD": "GET"}, "http", P),
        ({"HTTPS_PROXY": P, "REQUEST_METHOD": "GET"}, "https", P),
    ],
)
def test_which_proxy(environ, scheme, proxy):
    assert proxy_for(scheme, "api.example.com", 443, environ) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("", "api.example.com", False),
        ("*", "api.example.com", True),
        ("example.com", "api.example.com", True),
        (".example.com", "api.example.com", True),
        ("*.example.com", "api.example.com", True),
        ("Example.COM", "API.example.com", True),
        ("example.com", "api.example.com.", True),
        ("ample.com", "api.example.com", False),
        ("api.example.com:443", "api.example.com", True),
        ("api.example.com:80", "api.example.com", False),
        ("localhost, 127.0.0.1 ,example.com", "example.com", True),
        ("localhost example.com", "example.com", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "::1", True),
        ("[::1]:443", "::1", True),
        ("fd00::/8", "fd12::1", True),
        ("10.0.0.0/8", "example.com", False),
        (".", "example.com", False),
        ("*,", "example.com", True),
    ],
)
@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_hosts_reached_directly(variable, no_proxy, host, direct):
    proxy = proxy_for("https", host, 443, {"https_proxy": P, variable: no_proxy})
    assert proxy == (None if direct else P)


@pytest.mark.parametrize(
    ("environ", "bundle"),
    [
        ({}, None),
        ({"SSL_CERT_FILE": "c"}, "c"),
        ({"CURL_CA_BUNDLE": "b", "SSL_CERT_FILE": "c"}, "b"),
        ({"REQUESTS_CA_BUNDLE": "a", "CURL_CA_BUNDLE": "b"}, "a"),
        ({"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": "b"}, "b"),
    ],
)
def test_which_authorities(environ, bundle):
    assert ca_bundle(environ) == bundle
