"""Credentials for other machines: what of them can travel, in which form, and for how long.

Variables travel by name and value, secrets are read here and travel as variables, a service
principal travels as itself, for workers can renew its tokens. Of every other login a token is
made here, whose life is limited. A notebook's own login cannot leave the notebook.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from ...clock import Clock
from ...errors import AuthError
from ...frozen import frozen
from ...spec.model import EndpointSpec
from ...types import Json
from ..auth import Sender
from ..credentials import read_credential
from .workspace import Login, Workspace

SHORTEST = 600.0
"""Seconds that a token must live to be worth sending."""

_ENVIRONMENT = ("HOST", "TOKEN", "CLIENT_ID", "CLIENT_SECRET", "AUTH_TYPE", "WORKSPACE_ID")
_SERVICE_PRINCIPAL = (
    "set DATABRICKS_HOST, DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET (a service principal), "
    "or {path}.token: {{secret: scope/key}}"
)


class Luggage(dict[str, str]):
    """Variables for a worker's environment; it prints without their values."""

    def __repr__(self) -> str:
        return f"<{', '.join(sorted(self))}>"


@frozen
class Travelling:
    """An *endpoint* as workers take it, and the variables that it names there.

    *lifetime* are the seconds after which these are no good any more; None for ever.
    """

    endpoint: EndpointSpec
    environ: Mapping[str, str]
    lifetime: float | None = None


def for_workers(
    endpoint: EndpointSpec,
    credentials: Collection[str],
    *,
    auth: Any,
    sender: Sender | None,
    environ: Mapping[str, str],
    number: int = 0,
    clock: Clock | None = None,
) -> Travelling:
    """What of an endpoint's credentials travels.

    Args:
        credentials: the names of its options that are credentials.
        auth: who speaks to it here; a `Workspace` may have found its login anywhere.
        sender: what sends requests for secrets and tokens.
        number: tells its variables from those of other endpoints.

    Raises:
        AuthError: there are none, or they cannot travel; says why.
    """
    packer = _Packer(endpoint, sender, environ, number, clock or Clock())
    options = dict(endpoint.options)
    for name in credentials:
        if isinstance(options.get(name), Mapping):
            host, profile = options.get("host"), options.get("profile")
            own = Login(host=host, profile=profile, path=endpoint.path)
            options[name] = packer.reference(options[name], name, own)
    headers = dict(endpoint.headers)
    for name, value in endpoint.headers.items():
        if isinstance(value, Mapping):
            headers[name] = packer.reference(value, f"headers.{name}", Login(path=endpoint.path))
    lifetime = None
    if isinstance(auth, Workspace) and not options.get("token"):
        lifetime = packer.login(auth, options)
    made = replace(endpoint, options=options, headers=headers)
    return Travelling(endpoint=made, environ=packer.environ, lifetime=lifetime)


class _Packer:
    def __init__(
        self,
        endpoint: EndpointSpec,
        sender: Sender | None,
        environ: Mapping[str, str],
        number: int,
        clock: Clock,
    ) -> None:
        self.environ = Luggage()
        self._endpoint = endpoint
        self._sender = sender
        self._around = environ
        self._prefix = f"DBRUN_WORKER_{number}"
        self._clock = clock

    def reference(
        self, reference: Mapping[str, Json], name: str, login: Login
    ) -> Mapping[str, Json]:
        """*reference* as workers can follow it; as *login* secrets are read."""
        path = self._endpoint.at(name)
        if "env" in reference:
            found = read_credential(reference, path, self._around, _no_secrets)
            self.environ[str(reference["env"])] = found.reveal()
            return reference
        if "secret" not in reference:
            return reference
        assert self._sender is not None
        workspace = Workspace(login, self._sender, self._around, self._clock)
        found = read_credential(reference, path, self._around, workspace.read_secret)
        rest = {key: value for key, value in reference.items() if key != "secret"}
        return {**rest, "env": self._put(f"{len(self.environ)}", found.reveal())}

    def login(self, workspace: Workspace, options: dict[str, Any]) -> float | None:
        """Pack the login that *workspace* has found; seconds that it lasts."""
        headers = workspace.headers()
        source, path = workspace.source, self._endpoint.path
        if "notebook" in source or "(runtime" in source:
            raise AuthError(
                f"{path}: {source} stays on the driver: Spark's workers are no part of the "
                "notebook or job and cannot renew its token",
                _SERVICE_PRINCIPAL.format(path=path),
            )
        if self._is_in_environment(source):
            for part in _ENVIRONMENT:
                if value := self._around.get(f"DATABRICKS_{part}"):
                    self.environ[f"DATABRICKS_{part}"] = value
            return None
        kind, _, token = headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or len(headers) != 1:
            raise AuthError(
                f"{path}: {source} authenticates with more than a token, which Spark's workers "
                "cannot be given",
                _SERVICE_PRINCIPAL.format(path=path),
            )
        lifetime = lifetime_of(token, self._clock)
        if lifetime is not None and lifetime < SHORTEST:
            raise AuthError(
                f"{path}: the token of {source} expires in {max(0.0, lifetime):.0f} s, too soon "
                "to be sent to Spark's workers, which cannot renew it",
                "log in again, or " + _SERVICE_PRINCIPAL.format(path=path),
            )
        options.pop("profile", None)
        options.update(host=workspace.url, token={"env": self._put("TOKEN", token)})
        return lifetime

    def _is_in_environment(self, source: str) -> bool:
        if source == "DATABRICKS_TOKEN":
            return True
        client = self._around.get("DATABRICKS_CLIENT_ID")
        is_principal = bool(client) and source == f"service principal {client}"
        secret = self._around.get("DATABRICKS_CLIENT_SECRET")
        return is_principal and bool(secret) and not self._endpoint.options.get("profile")

    def _put(self, name: str, value: str) -> str:
        self.environ[f"{self._prefix}_{name}"] = value
        return f"{self._prefix}_{name}"


def lifetime_of(token: str, clock: Clock) -> float | None:
    """Seconds until *token* expires, as far as it tells (RFC 7519, `exp`); None if it does not."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        expires = float(claims["exp"])
    except (ValueError, KeyError, TypeError):
        return None
    return expires - clock.wall().timestamp()


def _no_secrets(scope: str, key: str) -> str:
    raise AssertionError("a variable is no secret of a workspace")
