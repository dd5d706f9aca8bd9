"""`dbrun doctor` on the workspace: who it is told to be, host, certificate, clock, proxy."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from acceptance.conftest import Project
from acceptance.doctoring import NOBODY, failing, lines
from fakes.certificates import make_certificates
from fakes.origin import Origin, ok
from fakes.workspace import CLIENT, TOKEN, FakeWorkspace, Fault, delay, login_page


def test_without_a_spec(project: Project, workspace: FakeWorkspace) -> None:
    said = project.run("doctor")
    assert said.code == 0
    assert lines(said, "login") == ["ok    login: someone@example.com, by DATABRICKS_TOKEN"]
    assert [request.path for request in workspace.requests] == [
        "/.well-known/databricks-config",
        "/api/2.0/preview/scim/v2/Me",
    ]
    assert "authorization" not in workspace.requests[0].headers


def test_where_nothing_is_set(project: Project) -> None:
    said = project.run("doctor")
    assert said.code == 0
    assert lines(said, "login")[0].startswith("warn  login: no Databricks workspace is set; set")


def test_a_service_principal_is_named(
    project: Project, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", CLIENT[0])
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", CLIENT[1])
    workspace.me = {"userName": CLIENT[0], "displayName": "nightly"}
    said = project.run("doctor")
    assert lines(said, "login") == [
        f"ok    login: {CLIENT[0]} (nightly), by service principal {CLIENT[0]}"
    ]
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", "mistyped-secret")
    said = project.run("doctor")
    assert said.code == 3
    assert "gives no OAuth token (401)" in failing(said)[0]
    assert "mistyped-secret" not in said.out


def test_a_token_that_is_refused(project: Project, workspace: FakeWorkspace) -> None:
    workspace.revoke()
    said = project.run("doctor", "tickets.yaml")
    assert said.code == 3
    assert failing(said) == [
        "fail  login: DATABRICKS_TOKEN is refused (403); renew the token, or log in again"
    ]
    assert lines(said, "endpoint", "task") == [], "of which nothing can be known"
    assert lines(said, "sink")


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (
            Fault(path="/Me", status=403, body={"detail": "User not in workspace"}),
            "login: DATABRICKS_TOKEN is known, and not let in (403: User not in workspace); have",
        ),
        (login_page(path="/Me"), "does not answer as a workspace (200); check the host"),
        (Fault(path="/Me", status=404, body={}), "does not answer as a workspace (404); check"),
        (Fault(path="/Me", reset=True), "login: 127.0.0.1:"),
        (
            Fault(
                path="/.well-known",
                status=307,
                headers={"location": "/login.html?error=private-link-validation-error:1"},
            ),
            "lets nobody in from this network: it wants a private link; run where",
        ),
    ],
)
def test_what_else_may_be_wrong_with_a_workspace(
    project: Project, workspace: FakeWorkspace, fault: Fault, found: str
) -> None:
    workspace.script([fault])
    said = project.run("doctor", "tickets.yaml")
    assert said.code == 3
    (line,) = failing(said)
    assert found in line


def test_a_host_that_is_not_there(
    project: Project, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", NOBODY)
    said = project.run("doctor", "tickets.yaml")
    assert said.code == 3
    (line,) = failing(said)
    assert line.startswith("fail  host: cannot connect to 127.0.0.1:9: connection refused; check")


def test_a_host_that_is_none(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", "http://my.host")
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
    said = project.run("doctor")
    assert said.code == 3
    assert "DATABRICKS_HOST: plain http would send the token in the clear" in failing(said)[0]


def test_a_host_whose_certificate_nobody_vouches_for(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tls").mkdir()
    made = make_certificates(tmp_path / "tls")
    answer = ok(b'{"userName": "me"}', "Content-Type: application/json")
    with Origin(answer, tls=made.server) as origin, Plain() as plain:
        monkeypatch.setenv("DATABRICKS_HOST", origin.url())
        monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
        (line,) = failing(project.run("doctor"))
        assert "is not trusted: " in line
        assert line.endswith("REQUESTS_CA_BUNDLE, to the file of the authority that signed it")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", made.authority)
        assert project.run("doctor").code == 0
        monkeypatch.setenv("DATABRICKS_HOST", plain.url(scheme="https"))
        (line,) = failing(project.run("doctor"))
        assert line.endswith("check scheme and port: it may speak plain http, or another TLS")


class Plain(Origin):
    """Takes a TLS handshake for a request that it does not understand."""

    def converse(self, sock: socket.socket, number: int) -> None:
        sock.recv(10)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_host_that_says_nothing(project: Project, workspace: FakeWorkspace) -> None:
    workspace.script([delay(20, path="/.well-known")])
    said = project.run("doctor", "--timeout", "0.2")
    assert said.code == 3
    assert lines(said, "login") == []
    assert lines(said, "host")[0].startswith("fail  host: no")


@pytest.mark.parametrize(
    ("ahead", "line"),
    [
        (0.0, "ok    clock: agrees with the server's"),
        (30.0, "ok    clock: 30 s behind the server's"),
        (600.0, "warn  clock: 600 s behind the server's; set it by a time server"),
        (-600.0, "warn  clock: 600 s ahead of the server's; set it by a time server"),
    ],
)
def test_clocks(project: Project, workspace: FakeWorkspace, ahead: float, line: str) -> None:
    workspace.ahead = ahead + 0.5 if ahead else 0.0  # the header knows no parts of seconds
    said = project.run("doctor")
    assert said.code == 0
    (found,) = lines(said, "clock")
    number = str(round(abs(ahead)))
    near = [str(round(abs(ahead)) + off) for off in (-1, 0, 1)]
    assert any(found.startswith(line.replace(number, one)) for one in near)


def test_the_proxy_on_the_way_is_named_without_its_password(
    project: Project, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = ok(b'{"userName": "me"}', "Content-Type: application/json")
    with Origin(answer) as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:hush@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        said = project.run("doctor")
        proxy._answers[:] = [ok(b"", status="407 Proxy Authentication Required")]
        refused = project.run("doctor")
    assert f" s, by way of the proxy 127.0.0.1:{proxy.port}\n" in said.out
    assert refused.code == 3
    assert "refuses" in failing(refused)[0]
    assert "hush" not in said.out + refused.out
