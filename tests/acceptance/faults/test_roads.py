"""The way to the endpoint: names that do not exist, certificates, proxies, redirects."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from acceptance.faults.bench import Bench
from fakes.certificates import Certificates, make_certificates
from fakes.faults import cut, fail, redirect, reset, stall, throttle
from fakes.origin import CLOSE, Origin, Pause, ok
from fakes.workspace import FakeWorkspace

NOBODY = "127.0.0.1:9"
PASSWORD = "hush-" + "0123456789abcdef"


def end_at(bench: Bench, monkeypatch: pytest.MonkeyPatch, host: str, *says: str) -> None:
    """A run whose workspace is at *host* ends with 3; at the right one it then goes well."""
    bench.spec(attempts=1)
    with monkeypatch.context() as patched:
        patched.setenv("DATABRICKS_HOST", host)
        ended = bench.run()
    assert ended.code == 3
    ended.says(*says, "; ")
    assert ended.records == {}
    bench.mend(lacking=10)


def test_a_host_that_does_not_exist(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RES_OPTIONS", "attempts:1 timeout:1")  # where no name server answers
    says = "no host named 'no-workspace.invalid'|'no-workspace.invalid' could not be looked up"
    end_at(bench, monkeypatch, "https://no-workspace.invalid", says)


def test_nobody_there(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    end_at(bench, monkeypatch, f"http://{NOBODY}", "never reachable: .*connection refused")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


def test_a_certificate_that_nobody_vouches_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, certificates: Certificates
) -> None:
    with Origin(ok(), tls=certificates.server) as origin:
        end_at(bench, monkeypatch, origin.url(""), "is not trusted", "REQUESTS_CA_BUNDLE")
        assert origin.requests == []


def test_a_certificate_of_another_host(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, certificates: Certificates
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificates.authority)
    with Origin(ok(), tls=certificates.server) as origin:
        host = f"https://localhost:{origin.port}"
        end_at(bench, monkeypatch, host, "is not trusted: .*localhost")
        assert origin.requests == []


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n", CLOSE], "TLS failed"),
        ([Pause(30)], "no answer to the connection"),
    ],
    ids=["plain HTTP", "silence"],
)
def test_a_server_that_speaks_no_tls(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, steps: list[object], says: str
) -> None:
    with Mute(steps) as origin:
        end_at(bench, monkeypatch, origin.url("", "https"), "never reachable", says)


class Mute(Origin):
    """Does its steps before it has understood anything."""

    def __init__(self, steps: list[object]) -> None:
        self._steps = steps
        super().__init__()

    def converse(self, sock, number) -> None:
        sock.recv(10)
        self._perform(sock, self._steps)


def test_a_redirect_is_not_followed(bench: Bench) -> None:
    with FakeWorkspace() as other:
        bench.workspace.script([redirect(f"{other.url}/serving-endpoints/chat/invocations")])
        ended = bench.run()
        assert other.requests == []
    assert ended.code == 3
    ended.says(r"redirects \(307\) to 127.0.0.1:\d+/serving-endpoints")
    assert ended.records == {}
    bench.mend(lacking=10)


@pytest.fixture
def proxied(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """The workspace is its own proxy, which wants a password."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    through(monkeypatch, bench.workspace.url.removeprefix("http://"))
    yield bench
    assert bench.holders_of(PASSWORD) == []
    assert not any(PASSWORD in said for said in bench.project.said)


def through(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """Send everything through *proxy*."""
    monkeypatch.setenv("http_proxy", f"http://somebody:{PASSWORD}@{proxy}")


IN_THE_PROXY = [
    *(reset(), reset(-20), reset(30), cut(-9999), cut(-20), cut(30)),
    *(stall(30), stall(30, -20), stall(30, 20)),
    *(fail(502, "html"), fail(503, "html"), fail(504, "plain"), throttle(), throttle(0)),
]


def test_what_breaks_in_a_proxy_is_tried_again(proxied: Bench) -> None:
    rows = [{"id": f"T-{n}", "text": f"ticket {n}."} for n in range(len(IN_THE_PROXY))]
    proxied.rows(rows)
    for row, fault in zip(rows, IN_THE_PROXY, strict=True):
        fault.contains, fault.times = row["text"], 1
    proxied.workspace.script(IN_THE_PROXY)
    ended = proxied.run()
    assert ended.code == 0
    assert ended.requests["sent"] == 2 * len(rows)
    assert "proxy-authorization" in proxied.workspace.calls[0].headers
    proxied.mend(lacking=0)


def test_a_proxy_that_is_not_there(proxied: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    proxied.spec(attempts=1)
    with monkeypatch.context() as patched:
        through(patched, NOBODY)
        ended = proxied.run()
    assert ended.code == 3
    ended.says("never reachable: .*proxy")
    proxied.mend(lacking=10)


def test_a_proxy_that_refuses_the_password(proxied: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with Origin(ok(b"who are you?", status="407 Proxy Authentication Required")) as proxy:
        with monkeypatch.context() as patched:
            through(patched, f"127.0.0.1:{proxy.port}")
            ended = proxied.run()
        assert len(proxy.requests) <= 4, "refused once, refused always"
    assert ended.code == 3
    ended.says("407")
    assert ended.records == {}
    proxied.mend(lacking=10)
