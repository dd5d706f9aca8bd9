"""A web application on the driver of a Databricks cluster, behind the workspace's proxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote

from ..client.auth import Sender
from ..client.login.hosts import host_name, org_in
from ..client.login.workspace import Workspace
from ..context import Context
from ..findings import Check
from ..spec.model import Concurrency, EndpointSpec
from ..types import Json
from .classify import Place
from .databricks import (
    LOGIN_OPTIONS,
    login_of,
    remember_host,
    settle_host,
)
from .http import HttpAdapter
from .senders import make_transport
from .wires.base import Wire
from .wires.driver_proxy import PROMPT
from .wires.openai import CHAT, COMPLETIONS

TASKS: Mapping[str, tuple[Wire, str]] = {
    "model": (PROMPT, ""),
    "chat": (CHAT, "v1/chat/completions"),
    "completions": (COMPLETIONS, "v1/completions"),
}
"""Task → its wire, and the path of the application unless the spec names one."""


class DriverProxyAdapter(HttpAdapter):
    """`POST /driver-proxy-api/o/{org_id}/{cluster_id}/{port}[/path]`."""

    concurrency: ClassVar[Concurrency] = Concurrency.fixed(4)

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["cluster_id", "port"],
        "properties": {
            "cluster_id": {
                "type": "string",
                "minLength": 1,
                "description": "The cluster on whose driver the application runs.",
            },
            "port": {
                "type": "integer",
                "minimum": 1,
                "maximum": 65535,
                "description": "The port that it listens on (3000 to 8000 on Databricks).",
            },
            "path": {
                "type": "string",
                "description": "A path below the port; default: none for model, "
                "v1/chat/completions for chat, v1/completions for completions.",
            },
            "org_id": {
                "type": "string",
                "description": "The workspace's id, which Azure wants; default: as the host's "
                "?o= or Azure name tells, else 0.",
            },
            "task": {
                "enum": list(TASKS),
                "default": "model",
                "description": "model sends {prompt, stop, params} and takes any JSON; the others "
                "speak OpenAI's API.",
            },
            "model": {"type": "string", "description": "The model's name, if the server needs it."},
            **LOGIN_OPTIONS,
        },
    }

    workspace: Workspace

    @classmethod
    def create(
        cls, spec: EndpointSpec, context: Context, transport: Sender | None = None
    ) -> DriverProxyAdapter:
        """An adapter from its options; the host is settled by `prepare`."""
        sender = transport or make_transport(spec, context)
        workspace = Workspace(login_of(spec), sender, context.environ, context.clock)
        wire, _ = TASKS[spec.options.get("task", "model")]
        model = spec.options.get("model")
        adapter = cls(
            wire=wire,
            url="",
            spec=spec,
            context=context,
            auth=workspace,
            fixed={"model": model} if model else None,
            transport=sender,
        )
        adapter.workspace = workspace
        return adapter

    def prepare(self) -> None:
        """Settle the host.

        Raises:
            AuthError, UserError: if none is set or remembered.
        """
        options, option = self.spec.options, self.spec.path
        cluster, port = options["cluster_id"], options["port"]
        _, usual = TASKS[options.get("task", "model")]
        path = options.get("path", usual).strip("/")
        fact = f"databricks-proxy:{cluster}:{port}"
        base = settle_host(self.workspace, self.context, fact, option)
        remember_host(base, self.context, fact)
        org = str(options.get("org_id") or self.org_of(base))
        url = f"{base}/driver-proxy-api/o/{quote(org, safe='')}/{quote(cluster, safe='')}/{port}"
        url += f"/{quote(path, safe='/')}" if path else ""
        place = Place(
            url=url,
            missing=f"check that the cluster and its application run, and {option}.cluster_id, "
            f"port, path and org_id (on Azure the workspace's id)",
            rights=f"ask its owner for the permission *Can Attach To* on cluster {cluster}",
            credentials="renew the token, or log in again",
        )
        self.speak(self.wire, url, place)
        self.identity = {
            "host": host_name(base),
            "org_id": org,
            "cluster_id": cluster,
            "port": port,
            "path": path,
        }

    def org_of(self, base: str) -> str:
        """The workspace's id as its address tells it, now or when it was last told."""
        fact = f"databricks-proxy:{base}:org"
        told = self.workspace.org_id
        if told is None:
            return org_in(base) or str(self.context.memory.recall(fact) or "0")
        if told != org_in(base) and not self.context.offline:  # the base URL has no `?o=`
            self.context.memory.remember(fact, told)
        return told

    def checkup(self, timeout: float) -> list[Check]:
        """What `dbrun doctor` looks at: the workspace, then the cluster; not the application,
        which only a request can reach."""
        from .checkups import cluster_checks

        return cluster_checks(self, timeout)

    def describe(self) -> Mapping[str, Json]:
        """Host, org, cluster, port and path."""
        return {"adapter": "databricks-proxy", **(self.identity or {}), **self._fixed}
