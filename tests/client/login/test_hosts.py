"""Databricks hosts as people write them, and the profiles of `.databrickscfg`."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbrun.client.login.hosts import (
    base_url,
    config_file,
    default_profile,
    host_name,
    org_in,
    profile_named,
    read_profiles,
)
from dbrun.errors import UserError


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("my.host", "https://my.host"),
        ("https://my.host", "https://my.host"),
        ("https://my.host/", "https://my.host"),
        ("  https://my.host/ \n", "https://my.host"),
        ("https://my.host:443", "https://my.host"),
        ("https://my.host:8443/", "https://my.host:8443"),
        ("HTTPS://My.Host/", "https://my.host"),
        ("https://adb-1.2.azuredatabricks.net/?o=1#job/2", "https://adb-1.2.azuredatabricks.net"),
        ("https://staging.example.com", "https://staging.example.com"),
        ("tests.example.com", "https://tests.example.com"),
        ("https.example.com", "https://https.example.com"),
        ("http://localhost:8080/", "http://localhost:8080"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        ("[::1]:5000", "https://[::1]:5000"),
    ],
)
def test_a_host_is_used_as_given(written: str, url: str) -> None:
    assert base_url(written) == url


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            "http://my.host",
            r"endpoint\.host: plain http would send the token in the clear; .*https",
        ),
        ("http://127.evil.example", "plain http"),
        ("http://localhost.evil.example", "plain http"),
        ("ftp://my.host", "is no host"),
        ("https://", "is no host"),
        ("", "is no host"),
        ("https://user:pass@my.host", "a host holds no credentials"),
        ("my.host:port", "no valid port"),
        ("my.host:99999", "no valid port"),
    ],
)
def test_what_is_no_host_is_told(written: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        base_url(written)
    assert "pass@" not in str(caught.value)


def test_the_name_of_a_host_has_its_port() -> None:
    assert host_name("https://my.host:8443") == "my.host:8443"


@pytest.mark.parametrize(
    ("written", "org"),
    [
        ("https://my.host/?o=123", "123"),
        ("my.host/?a=b&o=123#job/7", "123"),
        ("my.host/?o=", None),
        ("my.host/?o=abc", None),
        ("adb-123.4.azuredatabricks.net", "123"),
        ("https://ADB-123.4.azuredatabricks.cn/", "123"),
        ("x.adb-123.4.azuredatabricks.net", None),
        ("my.host", None),
    ],
)
def test_the_org_that_a_host_tells(written: str, org: str | None) -> None:
    assert org_in(written) == org


def environ_of(file: Path, text: str, **more: str) -> dict[str, str]:
    file.write_text(text, encoding="utf-8")
    return {"HOME": str(file.parent), **more}


CONFIG = """\
[DEFAULT]
host = https://default.example
token = dapi-default%1
client_id =

[prod]
host=prod.example
"""


def test_profiles_are_read_from_the_home_folder(tmp_path: Path) -> None:
    environ = environ_of(tmp_path / ".databrickscfg", CONFIG)
    assert read_profiles(environ) == {
        "DEFAULT": {"host": "https://default.example", "token": "dapi-default%1"},
        "prod": {"host": "prod.example"},
    }


def test_the_file_may_be_named(tmp_path: Path) -> None:
    file = tmp_path / "elsewhere.cfg"
    environ_of(file, CONFIG)
    assert config_file({"DATABRICKS_CONFIG_FILE": str(file), "HOME": "/nowhere"}) == str(file)
    assert profile_named("prod", {"DATABRICKS_CONFIG_FILE": str(file)}) == {"host": "prod.example"}


@pytest.mark.parametrize("environ", [{}, {"HOME": "/nowhere/at/all"}])
def test_no_file_is_no_profiles(environ: dict[str, str]) -> None:
    assert read_profiles(environ) == {}
    assert default_profile(environ) is None


def test_a_file_that_cannot_be_read_shows_none_of_its_lines(tmp_path: Path) -> None:
    environ = environ_of(tmp_path / ".databrickscfg", "token = dapi-secret\n")
    with pytest.raises(UserError, match=r"\.databrickscfg: not a readable") as caught:
        read_profiles(environ)
    assert "dapi-secret" not in str(caught.value)


def test_an_unknown_profile_is_answered_with_those_there_are(tmp_path: Path) -> None:
    environ = environ_of(tmp_path / ".databrickscfg", CONFIG)
    with pytest.raises(UserError, match=r"no profile 'pord' in .*; there is DEFAULT, prod"):
        profile_named("pord", environ)


@pytest.mark.parametrize(
    ("settings", "named", "found"),
    [
        ("", {}, "DEFAULT"),
        ("[__settings__]\ndefault_profile = prod\n", {}, "prod"),
        (
            "[__settings__]\ndefault_profile = prod\n",
            {"DATABRICKS_CONFIG_PROFILE": "DEFAULT"},
            "DEFAULT",
        ),
        ("", {"DATABRICKS_CONFIG_PROFILE": "nope"}, None),
    ],
)
def test_the_profile_in_force(
    tmp_path: Path, settings: str, named: dict[str, str], found: str | None
) -> None:
    environ = environ_of(tmp_path / ".databrickscfg", CONFIG + settings, **named)
    profile = default_profile(environ)
    assert (profile[0] if profile else None) == found
