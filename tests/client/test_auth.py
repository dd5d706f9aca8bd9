"""Tokens that renew, service principals, and the chain of databricks-sdk."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any, ClassVar

import pytest
import requests
from fakes.workspace import CLIENT, FakeWorkspace, fail, throttle

from dbrun.client.auth import (
    NoAuth,
    Token,
    TokenAuth,
    client_credentials,
    token_refused,
)
from dbrun.client.credentials import Secret
from dbrun.client.login.auth_sdk import SdkAuth
from dbrun.client.transport import Transport
from dbrun.clock import Clock
from dbrun.errors import AuthError, Unavailable


class FakeClock(Clock):
    time = 0.0

    def now(self) -> float:
        return self.time


@pytest.mark.parametrize(
    ("status", "message", "refused"),
    [
        (401, "anything", True),
        (403, "Invalid access token.", True),
        (403, "Invalid Token", True),
        (403, "Error 403 Invalid access token.", True),
        (403, "The access token expired", True),
        (403, "Token is expired", True),
        (403, "token has been revoked", True),
        (403, "PERMISSION_DENIED: you may not", False),
        (400, "Invalid access token.", False),
    ],
)
def test_when_credentials_are_no_good(status: int, message: str, refused: bool) -> None:
    assert token_refused(status, message) is refused


def counting(lifetime: float | None) -> tuple[TokenAuth, FakeClock, list[int]]:
    clock = FakeClock()
    fetched: list[int] = []

    def fetch() -> Token:
        fetched.append(1)
        return Token(secret=Secret(f"token-{len(fetched)}"), lifetime=lifetime)

    return TokenAuth(fetch, "here", clock), clock, fetched


def test_a_token_is_fetched_when_it_is_needed_and_kept() -> None:
    auth, clock, fetched = counting(None)
    assert not fetched
    for _ in range(3):
        assert auth.headers() == {"Authorization": "Bearer token-1"}
        clock.time += 1e9
    assert len(fetched) == 1


@pytest.mark.parametrize(
    ("lifetime", "fresh", "stale"), [(3600.0, 3559.0, 3560.0), (30.0, 14.0, 15.0)]
)
def test_a_token_is_renewed_before_it_expires(lifetime: float, fresh: float, stale: float) -> None:
    auth, clock, _ = counting(lifetime)
    auth.headers()
    clock.time = fresh
    assert auth.headers() == {"Authorization": "Bearer token-1"}
    clock.time = stale
    assert auth.headers() == {"Authorization": "Bearer token-2"}


def test_only_the_first_of_those_refused_together_fetches_anew() -> None:
    auth, _, fetched = counting(None)
    auth.headers()
    for _ in range(3):
        auth.refresh(0)
    auth.headers()
    assert (auth.generation, len(fetched)) == (1, 2)
    auth.refresh(1)
    auth.headers()
    assert (auth.generation, len(fetched)) == (2, 3)


def test_threads_that_need_a_token_together_fetch_it_once() -> None:
    started = threading.Barrier(8, timeout=10)
    auth, _, fetched = counting(None)

    def ask(_: int) -> Any:
        started.wait()
        return auth.headers()

    with ThreadPoolExecutor(8) as pool:
        assert len({headers["Authorization"] for headers in pool.map(ask, range(8))}) == 1
    assert len(fetched) == 1


def test_a_fetch_that_fails_is_repeated_by_the_next_request() -> None:
    answers: list[Any] = [Unavailable("down", 503), Token(secret=Secret("t"))]

    def fetch() -> Token:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    auth = TokenAuth(fetch, "here")
    with pytest.raises(Unavailable):
        auth.headers()
    assert auth.headers() == {"Authorization": "Bearer t"}


def test_every_token_that_was_used_is_masked() -> None:
    auth, _, _ = counting(None)
    auth.headers()
    auth.refresh(0)
    auth.headers()
    assert auth.mask("token-1, token-2, token-3") == "***, ***, token-3"


def test_no_credentials_are_no_headers() -> None:
    auth = NoAuth()
    auth.refresh(0)
    assert auth.headers() == {}
    assert auth.mask("Bearer abcdefgh") == "Bearer ***"
    assert auth.source == "requests without credentials"


@pytest.fixture
def sender() -> Iterator[Transport]:
    with Transport(environ={}) as transport:
        yield transport


@pytest.fixture
def workspace() -> Iterator[FakeWorkspace]:
    with FakeWorkspace() as fake:
        yield fake


def test_a_service_principal_gets_a_token(workspace: FakeWorkspace, sender: Transport) -> None:
    token = client_credentials(sender, workspace.url, CLIENT[0], Secret(CLIENT[1]))()
    assert (token.secret.reveal(), token.lifetime) == ("oauth-token-1", 3600.0)
    (request,) = workspace.requests
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.body == b"grant_type=client_credentials&scope=all-apis"


def test_a_wrong_client_is_told_without_its_secret(
    workspace: FakeWorkspace, sender: Transport
) -> None:
    fetch = client_credentials(sender, workspace.url, "me", Secret("wrong-secret"))
    with pytest.raises(AuthError, match=r"\(401\): Client authentication failed") as caught:
        fetch()
    assert "check the service principal me" in str(caught.value)
    assert "wrong-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (fail(503, "html", path="/oidc"), Unavailable),
        (throttle(path="/oidc"), Unavailable),
        (fail(404, "plain", path="/oidc"), AuthError),
    ],
)
def test_a_token_server_in_trouble(
    workspace: FakeWorkspace, sender: Transport, fault: Any, kind: type
) -> None:
    workspace.script([fault])
    with pytest.raises(kind):
        client_credentials(sender, workspace.url, CLIENT[0], Secret(CLIENT[1]))()


class FakeConfig:
    """What databricks-sdk's Config looks like from outside."""

    made: ClassVar[list[dict[str, Any]]]

    def __init__(self, **settings: Any) -> None:
        if settings.get("host") == "https://nobody":
            raise ValueError("cannot configure default credentials. Config: token=t0ken. Env: X")
        type(self).made.append(settings)
        self.host = settings.get("host", "https://found")
        self.auth_type = "databricks-cli"
        self.number = len(type(self).made)

    def authenticate(self) -> dict[str, str]:
        if self.host == "https://broken":
            raise RuntimeError("the CLI is not logged in")
        return {"Authorization": f"Bearer sdk-token-{self.number}", "X-Azure": "azure-secret"}


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> type[FakeConfig]:
    class Config(FakeConfig):
        made: ClassVar[list[dict[str, Any]]] = []

    core = ModuleType("databricks.sdk.core")
    core.Config = Config  # type: ignore[attr-defined]
    for name in ("databricks", "databricks.sdk"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "databricks.sdk.core", core)
    return Config


def test_the_sdk_is_set_up_once_and_asked_every_time(sdk: type[FakeConfig]) -> None:
    auth = SdkAuth({"profile": "p"})
    assert not sdk.made
    for _ in range(3):
        assert auth.headers()["Authorization"] == "Bearer sdk-token-1"
    assert auth.host == "https://found"
    assert auth.source == "databricks-sdk (databricks-cli)"
    assert sdk.made == [{"profile": "p", "http_timeout_seconds": 30, "retry_timeout_seconds": 30}]
    assert auth.mask("sdk-token-1 and azure-secret") == "*** and ***"


def test_a_refresh_sets_the_sdk_up_anew(sdk: type[FakeConfig]) -> None:
    auth = SdkAuth({})
    auth.headers()
    auth.refresh(0)
    auth.refresh(0)
    assert auth.headers()["Authorization"] == "Bearer sdk-token-2"
    assert auth.generation == 1


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("https://nobody", "for https://nobody: nothing is set, and .*; set DATABRICKS_HOST"),
        ("https://broken", "for https://broken: the CLI is not logged in; set DATABRICKS_HOST"),
    ],
)
def test_an_sdk_without_a_login_is_told(sdk: type[FakeConfig], host: str, said: str) -> None:
    with pytest.raises(AuthError, match=said) as caught:
        SdkAuth({"host": host}).headers()
    assert "t0ken" not in str(caught.value)


def test_a_login_that_cannot_be_renewed_for_a_moment_is_tried_again(
    sdk: type[FakeConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once there was one: at the start a name that leads nowhere is a mistake, not an outage."""

    def unplugged(self: FakeConfig) -> dict[str, str]:
        try:
            raise requests.exceptions.ReadTimeout("login.example")
        except OSError as error:
            raise ValueError("no token") from error

    auth, fresh = SdkAuth({}), SdkAuth({})
    auth.headers()
    with monkeypatch.context() as patched:
        patched.setattr(sdk, "authenticate", unplugged)
        with pytest.raises(Unavailable, match="cannot renew the login: no token"):
            auth.headers()
        with pytest.raises(AuthError, match="finds no credentials for https://found: no token"):
            fresh.headers()
    assert auth.headers()


def test_an_sdk_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # All three: another test may have imported the real one already.
    for name in ("databricks", "databricks.sdk", "databricks.sdk.core"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(AuthError, match=r"pip install 'dbrun\[databricks\]'"):
        SdkAuth({}).headers()


def test_warnings_of_the_sdk_are_not_printed_where_logging_is_not_configured(
    sdk: type[FakeConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("databricks")
    monkeypatch.setattr(logger, "handlers", [])
    SdkAuth({}).headers()
    SdkAuth({}).headers()
    assert [type(handler) for handler in logger.handlers] == [logging.NullHandler]
