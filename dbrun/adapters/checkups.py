"""What `dbrun doctor` looks at of servers, serving endpoints and clusters; no model is asked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from ..client.checkup import WorkspaceCheckup, reach
from ..client.login.hosts import host_name
from ..findings import FAIL, OK, WARN, Check, Finding
from .complaint import read
from .databricks import SET_TASK
from .serving_state import examine

if TYPE_CHECKING:
    from .databricks import DatabricksAdapter
    from .driver_proxy import DriverProxyAdapter
    from .http import HttpAdapter

_AFTER = ("host", "login")


def server_checks(adapter: HttpAdapter, timeout: float) -> list[Check]:
    """Whether the server answers, and whether the credentials that the spec names are there."""
    context = adapter.context

    def answers() -> Iterable[Finding]:
        url = urlunsplit(urlsplit(adapter.url)._replace(path="/", query="", fragment=""))
        return reach("server", adapter.transport, url, timeout, context.environ, context.clock)

    def has_credentials() -> Iterable[Finding]:
        named = [f"headers.{name}" for name in adapter.spec.headers]
        adapter.own_headers()
        if adapter.auth.headers():
            named.insert(0, adapter.auth.source.removeprefix(f"{adapter.spec.path}."))
        verb = "is" if len(named) == 1 else "are"
        said = f"{', '.join(named)} {verb} set" if named else "none"
        return [Finding(state=OK, subject="credentials", said=said)]

    return [
        Check(subject="server", look=answers),
        Check(subject="credentials", look=has_credentials),
    ]


def serving_checks(adapter: DatabricksAdapter, timeout: float) -> list[Check]:
    """The workspace, then the endpoint."""
    about = _workspace(adapter, timeout)

    def look() -> Iterable[Finding]:
        return _endpoint(adapter, timeout)

    return [*about.checks(), Check(subject="endpoint", look=look, after=_AFTER)]


def _endpoint(adapter: DatabricksAdapter, timeout: float) -> Iterable[Finding]:
    options, workspace = adapter.spec.options, adapter.workspace
    name, task = options["name"], options.get("task", "auto")
    host = host_name(workspace.url)
    path = f"/api/2.0/serving-endpoints/{quote(name, safe='')}"
    response = workspace.get(path, timeout)
    if response.status == 404:
        raise adapter.no_such_endpoint(host, name)
    if response.status == 403:
        said = f"'{name}' may not be looked at, but perhaps be queried"
        mend = "--ask finds out" if task != "auto" else f"{SET_TASK}; --ask finds out"
        state = WARN if task != "auto" else FAIL
        return [Finding(state=state, subject="endpoint", said=said, mend=mend)]
    detail = _object(response.body)
    if response.status != 200 or not detail:
        said = f"{host} does not tell of '{name}' ({response.status})"
        return [Finding(state=FAIL, subject="endpoint", said=said, mend="try again")]
    return examine(detail, name, task, options.get("served_model"))


def cluster_checks(adapter: DriverProxyAdapter, timeout: float) -> list[Check]:
    """The workspace, then the cluster; not the application, which only a request can reach."""
    about = _workspace(adapter, timeout)
    return [
        *about.checks(),
        Check(subject="cluster", look=lambda: _cluster(adapter, timeout), after=_AFTER),
        Check(subject="org id", look=lambda: _same_org(adapter, about), after=_AFTER),
    ]


def _cluster(adapter: DriverProxyAdapter, timeout: float) -> Iterable[Finding]:
    """Databricks REST API: `GET /api/2.1/clusters/get`."""
    cluster = adapter.spec.options["cluster_id"]
    path = f"/api/2.1/clusters/get?cluster_id={quote(cluster, safe='')}"
    response = adapter.workspace.get(path, timeout)
    if response.status == 200:
        state = _object(response.body).get("state")
        said = f"{cluster} is {str(state).lower()}"
        runs = state in ("RUNNING", "RESIZING")
        mend = "" if runs else "start it, and the application on it"
        return [Finding(state=OK if runs else FAIL, subject="cluster", said=said, mend=mend)]
    if response.status == 403:
        said, mend = f"{cluster} may not be looked at", "ask for *Can Attach To* on it"
    else:
        said = read(response.status, response.body).message
        mend = f"check {adapter.spec.path}.cluster_id"
    return [Finding(state=FAIL, subject="cluster", said=said, mend=mend)]


def _same_org(adapter: DriverProxyAdapter, about: WorkspaceCheckup) -> Iterable[Finding]:
    """0 stands for the workspace of the host, where hosts have but one."""
    org = str(adapter.spec.options.get("org_id") or adapter.org_of(adapter.workspace.url))
    if about.org is None or org in ("0", about.org):
        return []
    said = f"is {org}, and the workspace's is {about.org}"
    mend = f"set {adapter.spec.path}.org_id to '{about.org}'"
    return [Finding(state=WARN, subject="org id", said=said, mend=mend)]


def _workspace(adapter: DatabricksAdapter | DriverProxyAdapter, timeout: float) -> WorkspaceCheckup:
    context = adapter.context
    return WorkspaceCheckup(
        adapter.workspace, adapter.transport, context.environ, context.clock, timeout
    )


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
