"""The chain of the real databricks-sdk, against the fake workspace: nothing of it is replaced.

The SDK reads the process's own environment, so that is what these tests set.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import pytest
from fakes.certificates import Certificates, make_certificates
from fakes.cli_login import FakeCli
from fakes.origin import Origin, ok
from fakes.workspace import CLIENT, FakeWorkspace

from dbrun.client.login.auth_sdk import SdkAuth
from dbrun.client.login.workspace import Login, Workspace
from dbrun.client.transport import Transport
from dbrun.errors import AuthError, Unreachable, UserError

pytestmark = pytest.mark.filterwarnings("default")  # what the SDK warns of is its own affair

ME = "/api/2.0/preview/scim/v2/Me"
Make = Callable[..., Workspace]


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a PATH without any login."""
    for name in list(os.environ):
        if name.startswith(("DATABRICKS_", "ARM_", "ACTIONS_", "GOOGLE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return tmp_path


@pytest.fixture
def fake() -> Iterator[FakeWorkspace]:
    with FakeWorkspace() as workspace:
        yield workspace


@pytest.fixture
def login() -> Iterator[Make]:
    with Transport(environ={}) as sender:
        yield lambda **named: Workspace(Login(**named), sender, os.environ)


def paths(fake: FakeWorkspace) -> list[str]:
    return [request.path for request in fake.requests]


# --- what needs no SDK leaves it alone ----------------------------------------------------------


def test_a_token_and_a_service_principal_ask_the_host_nothing_else(
    fake: FakeWorkspace, login: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", fake.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", fake.token)
    assert login().get(ME).status == 200
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", CLIENT[0])
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", CLIENT[1])
    assert login().get(ME).status == 200
    assert paths(fake) == [ME, "/oidc/v1/token", ME]


def test_a_host_where_nobody_answers_is_not_taken_for_lack_of_a_login(login: Make) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        host = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unreachable, match=r"cannot connect to 127\.0\.0\.1"):
            login(host=host).get(ME)


# --- the SDK's own ways -------------------------------------------------------------------------


def test_a_personal_token(fake: FakeWorkspace) -> None:
    auth = SdkAuth({"host": fake.url, "token": fake.token})
    assert auth.headers() == {"Authorization": f"Bearer {fake.token}"}
    assert auth.source == "databricks-sdk (pat)"
    assert not auth.is_due
    assert auth.headers() is auth.headers()


def test_oauth_of_a_service_principal(fake: FakeWorkspace) -> None:
    fake.metadata = True
    client = {"client_id": CLIENT[0], "client_secret": CLIENT[1]}
    auth = SdkAuth({"host": fake.url, "auth_type": "oauth-m2m", **client})
    for _ in range(3):
        assert auth.headers() == {"Authorization": "Bearer oauth-token-1"}
    assert auth.is_due
    assert fake.tokens_given == 1
    auth.refresh(0)
    assert auth.headers() == {"Authorization": "Bearer oauth-token-2"}


def test_a_host_that_does_not_tell_where_it_gives_tokens(fake: FakeWorkspace) -> None:
    client = {"client_id": CLIENT[0], "client_secret": CLIENT[1]}
    with pytest.raises(AuthError, match=f"for {fake.url}: .*; set DATABRICKS_HOST") as caught:
        SdkAuth({"host": fake.url, "auth_type": "oauth-m2m", **client}).headers()
    assert CLIENT[1] not in str(caught.value)


@pytest.fixture
def cli(bare: Path, fake: FakeWorkspace) -> FakeCli:
    return FakeCli(bare, fake)


def write_profile(home: Path, name: str, **keys: str) -> None:
    lines = [f"[{name}]", *(f"{key} = {value}" for key, value in keys.items())]
    with (home / ".databrickscfg").open("a", encoding="utf-8") as file:
        file.write("\n".join([*lines, ""]))


def test_the_login_of_the_command_line(
    fake: FakeWorkspace, login: Make, bare: Path, cli: FakeCli
) -> None:
    write_profile(bare, "work", host=fake.url, auth_type="databricks-cli")
    cli.give("cli-token-1", 3600)
    workspace = login(profile="work")
    for _ in range(3):
        assert workspace.get(ME).status == 200
    assert workspace.source == "databricks-sdk (databricks-cli)"
    assert cli.asked == 1
    fake.revoke("cli-token-1")
    cli.give("cli-token-2", 3600)
    assert workspace.get(ME).status == 200
    assert cli.asked == 2
    assert workspace.mask("cli-token-1 cli-token-2") == "*** ***"


def test_a_token_of_the_command_line_that_expires_is_asked_for_anew(
    fake: FakeWorkspace, login: Make, bare: Path, cli: FakeCli
) -> None:
    write_profile(bare, "work", host=fake.url, auth_type="databricks-cli")
    cli.give("cli-token-1", 20)  # counts as expired: the SDK leaves a margin of 40 s
    workspace = login(profile="work")
    workspace.get(ME)
    cli.give("cli-token-2", 3600)
    workspace.get(ME)
    assert fake.requests[-1].headers["authorization"] == "Bearer cli-token-2"
    assert workspace.generation == 0


def test_a_command_line_that_is_not_logged_in(
    fake: FakeWorkspace, login: Make, bare: Path, cli: FakeCli
) -> None:
    write_profile(bare, "work", host=fake.url, auth_type="databricks-cli")
    with pytest.raises(AuthError, match=f"no credentials for {fake.url}: .*log in with the CLI"):
        login(profile="work").headers()


def test_a_profile_in_a_file_of_another_name(
    fake: FakeWorkspace, login: Make, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_profile(bare, "DEFAULT", host=f"{fake.url}/?o=1", token=fake.token)
    (bare / ".databrickscfg").rename(bare / "elsewhere.cfg")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(bare / "elsewhere.cfg"))
    auth = SdkAuth({"profile": "DEFAULT"})
    assert auth.headers() == {"Authorization": f"Bearer {fake.token}"}
    assert login().get(ME).status == 200  # and the same without it


def test_a_token_of_another_issuer(
    fake: FakeWorkspace, login: Make, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.metadata = True
    fake.id_tokens = {"id-token-1", "id-token-2"}
    monkeypatch.setenv("DATABRICKS_HOST", fake.url)
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", "client-1")
    monkeypatch.setenv("DATABRICKS_OIDC_TOKEN", "id-token-1")
    workspace = login()
    for _ in range(3):
        assert workspace.get(ME).status == 200
    assert workspace.source == "databricks-sdk (env-oidc)"
    assert fake.tokens_given == 1
    monkeypatch.delenv("DATABRICKS_OIDC_TOKEN")
    (bare / "id-token").write_text("id-token-2", encoding="utf-8")
    monkeypatch.setenv("DATABRICKS_OIDC_TOKEN_FILEPATH", str(bare / "id-token"))
    with pytest.raises(
        AuthError, match=r"more than one .*file-oidc.*; name the one to use in DATA"
    ):
        login().headers()
    monkeypatch.setenv("DATABRICKS_AUTH_TYPE", "file-oidc")
    workspace = login()
    assert workspace.get(ME).status == 200
    assert workspace.source == "databricks-sdk (file-oidc)"


def test_a_metadata_service(
    fake: FakeWorkspace, login: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.tokens["metadata-token"] = float("inf")
    expires = datetime.now().timestamp() + 3600
    told = {"access_token": "metadata-token", "token_type": "Bearer", "expires_on": expires}
    with Origin(ok(json.dumps(told).encode(), "Content-Type: application/json")) as service:
        monkeypatch.setenv("DATABRICKS_HOST", fake.url)
        monkeypatch.setenv("DATABRICKS_METADATA_SERVICE_URL", service.url("/token"))
        workspace = login()
        assert workspace.get(ME).status == 200
    assert workspace.source == "databricks-sdk (metadata-service)"
    assert {request.header("x-databricks-host") for request in service.requests} == {fake.url}


AZURE = "adb-1234567890.7.azuredatabricks.net"
ENTRA = "login.microsoftonline.com"
RESOURCE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Databricks/workspaces/w"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"), f"DNS:{ENTRA},DNS:{AZURE}")


@pytest.fixture
def azure(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Azure, its two hosts played by servers of ours: a proxy leads both names to them."""
    told = {"access_token": "entra-token", "token_type": "Bearer", "expires_in": "3600"}
    answer = ok(json.dumps(told).encode(), "Content-Type: application/json")
    tls = certificates.server
    with Origin(answer, tls=tls) as entra, Origin(ok(b"{}"), tls=tls) as host:
        with Detour({ENTRA: entra.port, AZURE: host.port}) as proxy:
            monkeypatch.setenv("DATABRICKS_HOST", AZURE)
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificates.authority)
            with Transport(environ=os.environ) as sender:
                workspace = Workspace(Login(), sender, os.environ)
                yield SimpleNamespace(workspace=workspace, entra=entra, host=host)


def test_an_azure_service_principal(
    azure: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_AZURE_RESOURCE_ID", RESOURCE)
    monkeypatch.setenv("ARM_TENANT_ID", "tenant-1")
    monkeypatch.setenv("ARM_CLIENT_ID", "client-1")
    monkeypatch.setenv("ARM_CLIENT_SECRET", "azure-hush")
    for _ in range(3):
        assert azure.workspace.get(ME).status == 200
    assert azure.workspace.source == "databricks-sdk (azure-client-secret)"
    assert {request.lines[0] for request in azure.entra.requests} == {
        "POST /tenant-1/oauth2/token HTTP/1.1"
    }
    wanted = [parse_qs(request.body.decode())["resource"][0] for request in azure.entra.requests]
    assert sorted(wanted) == [
        "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d",
        "https://management.core.windows.net/",
    ]
    sent = azure.host.requests[-1]
    assert sent.header("authorization") == "Bearer entra-token"
    assert sent.header("x-databricks-azure-workspace-resource-id") == RESOURCE
    assert sent.header("x-databricks-azure-sp-management-token") == "entra-token"
    assert azure.workspace.mask("azure: entra-token") == "azure: ***"


AZ = """\
#!/bin/sh
echo '{"accessToken": "az-token", "tokenType": "Bearer", "expiresOn": "2100-01-01 00:00:00.0"}'
"""


def test_the_login_of_the_azure_command_line(
    azure: SimpleNamespace, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = bare / "bin/az"
    program.parent.mkdir()
    program.write_text(AZ, encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("ARM_TENANT_ID", "tenant-1")
    assert azure.workspace.get(ME).status == 200
    assert azure.workspace.source == "databricks-sdk (azure-cli)"
    assert azure.host.requests[-1].header("authorization") == "Bearer az-token"


def test_the_azure_login_does_not_go_to_other_hosts(
    fake: FakeWorkspace, login: Make, bare: Path
) -> None:
    program = bare / "bin/az"
    program.parent.mkdir()
    program.write_text(AZ, encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(AuthError, match="no credentials for"):
        login(host=fake.url).headers()
    assert not any("authorization" in request.headers for request in fake.requests)


class Detour(Origin):
    """A proxy that leads tunnels to ports of this machine, by the name they are to."""

    def __init__(self, ports: dict[str, int]) -> None:
        self._ports = ports
        super().__init__()

    def converse(self, sock: socket.socket, number: int) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(65536)
        name = head.split()[1].decode().partition(":")[0]
        sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", self._ports[name])) as far:
            back = threading.Thread(target=_pump, args=(far, sock))
            back.start()
            _pump(sock, far)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


# --- clusters -----------------------------------------------------------------------------------


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A cluster: what jobs and notebooks log in with, as the runtime gives it."""
    state = SimpleNamespace(host="https://nowhere.example", token="job-token-1", context=None)

    def init_runtime_native_auth() -> Any:
        return state.host, lambda: {"Authorization": f"Bearer {state.token}"}

    provider = ModuleType("dbruntime.sdk_credential_provider")
    provider.init_runtime_native_auth = init_runtime_native_auth  # type: ignore[attr-defined]
    repl = ModuleType("dbruntime.databricks_repl_context")
    repl.get_context = lambda: state.context  # type: ignore[attr-defined]
    namespace = SimpleNamespace(get_namespace_globals=dict)
    runtime = ModuleType("dbruntime")
    runtime.UserNamespaceInitializer = SimpleNamespace(  # type: ignore[attr-defined]
        getOrCreate=lambda: namespace
    )
    monkeypatch.setitem(sys.modules, "dbruntime", runtime)
    monkeypatch.setitem(sys.modules, "dbruntime.sdk_credential_provider", provider)
    monkeypatch.setitem(sys.modules, "dbruntime.databricks_repl_context", repl)
    for name in [name for name in sys.modules if name.startswith("databricks.sdk.runtime")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "15.4")
    return state


def test_a_job_s_own_login_renews(
    fake: FakeWorkspace, login: Make, cluster: SimpleNamespace
) -> None:
    cluster.host = fake.url
    workspace = login()
    assert workspace.url == fake.url
    for token in ("job-token-1", "job-token-2"):
        cluster.token = token
        fake.tokens[token] = float("inf")
        assert workspace.get(ME).status == 200
    sent = [request.headers["authorization"] for request in fake.requests if request.path == ME]
    assert sent == ["Bearer job-token-1", "Bearer job-token-2"]
    assert workspace.source.startswith("databricks-sdk (runtime")


def test_a_job_s_own_login_goes_to_its_workspace_only(
    fake: FakeWorkspace, login: Make, cluster: SimpleNamespace
) -> None:
    cluster.host = "https://home.example"
    with pytest.raises(AuthError, match=r"home\.example only, which are not sent to http://127"):
        login(host=fake.url).headers()
    assert ME not in paths(fake)


def test_a_notebook_s_own_login_needs_no_sdk(
    fake: FakeWorkspace, login: Make, cluster: SimpleNamespace
) -> None:
    cluster.context = SimpleNamespace(browserHostName=fake.url, apiToken=fake.token)
    workspace = login()
    assert workspace.get(ME).status == 200
    assert workspace.source == "the notebook's login"
    assert paths(fake) == [ME]


# --- to whom nothing is sent --------------------------------------------------------------------


@pytest.fixture
def other() -> Iterator[FakeWorkspace]:
    with FakeWorkspace() as workspace:
        yield workspace


def test_a_profile_s_token_does_not_go_to_the_environment_s_host(
    fake: FakeWorkspace,
    other: FakeWorkspace,
    login: Make,
    bare: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_profile(bare, "work", host=fake.url, token="dapi-of-work")
    monkeypatch.setenv("DATABRICKS_HOST", other.url)
    monkeypatch.setenv("DATABRICKS_CONFIG_PROFILE", "work")
    with pytest.raises(AuthError, match=f"profile work belongs to {fake.url} and is not used for"):
        login().headers()
    assert paths(other) == paths(fake) == []


def test_the_environment_s_token_does_not_go_to_a_profile_s_host(
    fake: FakeWorkspace,
    other: FakeWorkspace,
    login: Make,
    bare: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_profile(bare, "cloud", host=fake.url, azure_client_id="client-1")
    write_profile(bare, "typed", host=fake.url, auth_type="databricks-cli")
    monkeypatch.setenv("DATABRICKS_HOST", other.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-of-the-environment")
    with pytest.raises(AuthError, match="cannot be used while DATABRICKS_TOKEN is set"):
        login(profile="cloud").headers()
    with pytest.raises(AuthError, match=f"no credentials for {fake.url}"):
        login(profile="typed").headers()
    assert paths(other) == []
    assert not any("authorization" in request.headers for request in fake.requests)


def test_another_issuer_s_token_goes_to_the_environment_s_host_only(
    fake: FakeWorkspace, login: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_OIDC_TOKEN", "id-token")
    with pytest.raises(AuthError, match="DATABRICKS_OIDC_TOKEN is set without DATABRICKS_HOST"):
        login(host=fake.url).headers()
    assert paths(fake) == []


def test_a_client_without_its_secret_is_told(
    fake: FakeWorkspace, login: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", fake.url)
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", CLIENT[0])
    with pytest.raises(AuthError, match="is set without DATABRICKS_CLIENT_SECRET; set both"):
        login().headers()


def test_a_profile_that_is_not_there_is_told(
    fake: FakeWorkspace, login: Make, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_profile(bare, "work", host=fake.url, token=fake.token)
    monkeypatch.setenv("DATABRICKS_CONFIG_PROFILE", "wrok")
    for workspace in (login(), login(host=fake.url)):
        with pytest.raises(UserError, match=r"CONFIG_PROFILE: no profile 'wrok'.*there is work"):
            workspace.headers()


def test_a_pinned_way_is_the_only_one(
    fake: FakeWorkspace, login: Make, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_profile(bare, "DEFAULT", host=fake.url, token=fake.token)
    monkeypatch.setenv("DATABRICKS_AUTH_TYPE", "pat")
    assert login().source == "profile DEFAULT"
    monkeypatch.setenv("DATABRICKS_AUTH_TYPE", "databricks-cli")
    with pytest.raises(AuthError, match="no credentials for"):
        login().headers()
