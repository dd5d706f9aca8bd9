"""A Databricks workspace: which host, and who speaks to it.

What the spec names (`token`, `profile`, `host`) beats the environment; then `DATABRICKS_TOKEN`
or a service principal's `DATABRICKS_CLIENT_ID` and `DATABRICKS_CLIENT_SECRET`, for
`DATABRICKS_HOST` only; then a profile of `.databrickscfg`, the notebook's own login, and the
chain of databricks-sdk. Tokens and service principals need nothing but this module; the SDK,
which asks the network as it starts, is left alone where they are set.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Mapping
from functools import cached_property
from urllib.parse import urlencode

from ...clock import Clock
from ...errors import AuthError, DbrunError, RateLimited, Unavailable
from ...frozen import frozen
from ...types import Json
from ..auth import Auth, Sender, Token, TokenAuth, client_credentials, token_refused
from ..credentials import Secret, checked, mask, read_credential
from ..transport import HttpRequest, HttpResponse
from .auth_sdk import SdkAuth
from .hosts import Profile, base_url, default_profile, org_in, profile_named
from .notebook import notebook_login, notebook_org, notebook_tokens

MANAGEMENT_TIMEOUT = 60.0
"""Seconds for one call of the workspace's management API."""

_ENV_SECRETS = {
    "DATABRICKS_TOKEN": "token",
    "DATABRICKS_CLIENT_SECRET": "client_secret",
    "DATABRICKS_PASSWORD": "password",
}
"""Variables that hold a credential, and what a profile calls the same."""

_ID_TOKENS = (
    "DATABRICKS_OIDC_TOKEN",
    "DATABRICKS_OIDC_TOKEN_ENV",
    "DATABRICKS_OIDC_TOKEN_FILEPATH",
)
"""Variables that lead to a token of another issuer, which databricks-sdk hands to the host."""

_WHO = "/.well-known/databricks-config"
"""What anybody may ask a host; databricks-sdk does so too."""

_ISSUERS = (*_ID_TOKENS, "ACTIONS_ID_TOKEN_REQUEST_URL", "SYSTEM_ACCESSTOKEN")
"""Where a client id needs no secret: those, and jobs of GitHub and Azure DevOps."""


@frozen
class Login:
    """What a spec names of a workspace, each or none; *path* is the place of the options, if a
    spec can name anything, and *named_at* the place of the token, as messages name it."""

    host: str | None = None
    profile: str | None = None
    token: Mapping[str, Json] | None = None
    path: str = "endpoint"
    named_at: str = "endpoint.token"


class Workspace:
    """The workspace of *login*, as an `Auth`. Nothing is looked for until it is needed."""

    def __init__(
        self, login: Login, sender: Sender, environ: Mapping[str, str], clock: Clock | None = None
    ) -> None:
        self._login = login
        self._sender = sender
        self._environ = environ
        self._clock = clock or Clock()
        self._lock = threading.RLock()
        self._auth: Auth | None = None
        self._sdk: SdkAuth | None = None

    @cached_property
    def known_url(self) -> str | None:
        """The workspace's base URL as far as it is written down anywhere; asks no network.

        Raises:
            UserError: if what is written down is no host.
        """
        written = self._written
        return base_url(*written[:2]) if written else None

    @property
    def org_id(self) -> str | None:
        """The workspace's own id, as far as it is written down: as `?o=` of its address, in the
        name of a host of Azure, in `DATABRICKS_WORKSPACE_ID` or the profile's `workspace_id`, by
        the notebook."""
        if self._written is None:
            return None
        host, _, org = self._written
        return org_in(host) or org

    @cached_property
    def _written(self) -> tuple[str, str, str | None] | None:
        """The host as it is written down, where, and the workspace's id that stands beside it."""
        if self._login.host:
            return self._login.host, f"{self._login.path}.host", None
        if self._login.profile:
            profile = profile_named(self._login.profile, self._environ)
            return *_host_in(self._login.profile, profile), profile.get("workspace_id")
        if written := self._environ.get("DATABRICKS_HOST"):
            return written, "DATABRICKS_HOST", self._environ.get("DATABRICKS_WORKSPACE_ID")
        if (found := default_profile(self._environ)) and found[1].get("host"):
            return *_host_in(*found), found[1].get("workspace_id")
        notebook = notebook_login()
        return (notebook[0], "the notebook's host", notebook_org()) if notebook else None

    @property
    def url(self) -> str:
        """The workspace's base URL.

        Raises:
            AuthError: if nobody names it.
        """
        if self.known_url:
            return self.known_url
        self._check_profile()
        with self._lock:
            self._sdk = self._sdk or SdkAuth({}, self._login.path)
            host = self._sdk.host
        if not host:
            named = f" or {self._login.path}.host" if self._login.path else ""
            raise AuthError("no Databricks host is set", f"set DATABRICKS_HOST{named}")
        return base_url(host)

    @property
    def generation(self) -> int:
        """As `Auth.generation`."""
        return self._auth.generation if self._auth else 0

    @property
    def is_due(self) -> bool:
        """As `Auth.is_due`."""
        return self._auth is None or self._auth.is_due

    @property
    def source(self) -> str:
        """As `Auth.source`."""
        return self._found().source

    def headers(self) -> Mapping[str, str]:
        """As `Auth.headers`."""
        return (self._auth or self._found()).headers()

    def refresh(self, generation: int) -> None:
        """As `Auth.refresh`."""
        self._found().refresh(generation)

    def mask(self, text: str) -> str:
        """As `Auth.mask`."""
        return self._auth.mask(text) if self._auth else mask(text)

    def get(self, path: str, timeout: float = MANAGEMENT_TIMEOUT) -> HttpResponse:
        """Ask the workspace's API; credentials that are refused are renewed once."""
        generation = self.generation
        response = self._get(path, timeout)
        if token_refused(response.status, response.body.decode("utf-8", "replace")):
            self.refresh(generation)
            response = self._get(path, timeout)
        return response

    def read_secret(self, scope: str, key: str) -> str:
        """The value of a secret (Databricks REST API: `GET /api/2.0/secrets/get`).

        Raises:
            AuthError: if it is not there or not to be read.
            Unavailable, RateLimited: if the workspace is in trouble.
        """
        response = self.get("/api/2.0/secrets/get?" + urlencode({"scope": scope, "key": key}))
        if response.status != 200:
            raise self._no_secret(scope, key, response)
        try:
            value = json.loads(response.body)["value"]
        except (ValueError, KeyError, TypeError) as error:
            raise AuthError(
                f"{self.url} answers with no secret where {scope}/{key} is asked for",
                "check that it is a workspace's address",
            ) from error
        try:
            return base64.b64decode(value, validate=True).decode()
        except (ValueError, TypeError) as error:
            raise AuthError(f"secret {scope}/{key} is not text", "set it anew") from error

    def _no_secret(self, scope: str, key: str, response: HttpResponse) -> DbrunError:
        """What an answer without the secret means."""
        status, told = response.status, response.body.decode("utf-8", "replace")
        said = f"secret {scope}/{key} cannot be read from {self.url} ({status})"
        if status == 429:
            return RateLimited(said, 429)
        if status >= 500 or status == 408:
            return Unavailable(said, status)
        if token_refused(status, told):
            return AuthError(f"{said}: {self.source} is refused", "renew it, or log in again")
        if status == 404 and re.search(r"scope \S+ does not exist", told, re.I):
            return AuthError(
                f"{said}: there is no scope '{scope}'", "see `databricks secrets list-scopes`"
            )
        if status == 404:
            mend = f"see `databricks secrets list-secrets {scope}`"
            return AuthError(f"{said}: the scope has no such key", mend)
        if status == 403:
            return AuthError(f"{said}: no permission", f"ask for READ on the scope '{scope}'")
        return AuthError(said, "check the workspace's credentials")

    def _get(self, path: str, timeout: float) -> HttpResponse:
        headers = {**self.headers(), "Accept": "application/json"}
        request = HttpRequest(method="GET", url=self.url + path, headers=headers, body=None)
        return self._sender.send(request, timeout)

    def _found(self) -> Auth:
        with self._lock:
            if self._auth is None:
                self._auth = self._find()
            return self._auth

    def _find(self) -> Auth:
        login, environ = self._login, self._environ
        if login.token is not None:
            return self._named_token(login.token)
        url = self.url
        if login.profile:
            return self._of_profile(login.profile, profile_named(login.profile, environ), url)
        self._guard(url)
        pinned = environ.get("DATABRICKS_AUTH_TYPE")
        if environ.get("DATABRICKS_TOKEN") and pinned in (None, "", "pat"):
            return self._fixed(environ["DATABRICKS_TOKEN"], "DATABRICKS_TOKEN")
        client, secret = (environ.get(f"DATABRICKS_CLIENT_{part}") for part in ("ID", "SECRET"))
        if client and secret and pinned in (None, "", "oauth-m2m"):
            return self._principal(url, client, secret)
        self._check_profile()
        found = default_profile(environ)
        is_its_host = found and found[1].get("host") and _host_of(*found) == url
        if found and is_its_host and pinned in (None, "", "pat", "oauth-m2m"):
            return self._of_profile(*found, url)
        if pinned:
            profile = {"profile": found[0]} if found and is_its_host else {}
            return self._chain(url, auth_type=pinned, **profile)
        notebook = notebook_login()
        if notebook and base_url(notebook[0]) == url:
            return TokenAuth(notebook_tokens(notebook[1]), "the notebook's login", self._clock)
        if client and not secret and not any(environ.get(name) for name in _ISSUERS):
            raise AuthError(
                "DATABRICKS_CLIENT_ID is set without DATABRICKS_CLIENT_SECRET",
                "set both, or neither",
            )
        return self._sdk or self._chain(url)

    def _check_profile(self) -> None:
        """Raises `UserError` if the environment names a profile that is not there."""
        if named := self._environ.get("DATABRICKS_CONFIG_PROFILE"):
            profile_named(named, self._environ, "DATABRICKS_CONFIG_PROFILE")

    def _guard(self, url: str) -> None:
        """Credentials of the environment go to the environment's host, and nowhere else."""
        path, environ = self._login.path, self._environ
        written = environ.get("DATABRICKS_HOST")
        names = (*_ENV_SECRETS, *_ID_TOKENS)
        secret = next((name for name in names if environ.get(name)), None)
        if secret and not written:
            mend = f", or name it as {path}.token: {{env: {secret}}}" if path else ""
            raise AuthError(
                f"{secret} is set without DATABRICKS_HOST, so it is not sent to {url}",
                f"set DATABRICKS_HOST{mend if secret in _ENV_SECRETS else ''}",
            )
        if secret and written and base_url(written, "DATABRICKS_HOST") != url:
            raise AuthError(
                f"{secret} belongs to DATABRICKS_HOST ({written}) and is not sent to {url}",
                f"name the token of that host as {path}.token: {{env: NAME}}",
            )
        # Given to databricks-sdk, a profile's token would go to whichever host is named beside it.
        named = environ.get("DATABRICKS_CONFIG_PROFILE")
        found = default_profile(environ) if named and not secret else None
        if found and found[1].get("host") and _host_of(*found) != url:
            mend = f"as {path}.profile, or " if path else ""
            raise AuthError(
                f"profile {found[0]} belongs to {_host_of(*found)} and is not used for {url}",
                f"name a profile of that host {mend}in DATABRICKS_CONFIG_PROFILE",
            )

    def _named_token(self, reference: Mapping[str, Json]) -> Auth:
        place = self._login.named_at
        # A secret that is the token itself is read with what else there is for this host.
        plain = Login(host=self._login.host, profile=self._login.profile, path=self._login.path)
        other = Workspace(plain, self._sender, self._environ, self._clock)

        def fetch() -> Token:
            secret = read_credential(reference, place, self._environ, other.read_secret)
            return Token(secret=secret)

        return TokenAuth(fetch, f"{self._login.path}.token", self._clock)

    def _of_profile(self, name: str, profile: Profile, url: str) -> Auth:
        if _host_of(name, profile) != url:
            raise AuthError(
                f"profile {name} belongs to {_host_of(name, profile)} and is not used for {url}",
                f"leave {self._login.path}.host out, or name a profile of that host",
            )
        kind = profile.get("auth_type")
        if "token" in profile and kind in (None, "pat"):
            return self._fixed(profile["token"], f"profile {name}")
        if {"client_id", "client_secret"} <= profile.keys() and kind in (None, "oauth-m2m"):
            return self._principal(url, profile["client_id"], profile["client_secret"])
        if kind:
            return self._chain(url, profile=name, auth_type=kind)
        # To databricks-sdk the environment comes before the profile, whatever its host.
        for variable, key in _ENV_SECRETS.items():
            if self._environ.get(variable) and key not in profile:
                raise AuthError(
                    f"profile {name} cannot be used while {variable} is set: databricks-sdk would "
                    "use that instead",
                    f"unset {variable}, or give the profile an auth_type",
                )
        return self._chain(url, profile=name)

    def _chain(self, url: str, **settings: str) -> SdkAuth:
        ask = HttpRequest(method="GET", url=url + _WHO, headers={}, body=None)

        def reach() -> None:
            self._sender.send(ask, MANAGEMENT_TIMEOUT)

        return SdkAuth({"host": url, **settings}, self._login.path, reach)

    def _fixed(self, token: str, source: str) -> Auth:
        secret = checked(token, source)
        return TokenAuth(lambda: Token(secret=secret), source, self._clock)

    def _principal(self, url: str, client: str, secret: str) -> Auth:
        fetch = client_credentials(self._sender, url, client, Secret(secret))
        return TokenAuth(fetch, f"service principal {client}", self._clock)


def _host_in(name: str, profile: Profile) -> tuple[str, str]:
    """The host of a profile as it is written there, and where that is."""
    if not profile.get("host"):
        raise AuthError(f"profile {name} has no host", "add it to .databrickscfg")
    return profile["host"], f"host of profile {name}"


def _host_of(name: str, profile: Profile) -> str:
    return base_url(*_host_in(name, profile))
