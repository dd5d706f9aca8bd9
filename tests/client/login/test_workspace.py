"""Which host, and as whom: the order of credentials, and to whom none is sent."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from fakes.workspace import CLIENT, FakeWorkspace, Fault, fail, login_page, throttle

from dbrun.client.login.workspace import Login, Workspace
from dbrun.client.transport import Transport
from dbrun.errors import AuthError, RateLimited, Unavailable, UserError

ME = "/api/2.0/preview/scim/v2/Me"


@pytest.fixture(autouse=True)
def no_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would look at the machine that runs the tests."""
    # Each name, for another test of this process may have imported the SDK already.
    for name in ("databricks", "databricks.sdk", "databricks.sdk.core"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def fake() -> Iterator[FakeWorkspace]:
    with FakeWorkspace() as workspace:
        yield workspace


@pytest.fixture
def login() -> Iterator[Callable[..., Workspace]]:
    with Transport(environ={}) as sender:

        def make(environ: dict[str, str] | None = None, **named: Any) -> Workspace:
            return Workspace(Login(**named), sender, environ or {})

        yield make


def write_config(folder: Path, *sections: str) -> dict[str, str]:
    (folder / ".databrickscfg").write_text("\n".join(sections), encoding="utf-8")
    return {"HOME": str(folder)}


def tokens_of(fake: FakeWorkspace) -> list[str]:
    return [request.headers["authorization"] for request in fake.requests]


Make = Callable[..., Workspace]


def test_the_environment_s_token_goes_to_the_environment_s_host(
    fake: FakeWorkspace, login: Make
) -> None:
    workspace = login(fake.environ)
    assert workspace.get(ME).status == 200
    assert workspace.source == "DATABRICKS_TOKEN"
    assert tokens_of(fake) == [f"Bearer {fake.token}"]


def test_the_same_host_may_be_written_differently(fake: FakeWorkspace, login: Make) -> None:
    workspace = login(fake.environ, host=fake.url + "/?o=1")
    assert workspace.get(ME).status == 200


@pytest.mark.parametrize(
    "secrets",
    [
        {"DATABRICKS_TOKEN": "t0ken"},
        {"DATABRICKS_CLIENT_ID": "id", "DATABRICKS_CLIENT_SECRET": "s3cret"},
        {"DATABRICKS_USERNAME": "me", "DATABRICKS_PASSWORD": "passw0rd"},
    ],
)
@pytest.mark.parametrize("theirs", [{"DATABRICKS_HOST": "https://other.example"}, {}])
def test_the_environment_s_credentials_go_nowhere_else(
    fake: FakeWorkspace, login: Make, secrets: dict[str, str], theirs: dict[str, str]
) -> None:
    workspace = login({**secrets, **theirs}, host=fake.url)
    with pytest.raises(AuthError, match=r"not sent to http://127.*endpoint\.token") as caught:
        workspace.headers()
    assert not any(value in str(caught.value) for value in secrets.values() if len(value) > 2)
    assert not fake.requests


def test_a_token_that_the_spec_names_beats_the_environment(
    fake: FakeWorkspace, login: Make
) -> None:
    environ = {
        "DATABRICKS_HOST": "https://other.example",
        "DATABRICKS_TOKEN": "other",
        "MINE": fake.token,
    }
    workspace = login(environ, host=fake.url, token={"env": "MINE"})
    assert workspace.get(ME).status == 200
    assert workspace.source == "endpoint.token"


def test_a_token_may_be_a_secret_of_the_same_workspace(fake: FakeWorkspace, login: Make) -> None:
    fake.secrets["s", "k"] = fake.token
    workspace = login(fake.environ, token={"secret": "s/k"})
    assert workspace.get(ME).status == 200
    assert [request.path for request in fake.requests] == ["/api/2.0/secrets/get", ME]


def test_a_service_principal_of_the_environment(fake: FakeWorkspace, login: Make) -> None:
    environ = {
        "DATABRICKS_HOST": fake.url,
        "DATABRICKS_CLIENT_ID": CLIENT[0],
        "DATABRICKS_CLIENT_SECRET": CLIENT[1],
    }
    workspace = login(environ)
    for _ in range(3):
        assert workspace.get(ME).status == 200
    assert [request.path for request in fake.requests].count("/oidc/v1/token") == 1
    assert workspace.source == f"service principal {CLIENT[0]}"


def test_a_token_that_became_invalid_is_renewed_once(fake: FakeWorkspace, login: Make) -> None:
    environ = {
        "DATABRICKS_HOST": fake.url,
        "DATABRICKS_CLIENT_ID": CLIENT[0],
        "DATABRICKS_CLIENT_SECRET": CLIENT[1],
    }
    workspace = login(environ)
    workspace.get(ME)
    fake.revoke()
    assert workspace.get(ME).status == 200
    assert [request.path for request in fake.requests].count("/oidc/v1/token") == 2
    assert workspace.generation == 1


def test_the_token_beats_the_service_principal_unless_pinned(
    fake: FakeWorkspace, login: Make
) -> None:
    environ = {
        **fake.environ,
        "DATABRICKS_CLIENT_ID": CLIENT[0],
        "DATABRICKS_CLIENT_SECRET": CLIENT[1],
    }
    assert login(environ).source == "DATABRICKS_TOKEN"
    pinned = login({**environ, "DATABRICKS_AUTH_TYPE": "oauth-m2m"})
    assert pinned.source.startswith("service principal")
    with pytest.raises(AuthError):
        login({**environ, "DATABRICKS_AUTH_TYPE": "azure-cli"}).headers()


def test_a_profile_that_the_spec_names(fake: FakeWorkspace, login: Make, tmp_path: Path) -> None:
    config = write_config(
        tmp_path,
        "[DEFAULT]\nhost=https://other.example\ntoken=other",
        f"[work]\nhost={fake.url}\ntoken={fake.token}",
        f"[robot]\nhost={fake.url}\nclient_id={CLIENT[0]}\nclient_secret={CLIENT[1]}",
        f"[cli]\nhost={fake.url}\nauth_type=databricks-cli",
        "[hostless]\ntoken=x",
    )
    environ = {**config, "DATABRICKS_HOST": "https://env.example", "DATABRICKS_TOKEN": "env"}
    assert login(environ, profile="work").get(ME).status == 200
    assert login(environ, profile="robot").get(ME).status == 200
    with pytest.raises(AuthError, match="databricks-sdk"):
        login(environ, profile="cli").headers()
    with pytest.raises(AuthError, match="profile hostless has no host"):
        login(environ, profile="hostless").headers()
    with pytest.raises(UserError, match="no profile 'nope'"):
        login(environ, profile="nope").headers()
    with pytest.raises(AuthError, match="profile work belongs to http://127"):
        login(environ, profile="work", host="https://elsewhere.example").headers()


def test_the_default_profile_is_used_where_the_environment_is_silent(
    fake: FakeWorkspace, login: Make, tmp_path: Path
) -> None:
    environ = write_config(tmp_path, f"[DEFAULT]\nhost={fake.url}/\ntoken={fake.token}")
    workspace = login(environ)
    assert workspace.url == fake.url
    assert workspace.get(ME).status == 200
    assert workspace.source == "profile DEFAULT"


def test_the_default_profile_s_token_goes_to_its_host_only(
    fake: FakeWorkspace, login: Make, tmp_path: Path
) -> None:
    environ = write_config(tmp_path, "[DEFAULT]\nhost=https://other.example\ntoken=other")
    with pytest.raises(AuthError):
        login(environ, host=fake.url).headers()
    named = {**environ, "DATABRICKS_CONFIG_PROFILE": "DEFAULT"}
    with pytest.raises(AuthError, match=r"profile DEFAULT belongs to https://other\.example"):
        login(named, host=fake.url).headers()
    assert not fake.requests


def test_no_host_anywhere_is_told(login: Make) -> None:
    workspace = login({})
    assert workspace.known_url is None
    with pytest.raises(AuthError, match="set DATABRICKS_HOST and DATABRICKS_TOKEN"):
        _ = workspace.url


def test_the_host_that_only_the_sdk_knows(
    login: Make, monkeypatch: pytest.MonkeyPatch, fake: FakeWorkspace
) -> None:
    class Config:
        auth_type = "runtime"

        def __init__(self, **settings: Any) -> None:
            self.host = fake.url

        def authenticate(self) -> dict[str, str]:
            return {"Authorization": f"Bearer {fake.token}"}

    core = ModuleType("databricks.sdk.core")
    core.Config = Config  # type: ignore[attr-defined]
    for name in ("databricks", "databricks.sdk"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "databricks.sdk.core", core)
    workspace = login({})
    assert workspace.url == fake.url
    assert workspace.get(ME).status == 200
    assert workspace.source == "databricks-sdk (runtime)"


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A notebook on a cluster: its context can be changed, None where a thread has none."""
    state = SimpleNamespace(context=None)
    module = ModuleType("dbruntime.databricks_repl_context")
    module.get_context = lambda: state.context  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dbruntime", ModuleType("dbruntime"))
    monkeypatch.setitem(sys.modules, "dbruntime.databricks_repl_context", module)
    return state


def test_a_notebook_s_own_login(
    fake: FakeWorkspace, login: Make, notebook: SimpleNamespace
) -> None:
    notebook.context = SimpleNamespace(browserHostName=fake.url, apiToken=fake.token)
    workspace = login({})
    assert workspace.get(ME).status == 200
    assert workspace.source == "the notebook's login"
    notebook.context = None
    workspace.refresh(0)
    assert workspace.get(ME).status == 200


def test_a_notebook_s_token_goes_to_its_host_only(
    fake: FakeWorkspace, login: Make, notebook: SimpleNamespace
) -> None:
    notebook.context = SimpleNamespace(workspaceUrl="nb.example", apiToken="nb")
    assert login({}).known_url == "https://nb.example"
    with pytest.raises(AuthError):
        login({}, host=fake.url).headers()


def test_the_workspace_s_own_id(login: Make, notebook: SimpleNamespace, tmp_path: Path) -> None:
    named = {"DATABRICKS_HOST": "my.host", "DATABRICKS_WORKSPACE_ID": "17"}
    assert login(named).org_id == "17"
    assert login(named, host="other.host").org_id is None
    assert login(named, host="other.host/?o=18").org_id == "18"
    config = write_config(tmp_path, "[DEFAULT]\nhost=https://my.host/?o=19")
    assert login(config).org_id == "19"
    named_too = "[DEFAULT]\nhost=my.host\nworkspace_id=21\n[p]\nhost=p.host\nworkspace_id=22\n"
    config = write_config(tmp_path, named_too)
    assert (login(config).org_id, login(config, profile="p").org_id) == ("21", "22")
    notebook.context = SimpleNamespace(
        browserHostName="nb.example", apiToken="nb", workspaceId="20"
    )
    assert login({}).org_id == "20"
    notebook.context = None
    assert login({}).org_id is None


def test_a_secret_is_read_with_the_environment_s_credentials(
    fake: FakeWorkspace, login: Make
) -> None:
    fake.secrets["sco pe", "k&y"] = "grüße"
    assert login(fake.environ).read_secret("sco pe", "k&y") == "grüße"


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (Fault(path="/secrets", status=200, body={"value": "!"}), AuthError, "is not text"),
        (Fault(path="/secrets", status=200, body=[]), AuthError, "answers with no secret"),
        (login_page(path="/secrets"), AuthError, "answers with no secret where s/k is asked for"),
        (fail(400, path="/secrets"), AuthError, r"\(400\); check the workspace's credentials"),
        (fail(503, path="/secrets"), Unavailable, r"\(503\)"),
        (throttle(path="/secrets"), RateLimited, r"\(429\)"),
    ],
)
def test_a_secret_that_cannot_be_read_is_told(
    fake: FakeWorkspace, login: Make, fault: Fault, kind: type, said: str
) -> None:
    fake.script([fault])
    with pytest.raises(kind, match=said):
        login(fake.environ).read_secret("s", "k")


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        ("scope", r"secret scope/k .* \(404\): the scope has no such key; .* list-secrets scope`"),
        ("scoop", r"\(404\): there is no scope 'scoop'; see `databricks secrets list-scopes`"),
        ("closed", r"\(403\): no permission; ask for READ on the scope 'closed'"),
    ],
)
def test_what_is_wrong_with_a_secret_is_told(
    fake: FakeWorkspace, login: Make, scope: str, said: str
) -> None:
    fake.closed.add("closed")
    with pytest.raises(AuthError, match=said):
        login(fake.environ).read_secret(scope, "k")


def test_a_token_that_may_read_no_secret_because_it_is_refused(
    fake: FakeWorkspace, login: Make
) -> None:
    fake.revoke()
    with pytest.raises(AuthError, match="DATABRICKS_TOKEN is refused; renew it, or log in again"):
        login(fake.environ).read_secret("scope", "key")


@pytest.mark.parametrize("value", ["two\nlines", "grüße"])
def test_a_token_that_no_header_can_hold_is_told(
    fake: FakeWorkspace, login: Make, value: str
) -> None:
    with pytest.raises(AuthError, match="DATABRICKS_TOKEN holds characters that a header") as told:
        login({**fake.environ, "DATABRICKS_TOKEN": value}).headers()
    assert value not in str(told.value)


def test_messages_are_masked_before_any_login(login: Make) -> None:
    assert login({}).mask("Bearer abcdefgh") == "Bearer ***"
