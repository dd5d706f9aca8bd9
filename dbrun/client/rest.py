"""Calls of a workspace's own REST API: with its login, tried again where nothing can have
happened, refusals in its own words."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from ..clock import Clock
from ..errors import EndpointError, RunError, Unavailable, Unreachable
from .auth import Sender, token_refused
from .login.workspace import Login, Workspace
from .retry import RetryPolicy, parse_retry_after
from .transport import HttpRequest, HttpResponse

TIMEOUT = 120.0
"""Seconds for one call."""

_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_BUSY = frozenset({429, 503})
_FAULTS = frozenset({408, 500, 502, 504})


class Refused(RunError):
    """The workspace refused a call: *status* (0: it did not even answer), its *code* for what is
    wrong, and what was *said*. *is_login* tells that the credentials are no good."""

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        status: int = 0,
        code: str = "",
        said: str = "",
        is_login: bool = False,
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.code = code
        self.said = said or message
        self.is_login = is_login


class Rest:
    """The API of the workspace that the environment names; a call is tried *attempts* times."""

    def __init__(
        self, sender: Sender, environ: Mapping[str, str], clock: Clock, attempts: int = 6
    ) -> None:
        self._policy = RetryPolicy(attempts=attempts, retry_for=600.0, cap=20.0)
        self.workspace = Workspace(Login(path=""), sender, environ, clock)
        self._sender = sender
        self._clock = clock

    def json(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The answer to a call as a mapping.

        Raises:
            Refused: it was refused, or went wrong again and again.
            AuthError: there is no login, or it is refused.
        """
        headers = {"Accept": "application/json"}
        payload = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            payload = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
        response = self.call(method, path, payload, headers)
        try:
            answer = json.loads(response.body or b"{}")
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Refused(
                f"{self.workspace.url}{path} answers with no JSON",
                "check that DATABRICKS_HOST is a workspace's address",
            )
        return answer

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        """The answer to a call, of status 2xx.

        A call that may have changed something is not repeated, unless its method may be
        (RFC 9110, section 9.2.2) or the workspace says that it did not take it.

        Raises:
            Refused: it was refused, or went wrong again and again.
            AuthError: there is no login, or it is refused.
        """
        return self.repeat(method, path, lambda: self._send(method, path, body, headers or {}))

    def repeat(self, method: str, path: str, send: Callable[[], HttpResponse]) -> HttpResponse:
        """The answer to a call that *send* makes, of status 2xx; raises as `call`."""
        began, tries = self._clock.now(), 0
        while True:
            tries += 1
            response, error = self._try(send)
            if response is not None and response.status < 300:
                return response
            elapsed = self._clock.now() - began
            trouble = error or _trouble(response, self._clock)
            wait = None
            if trouble is not None and (method in _REPEATABLE or _was_not_taken(trouble)):
                wait = self._policy.delay(trouble, tries, elapsed, random.random)
            if wait is None or tries >= 20:
                raise self._refused(method, path, response, error)
            self._clock.sleep(wait)

    def _try(
        self, send: Callable[[], HttpResponse]
    ) -> tuple[HttpResponse | None, EndpointError | None]:
        """One call; credentials that are refused are renewed once."""
        try:
            generation = self.workspace.generation
            response = send()
            if token_refused(response.status, response.body.decode("utf-8", "replace")):
                self.workspace.refresh(generation)
                response = send()
            return response, None
        except EndpointError as error:
            return None, error

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> HttpResponse:
        whole = {**self.workspace.headers(), **headers}
        request = HttpRequest(
            method=method, url=self.workspace.url + path, headers=whole, body=body
        )
        return self._sender.send(request, TIMEOUT)

    def _refused(
        self,
        method: str,
        path: str,
        response: HttpResponse | None,
        error: EndpointError | None,
    ) -> Refused:
        what = f"{method} {path.partition('?')[0]}"
        if response is None:
            said = self.workspace.mask(error.message if error is not None else "no answer")
            return Refused(f"{what}: {said}", "run the same command again", said=said)
        code, told = _told(response)
        hint = ""
        is_login = token_refused(response.status, told)
        if is_login:
            hint = "renew the login, or log in again"
        elif response.status == 403:
            hint = "ask for the permission"
        elif response.status == 429 or response.status >= 500:
            hint = "run the same command again"
        said = self.workspace.mask(told)
        return Refused(
            f"{what}: {response.status}: {said}",
            hint,
            status=response.status,
            code=code,
            said=said,
            is_login=is_login,
        )


def _trouble(response: HttpResponse | None, clock: Clock) -> EndpointError | None:
    """What may pass of a refusal; None if nothing does."""
    if response is None or response.status not in _BUSY | _FAULTS:
        return None
    after = parse_retry_after(response.headers, None, clock.wall())
    return Unavailable(f"status {response.status}", response.status, after)


def _was_not_taken(error: EndpointError) -> bool:
    return isinstance(error, Unreachable) or error.status in _BUSY


def _told(response: HttpResponse) -> tuple[str, str]:
    """The code and the message of a refusal (Databricks REST API: `error_code`, `message`)."""
    text = response.body.decode("utf-8", "replace")
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if isinstance(body, dict):
        code, said = str(body.get("error_code", "")), str(body.get("message", ""))
        return code, " ".join(said.split())[:500] or code or "no reason given"
    return "", " ".join(text.split())[:200] or "no reason given"
