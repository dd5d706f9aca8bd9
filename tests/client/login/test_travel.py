"""What of credentials reaches other machines, and what stays at home and says so."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from fakes.workspace import FakeWorkspace

from dbrun.client.auth import NoAuth
from dbrun.client.login.travel import Luggage, Travelling, for_workers, lifetime_of
from dbrun.client.login.workspace import Login, Workspace
from dbrun.client.transport import Transport
from dbrun.clock import Clock
from dbrun.errors import AuthError
from dbrun.spec.model import EndpointSpec


@pytest.fixture(autouse=True)
def no_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would look at the machine that runs the tests."""
    for name in ("databricks", "databricks.sdk", "databricks.sdk.core"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def fake() -> Iterator[FakeWorkspace]:
    with FakeWorkspace() as workspace:
        yield workspace


@pytest.fixture
def sender() -> Iterator[Transport]:
    with Transport(environ={}) as made:
        yield made


def packed(sender: Transport, environ: Mapping[str, str], **options: Any) -> Travelling:
    """The luggage of a serving endpoint of these options."""
    spec = EndpointSpec(adapter="databricks", options={"name": "chat", **options})
    login = Login(**{name: options.get(name) for name in ("host", "profile", "token")})
    auth = Workspace(login, sender, environ)
    return for_workers(spec, ["token"], auth=auth, sender=sender, environ=environ)


def token(seconds: float) -> str:
    """A JSON web token that expires in so many seconds."""
    claims = json.dumps({"exp": Clock().wall().timestamp() + seconds}).encode()
    middle = base64.urlsafe_b64encode(claims).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{middle}.c2lnbmVk"


def profile(folder: Path, **values: str) -> dict[str, str]:
    """An environment whose home has a profile called mine."""
    lines = ["[mine]", *(f"{name} = {value}" for name, value in values.items())]
    (folder / ".databrickscfg").write_text("\n".join(lines))
    return {"HOME": str(folder)}


def test_what_the_environment_has_travels_as_it_is(fake: FakeWorkspace, sender: Transport) -> None:
    made = packed(sender, {**fake.environ, "OTHER": "x"})
    assert made.environ == fake.environ
    assert made.endpoint.options == {"name": "chat"}
    assert made.lifetime is None


def test_a_service_principal_travels_as_itself(fake: FakeWorkspace, sender: Transport) -> None:
    from fakes.workspace import CLIENT

    environ = {
        "DATABRICKS_HOST": fake.url,
        "DATABRICKS_CLIENT_ID": CLIENT[0],
        "DATABRICKS_CLIENT_SECRET": CLIENT[1],
    }
    made = packed(sender, environ)
    assert made.environ == environ
    assert made.lifetime is None


def test_variables_that_the_spec_names_travel(sender: Transport) -> None:
    spec = EndpointSpec(
        adapter="openai",
        options={"base_url": "http://127.0.0.1:1", "api_key": {"env": "KEY"}},
        headers={"x-team": "mine", "x-gate": {"env": "GATE", "prefix": "Gate "}},
    )
    environ = {"KEY": "k" * 20, "GATE": "g" * 20, "OTHER": "o" * 20}
    made = for_workers(spec, ["api_key"], auth=NoAuth(), sender=sender, environ=environ)
    assert made.environ == {"KEY": "k" * 20, "GATE": "g" * 20}
    assert made.endpoint == spec
    with pytest.raises(AuthError, match=r"endpoint.api_key: environment variable KEY is not set"):
        for_workers(spec, ["api_key"], auth=NoAuth(), sender=sender, environ={})


def test_secrets_are_read_at_home_and_travel_as_variables(
    fake: FakeWorkspace, sender: Transport
) -> None:
    spec = EndpointSpec(
        adapter="openai",
        options={"api_key": {"secret": "scope/key"}},
        headers={"x-gate": {"secret": "scope/key", "prefix": "Gate "}},
    )
    made = for_workers(
        spec, ["api_key"], auth=NoAuth(), sender=sender, environ=fake.environ, number=3
    )
    assert made.endpoint.options["api_key"] == {"env": "DBRUN_WORKER_3_0"}
    assert made.endpoint.headers["x-gate"] == {"env": "DBRUN_WORKER_3_1", "prefix": "Gate "}
    assert set(made.environ.values()) == {"a-secret-value"}
    named = packed(sender, fake.environ, token={"secret": "scope/key"})
    assert named.endpoint.options["token"] == {"env": "DBRUN_WORKER_0_0"}
    assert named.environ == {"DBRUN_WORKER_0_0": "a-secret-value"}


@pytest.mark.parametrize(("seconds", "lasts"), [(None, False), (3600.0, True)])
def test_of_a_profile_a_token_travels_and_tells_how_long_it_lives(
    fake: FakeWorkspace, sender: Transport, tmp_path: Path, seconds: float | None, lasts: bool
) -> None:
    secret = "dapi0123456789abcdef" if seconds is None else token(seconds)
    made = packed(sender, profile(tmp_path, host=fake.url, token=secret), profile="mine")
    assert made.endpoint.options == {
        "name": "chat",
        "host": fake.url,
        "token": {"env": "DBRUN_WORKER_0_TOKEN"},
    }
    assert made.environ == {"DBRUN_WORKER_0_TOKEN": secret}
    assert (made.lifetime is not None and 3500 < made.lifetime <= 3600) == lasts


def test_a_token_that_is_about_to_expire_stays_at_home(
    fake: FakeWorkspace, sender: Transport, tmp_path: Path
) -> None:
    environ = profile(tmp_path, host=fake.url, token=token(120))
    with pytest.raises(AuthError, match=r"token of profile mine expires in 1\d\d s, too soon"):
        packed(sender, environ, profile="mine")


def test_a_notebook_s_login_stays_in_the_notebook(
    fake: FakeWorkspace, sender: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = SimpleNamespace(browserHostName=fake.url, apiToken="n0tebook-token")
    module = ModuleType("dbruntime.databricks_repl_context")
    module.get_context = lambda: context  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dbruntime", ModuleType("dbruntime"))
    monkeypatch.setitem(sys.modules, "dbruntime.databricks_repl_context", module)
    with pytest.raises(AuthError, match="the notebook's login stays on the driver") as caught:
        packed(sender, {})
    assert "DATABRICKS_CLIENT_ID" in str(caught.value)
    assert "n0tebook" not in str(caught.value)


def test_luggage_does_not_print_what_is_in_it() -> None:
    assert repr(Luggage(B="s3cret", A="t0ken")) == "<A, B>"


@pytest.mark.parametrize("text", ["dapi0123", "a.b.c", "a.e30.c", "a.e30", ""])
def test_tokens_that_do_not_tell_when_they_expire(text: str) -> None:
    assert lifetime_of(text, Clock()) is None
