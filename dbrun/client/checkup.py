"""Is a server there, and who are we to it? Looked at without asking any model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from ..clock import Clock
from ..errors import DbrunError, EndpointError, RunError, TimedOut, Unreachable
from ..findings import FAIL, OK, WARN, Check, Finding
from .auth import Sender, token_refused
from .credentials import mask
from .http.environment import proxy_for
from .login.workspace import Workspace
from .transport import HttpRequest, HttpResponse

ME = "/api/2.0/preview/scim/v2/Me"
_PROBE = "/.well-known/databricks-config"
_MOST_SKEW = 60.0
"""Seconds by which clocks may differ before tokens are taken for expired, or not yet valid."""


def ask(
    sender: Sender,
    url: str,
    timeout: float,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """The answer of *url*, whatever its status."""
    request = HttpRequest(method="GET", url=url, headers=headers or {}, body=None)
    return sender.send(request, timeout)


def reach(
    subject: str,
    sender: Sender,
    url: str,
    timeout: float,
    environ: Mapping[str, str],
    clock: Clock,
) -> Iterator[Finding]:
    """Whether a server answers at *url* at all, over TLS and proxies, and what time it has.

    No credentials are sent: any answer will do.
    """
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    way = _way(url, environ)
    started = clock.now()
    try:
        response = ask(sender, url, timeout)
    except DbrunError as error:
        yield unreachable(subject, error, way)
        return
    if response.status == 407:
        said = f"the proxy on the way to {origin} refuses{way}"
        mend = "correct user and password in HTTPS_PROXY"
        yield Finding(state=FAIL, subject=subject, said=said, mend=mend)
        return
    location = response.headers.get("location", "")
    if 300 <= response.status < 400 and "private-link" in location:
        said = f"{origin} lets nobody in from this network: it wants a private link"
        yield Finding(state=FAIL, subject=subject, said=said, mend="run where the network does")
        return
    took = clock.now() - started
    yield Finding(state=OK, subject=subject, said=f"{origin} answers in {took:.2f} s{way}")
    yield from skew(response.headers.get("date"), clock)


def unreachable(subject: str, error: DbrunError, way: str = "") -> Finding:
    """A server that cannot be reached, and what to do."""
    mend = error.hint if isinstance(error, RunError) else ""
    if not mend and "TLS failed" in error.message:
        mend = "check scheme and port: it may speak plain http, or another TLS"
    if not mend and isinstance(error, (Unreachable, TimedOut)):
        mend = "check the address, the network, and HTTPS_PROXY and NO_PROXY"
    mend = mend or "look whether it is up, then try again"
    return Finding(state=FAIL, subject=subject, said=error.message + way, mend=mend)


def skew(date: str | None, clock: Clock) -> Iterator[Finding]:
    """How this machine's clock compares with a server's `Date`; nothing without one."""
    from email.utils import parsedate_to_datetime

    try:
        theirs = parsedate_to_datetime(date or "")
    except (TypeError, ValueError, IndexError):
        return
    if theirs.tzinfo is None:
        return
    behind = (theirs - clock.wall()).total_seconds()
    how = f"{abs(behind):.0f} s {'behind' if behind > 0 else 'ahead of'} the server's"
    if abs(behind) > _MOST_SKEW:
        mend = "set it by a time server: tokens live by the clock"
        yield Finding(state=WARN, subject="clock", said=how, mend=mend)
    else:
        said = how if abs(behind) >= 2 else "agrees with the server's"
        yield Finding(state=OK, subject="clock", said=said)


def _way(url: str, environ: Mapping[str, str]) -> str:
    """By way of which proxy, without its password."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    proxy = proxy_for(parts.scheme, parts.hostname or "", port, environ)
    if proxy is None:
        return ""
    return f", by way of the proxy {urlsplit(proxy).netloc.rpartition('@')[2]}"


class WorkspaceCheckup:
    """Looks at one workspace; *org* is its id once it has told it."""

    def __init__(
        self,
        workspace: Workspace,
        sender: Sender,
        environ: Mapping[str, str],
        clock: Clock,
        timeout: float,
    ) -> None:
        self.workspace = workspace
        self.timeout = timeout
        self.org: str | None = None
        self._sender = sender
        self._environ = environ
        self._clock = clock

    def checks(self) -> list[Check]:
        """The host, and who we are there."""
        return [
            Check(subject="host", look=self._host),
            Check(subject="login", look=self._login, after=("host",)),
        ]

    def _host(self) -> Iterable[Finding]:
        url = self.workspace.url + _PROBE
        return reach("host", self._sender, url, self.timeout, self._environ, self._clock)

    def _login(self) -> Iterable[Finding]:
        try:
            return [self._who(self.workspace.get(ME, self.timeout))]
        except EndpointError as error:
            return [unreachable("login", error)]

    def _who(self, response: HttpResponse) -> Finding:
        """Databricks SCIM API: the name of whoever asks `/Me`."""
        status, source = response.status, self.workspace.source
        told = _object(response.body)
        self.org = response.headers.get("x-databricks-org-id")
        if status == 200 and "userName" in told:
            name = told["userName"]
            shown = told.get("displayName")
            name = f"{name} ({shown})" if shown and shown != name else name
            return Finding(state=OK, subject="login", said=f"{name}, by {source}")
        words = response.body.decode("utf-8", "replace")
        if token_refused(status, words):
            said = f"{source} is refused ({status})"
            mend = "renew the token, or log in again"
        elif status in (401, 403):
            said = f"{source} is known, and not let in ({status}{_message(told)})"
            mend = "have the workspace's administrator add this user or service principal"
        else:
            said = f"{self.workspace.url} does not answer as a workspace ({status}{_message(told)})"
            mend = "check the host"
        return Finding(state=FAIL, subject="login", said=mask(said), mend=mend)


def _message(told: Mapping[str, object]) -> str:
    message = told.get("message") or told.get("detail")
    return f": {' '.join(str(message).split())[:200]}" if message else ""


def _object(body: bytes) -> Mapping[str, object]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
