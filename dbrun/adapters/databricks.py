"""Model Serving of a Databricks workspace: foundation, external, custom models and agents."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, ClassVar
from urllib.parse import quote

from ..client.auth import Sender, token_refused
from ..client.login.hosts import host_name
from ..client.login.workspace import Login, Workspace
from ..client.transport import HttpResponse
from ..context import Context
from ..errors import (
    DbrunError,
    EndpointError,
    EndpointMissing,
    PluginError,
    RunError,
    UserError,
)
from ..findings import Check
from ..spec.model import EndpointSpec
from ..types import Json
from . import request_ids
from .base import Request
from .classify import Place, error_of, redirected, refused
from .complaint import read
from .http import HttpAdapter
from .mlflow import SIGNATURE_OPTIONS, column_templates, wire_of
from .senders import make_transport
from .serving import describe_endpoint, entities, task_of
from .wires.base import Wire
from .wires.openai import CHAT, COMPLETIONS, EMBEDDINGS
from .wires.responses import RESPONSES

TASKS = ("auto", "chat", "completions", "embeddings", "responses", "model")
WIRES: Mapping[str, Wire] = {
    "chat": CHAT,
    "completions": COMPLETIONS,
    "embeddings": EMBEDDINGS,
    "responses": RESPONSES,
}

LOGIN_OPTIONS: Mapping[str, Json] = {
    "host": {
        "type": "string",
        "description": "The workspace, with or without https://; default: DATABRICKS_HOST, then "
        "the profile's.",
    },
    "profile": {"type": "string", "description": "A profile of .databrickscfg."},
    "token": {
        "x-kind": "credential",
        "description": "The token, as {env: NAME} or {secret: scope/key}; default: what the "
        "environment has.",
    },
}
"""The options that say which workspace, and as whom."""

LOOKS = 3
"""How often the workspace is asked what an endpoint is, when it is in trouble."""

LEARN_FOR = 10.0
"""Seconds that the workspace has to tell of an endpoint what only the manifest wants to know."""

SET_TASK = "set endpoint.task to one of chat, completions, embeddings, responses, model"


class DatabricksAdapter(HttpAdapter):
    """`POST /serving-endpoints/{name}/invocations`."""

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {
                "type": "string",
                "minLength": 1,
                "description": "The serving endpoint's name.",
            },
            "task": {
                "enum": list(TASKS),
                "default": "auto",
                "description": "What the endpoint does; auto asks the workspace, model is a "
                "custom MLflow model.",
            },
            **LOGIN_OPTIONS,
            "served_model": {
                "type": "string",
                "minLength": 1,
                "description": "One served entity, whatever the endpoint's traffic split.",
            },
            request_ids.FIELD: request_ids.OPTION,
            **SIGNATURE_OPTIONS,
        },
    }

    workspace: Workspace
    task: str
    detail: Mapping[str, Json] | None = None
    _named: Callable[[Request], Request]

    @classmethod
    def create(
        cls, spec: EndpointSpec, context: Context, transport: Sender | None = None
    ) -> DatabricksAdapter:
        """An adapter from its options; host and task are settled by `prepare`."""
        options = spec.options
        sender = transport or make_transport(spec, context)
        workspace = Workspace(login_of(spec), sender, context.environ, context.clock)
        task = options.get("task", "auto")
        adapter = cls(
            wire=_wire(task, options),
            url="",
            spec=spec,
            context=context,
            auth=workspace,
            batch_size=options.get("batch_size", 1),
            transport=sender,
        )
        adapter.workspace, adapter.task = workspace, task
        adapter.columns = column_templates(options, spec)
        adapter._named = request_ids.naming(spec, context)
        return adapter

    def prepare(self) -> None:
        """Settle host and task: from the spec, the workspace, or what was remembered.

        Raises:
            EndpointMissing: if the workspace has no such endpoint.
            RunError: if it cannot be asked.
            UserError: if `endpoint.host` or `endpoint.task` must be given.
        """
        name, served = self.spec.options["name"], self.spec.options.get("served_model")
        hosts = f"databricks:{name}"
        base = settle_host(self.workspace, self.context, hosts, self.spec.path)
        host = host_name(base)
        url = f"{base}/serving-endpoints/{quote(name, safe='')}"
        if served:
            url += f"/served-models/{quote(served, safe='')}"
        place = Place(
            url=f"{url}/invocations",
            missing=f"check {self.spec.path}.name, and that the endpoint is on {host}",
            rights=f"ask its owner for the permission *Can Query* on '{name}'",
            credentials="renew the token, or log in again",
        )
        if self.task == "auto":
            try:
                self.task = self._find_task(host, name, place)
            except (EndpointError, RunError) as error:
                raise self.masked(error) from error.__cause__
        remember_host(base, self.context, hosts)  # not before it answered: it may be mistyped
        self.speak(_wire(self.task, self.spec.options), place.url, place)
        self.identity = {"host": host, "name": name}
        if served:
            self.identity = {**self.identity, "served_model": served}

    def rehearse(self) -> str | None:
        """Take the task that an earlier run found out; chat, if none has."""
        if self.task != "auto":
            return None
        with suppress(DbrunError):
            self.prepare()
        if self.task != "auto":
            return None
        name = self.spec.options["name"]
        return f"{self.spec.path}.task: what '{name}' does is not known yet; taken for chat"

    def encode(self, request: Request) -> Json:
        """The body of one request alone, with the id of its row if it is to have one. Raises
        `Rejected` if it cannot be one, `RenderError` if its row has none."""
        return super().encode(self._named(request))

    def describe(self) -> Mapping[str, Json]:
        """Host, name and task; what the workspace told of the endpoint, where it was asked."""
        told: dict[str, Json] = {"adapter": "databricks", **(self.identity or {})}
        told["task"] = self.task
        return {**told, **describe_endpoint(self.detail)} if self.detail else told

    def checkup(self, timeout: float) -> list[Check]:
        """What `dbrun doctor` looks at: the workspace, then the endpoint."""
        from .checkups import serving_checks

        return serving_checks(self, timeout)

    @property
    def serves(self) -> tuple[str, ...]:
        """The served entities by name, where answers bear it: those of custom models."""
        if self.task != "model" or self.detail is None:
            return ()
        return tuple(str(entity["name"]) for entity in entities(self.detail) if "name" in entity)

    def learn(self) -> None:
        """Find out for `describe` what the endpoint serves, unless that is known. Whoever may
        query an endpoint need not be allowed to look at it: trouble is no matter."""
        if self.detail is not None or self.context.offline:
            return
        name = quote(self.spec.options["name"], safe="")
        try:
            response = self.workspace.get(f"/api/2.0/serving-endpoints/{name}", LEARN_FOR)
        except DbrunError:
            return
        if response.status == 200:
            self.detail = _object(response.body) or None

    def _find_task(self, host: str, name: str, place: Place) -> str:
        """What the endpoint does: as the workspace says, and as was remembered if it does not."""
        option = f"{self.spec.path}.task"
        fact = f"databricks:{host}:{name}"
        known = _task_in(self.context.memory.recall(fact))
        if self.context.offline:
            if known is None:
                raise UserError(f"{option}: what '{name}' does is not known offline", SET_TASK)
            return known
        try:
            self.detail = self._look(host, name, place)
        except EndpointMissing:
            raise
        except (EndpointError, RunError, PluginError) as error:
            if known is not None:
                return known
            if isinstance(error, EndpointError):
                said = f"cannot ask {host} what '{name}' does: {error.message}"
                raise RunError(said, SET_TASK) from error
            raise
        task = task_of(self.detail)
        if task is None:
            raise UserError(f"{option}: {host} does not say what '{name}' does", SET_TASK)
        if task != known:
            self.context.memory.remember(fact, {"task": task})
        return task

    def _look(self, host: str, name: str, place: Place) -> Mapping[str, Json]:
        """The endpoint as the workspace describes it, asked again where that may help."""
        for look in range(1, LOOKS + 1):
            try:
                response = self.workspace.get(f"/api/2.0/serving-endpoints/{quote(name, safe='')}")
                if response.status == 404:
                    raise self.no_such_endpoint(host, name)
                return self._read(response, host, place)
            except EndpointError as error:
                if not error.retryable or look == LOOKS:
                    raise
                self.context.clock.sleep(min(error.retry_after or 2.0 ** (look - 1), 30.0))
        raise AssertionError("unreachable")

    def _read(self, response: HttpResponse, host: str, place: Place) -> Mapping[str, Json]:
        """The object in an answer of the management API, or the error that the answer is."""
        status = response.status
        if status == 200 and (told := _object(response.body)):
            return told
        if 300 <= status < 400:
            raise redirected(status, response.headers.get("location", ""), place)
        complaint = read(status, response.body)
        if token_refused(status, complaint.message):
            raise refused(status, complaint, place, self.workspace.source)
        if status in (200, 403):
            said = f"{host} does not tell what {place.url} does ({status}: {complaint.message})"
            raise RunError(said, SET_TASK)
        raise error_of(status, complaint, place)

    def no_such_endpoint(self, host: str, name: str) -> EndpointMissing:
        """The error for a *name* that the workspace does not have, with those near to it."""
        response = self.workspace.get("/api/2.0/serving-endpoints")
        told = _object(response.body) if response.status == 200 else {}
        listed = told.get("endpoints")
        names = [
            item["name"]
            for item in (listed if isinstance(listed, list) else ())
            if isinstance(item, dict) and isinstance(item.get("name"), str)
        ]
        from difflib import get_close_matches  # for mistakes only

        near = get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"check {self.spec.path}.name"
        if near:
            hint = f"did you mean {' or '.join(repr(one) for one in near)}?"
        elif names:
            hint += f"; there are {', '.join(sorted(names)[:10])}" + (", …" if names[10:] else "")
        return EndpointMissing(f"there is no serving endpoint '{name}' on {host}", hint)


def login_of(spec: EndpointSpec) -> Login:
    """What an endpoint's options name of the workspace."""
    options = spec.options
    return Login(
        host=options.get("host"),
        profile=options.get("profile"),
        token=options.get("token"),
        path=spec.path,
        named_at=spec.at("token"),
    )


def settle_host(workspace: Workspace, context: Context, fact: str, path: str) -> str:
    """The workspace's base URL; where none is set, the one that *fact* remembers.

    Raises:
        UserError: offline, if none is remembered, or several are.
        AuthError, PluginError: online, if there is none to be found.
    """
    remembered = context.memory.recall(fact) or []
    base = workspace.known_url
    if base is None and context.offline:
        if len(remembered) != 1:
            what = f"several ({', '.join(remembered)})" if remembered else "none"
            mend = f"set {path}.host or DATABRICKS_HOST"
            raise UserError(f"{path}.host: no host is set and {what} remembered", mend)
        return str(remembered[0])
    if base is None:
        try:
            base = workspace.url
        except DbrunError:
            if len(remembered) != 1:
                raise
            return str(remembered[0])
    return base


def remember_host(base: str, context: Context, fact: str) -> None:
    """Note the workspace's base URL under *fact*, for runs that are not told the host."""
    remembered = context.memory.recall(fact) or []
    if base not in remembered and not context.offline:
        context.memory.remember(fact, sorted([*remembered, base]))


def _wire(task: str, options: Mapping[str, Any]) -> Wire:
    """The wire of a task; before `auto` is settled, that of chat stands in."""
    if task == "auto":
        return CHAT
    return WIRES.get(task) or wire_of("model", options, [request_ids.FIELD])


def _task_in(fact: Json) -> str | None:
    task = fact.get("task") if isinstance(fact, dict) else None
    return task if task in TASKS else None


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
