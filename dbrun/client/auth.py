"""Who speaks to an endpoint: headers asked for at every request, so that tokens renew.

Finding out which credentials to use is `workspace.py`, what databricks-sdk finds `auth_sdk.py`.
"""

from __future__ import annotations

import base64
import json
import math
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

from ..clock import Clock
from ..errors import AuthError, Unavailable
from ..frozen import frozen
from .credentials import Secret, mask
from .transport import HttpRequest, HttpResponse

EARLY = 40.0
"""Seconds before its expiry at which a token counts as expired, as in databricks-sdk."""

OAUTH_TIMEOUT = 60.0
_NOTHING: Mapping[str, str] = {}

# As text: compiled when a server first refuses, which most never do.
_REFUSED = (
    r"(?i)invalid (access )?token|token (is |has |was )?(been )?(invalid|expired|revoked)|"
    r"(expired|revoked) (access )?token|credential was not sent or was of an unsupported type"
)


def token_refused(status: int, message: str) -> bool:
    """Whether an answer says that the credentials themselves are no good (any more).

    Databricks calls an expired token invalid with a 403 (Model Serving, observed by users).
    """
    return status == 401 or (status == 403 and bool(re.search(_REFUSED, message)))


class Sender(Protocol):
    """What sends a request: the transport, or a stand-in for it."""

    def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        """Send *request*, wait at most *timeout* seconds for the whole answer."""


class Auth(Protocol):
    """Credentials as headers.

    *generation* counts the refreshes: a request that was refused says under which generation it
    was sent, and only the first of those refused together fetches new credentials.
    """

    @property
    def generation(self) -> int:
        """How often the credentials were refreshed."""

    @property
    def source(self) -> str:
        """Where the credentials come from, in a person's words."""

    @property
    def is_due(self) -> bool:
        """Whether `headers` may have to ask somebody, which takes its time."""

    def headers(self) -> Mapping[str, str]:
        """The headers of one request. Raises `AuthError` if there are no credentials."""

    def refresh(self, generation: int) -> None:
        """Forget the credentials of *generation*, unless that has happened already."""

    def mask(self, text: str) -> str:
        """*text* without the credentials, should a server have echoed them."""


class NoAuth:
    """No credentials at all."""

    generation = 0
    is_due = False

    def __init__(self, source: str = "requests without credentials") -> None:
        self.source = source

    def headers(self) -> Mapping[str, str]:
        """None."""
        return _NOTHING

    def refresh(self, generation: int) -> None:
        """There is nothing to renew."""

    def mask(self, text: str) -> str:
        """*text* without what looks like a credential."""
        return mask(text)


@frozen
class Token:
    """A bearer token; *lifetime* in seconds from now, None if it does not expire."""

    secret: Secret
    lifetime: float | None = None


class TokenAuth:
    """A bearer token that is fetched when it is first needed, when it is due, and when refused."""

    def __init__(self, fetch: Callable[[], Token], source: str, clock: Clock | None = None) -> None:
        self.generation = 0
        self.source = source
        self._fetch = fetch
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self._current: tuple[Mapping[str, str], float] | None = None
        self._seen: list[Secret] = []

    @property
    def is_due(self) -> bool:
        """Whether there is no token, or it is about to expire."""
        current = self._current
        return current is None or self._clock.now() >= current[1]

    def headers(self) -> Mapping[str, str]:
        """`Authorization`, fetched anew where it is due. Raises what fetching raises."""
        current = self._current
        if current is None or self.is_due:
            with self._lock:
                current = self._current
                if current is None or self.is_due:
                    self._current = current = self._read(self._fetch())
        return current[0]

    def refresh(self, generation: int) -> None:
        """Forget the token of *generation*; it is fetched anew with the next request."""
        with self._lock:
            if generation == self.generation:
                self.generation += 1
                self._current = None

    def mask(self, text: str) -> str:
        """*text* without any token that was ever used here."""
        return mask(text, self._seen)

    def _read(self, token: Token) -> tuple[Mapping[str, str], float]:
        """The headers that *token* makes, and when they are due."""
        if all(token.secret.reveal() != known.reveal() for known in self._seen):
            self._seen.append(token.secret)
        headers = {"Authorization": f"Bearer {token.secret.reveal()}"}
        if token.lifetime is None:
            return headers, math.inf
        # A token that lives no longer than the margin is used for half its life.
        early = token.lifetime - EARLY
        return headers, self._clock.now() + (early if early > 0 else token.lifetime / 2)


def client_credentials(
    sender: Sender, host: str, client_id: str, client_secret: Secret
) -> Callable[[], Token]:
    """A fetcher of OAuth tokens for a service principal.

    Databricks, "Authorize service principal access with OAuth": `POST {host}/oidc/v1/token`
    with Basic authentication and `grant_type=client_credentials&scope=all-apis`.
    """
    pair = base64.b64encode(f"{client_id}:{client_secret.reveal()}".encode()).decode()
    request = HttpRequest(
        method="POST",
        url=f"{host}/oidc/v1/token",
        headers={
            "Authorization": f"Basic {pair}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        },
        body=urlencode({"grant_type": "client_credentials", "scope": "all-apis"}).encode(),
    )

    def fetch() -> Token:
        response = sender.send(request, OAUTH_TIMEOUT)
        told = _object(response.body)
        token = told.get("access_token")
        if response.status == 200 and isinstance(token, str) and token:
            lifetime = told.get("expires_in", 3600)
            seconds = float(lifetime) if isinstance(lifetime, (int, float)) else 3600.0
            return Token(secret=Secret(token), lifetime=seconds)
        reason = (
            told.get("error_description")
            or told.get("error")
            or told.get("message")
            or "no reason given"
        )
        said = mask(f"{host} gives no OAuth token ({response.status}): {reason}", [client_secret])
        if response.status in (408, 425, 429) or response.status >= 500:
            raise Unavailable(said, response.status)
        raise AuthError(said, f"check the service principal {client_id} and its secret")

    return fetch


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
