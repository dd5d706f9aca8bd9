"""What carries an adapter's requests: a transport, and the credentials that a spec names."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from ..client.auth import Auth, NoAuth, Sender, Token, TokenAuth
from ..client.credentials import SecretReader, read_credential
from ..client.login.workspace import Login, Workspace
from ..client.transport import HttpRequest, HttpResponse, Transport
from ..client.waiting import Aside, Wait
from ..context import Context
from ..spec.model import EndpointSpec
from ..types import Json

Exchange = Callable[[HttpRequest, float], Coroutine[Wait[Any], Any, HttpResponse]]
"""One request within seconds, as a coroutine."""


def exchange_of(sender: Sender) -> Exchange:
    """How *sender* sends without keeping a thread waiting; a stand-in may not know how."""
    if isinstance(sender, Transport):
        return sender.exchange

    async def aside(request: HttpRequest, timeout: float) -> HttpResponse:
        return await Aside(lambda: sender.send(request, timeout))

    return aside


def make_transport(spec: EndpointSpec, context: Context) -> Sender:
    """The transport that an endpoint's options ask for."""
    return Transport(
        connections=context.max_connections, verify=spec.verify, environ=context.environ
    )


def bearer(option: str, spec: EndpointSpec, sender: Sender, context: Context) -> Auth:
    """The `Auth` of a credential option: `{env: NAME}`, `{secret: scope/key}`, or none."""
    credential: Mapping[str, Json] | None = spec.options.get(option)
    if credential is None:
        return NoAuth()
    read_secret = secret_reader(sender, context)

    def fetch() -> Token:
        place = spec.at(option)
        return Token(secret=read_credential(credential, place, context.environ, read_secret))

    return TokenAuth(fetch, f"{spec.path}.{option}", context.clock)


def secret_reader(sender: Sender, context: Context) -> SecretReader:
    """A reader of Databricks secrets with the credentials of the environment."""
    return Workspace(Login(path=""), sender, context.environ, context.clock).read_secret
