"""One comment on a pull request, kept up to date (GitHub REST API, "Issue comments")."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from ..client.transport import HttpRequest, HttpResponse, Transport
from ..clock import Clock
from ..errors import DbrunError, EndpointError, RunError
from ..types import Json

_PER_PAGE = 100
_MOST_PAGES = 100
_TRIES = 4
_TIMEOUT = 30.0  # seconds
_WAITS = (1.0, 3.0, 10.0)  # seconds
_PASSING = frozenset({429, 500, 502, 503, 504})


class NoComment(RunError):
    """GitHub does not let us comment; *status* is that of its answer, 0 without one."""

    def __init__(self, message: str, hint: str = "", *, status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status


class Comments:
    """The comments of pull request *number* of *repository* (`owner/name`)."""

    def __init__(
        self,
        transport: Transport,
        *,
        api: str,
        token: str,
        repository: str,
        number: int,
        clock: Clock | None = None,
    ) -> None:
        self._transport = transport
        self._api = api.rstrip("/")
        self._token = token
        self._repository = quote(repository)
        self._number = number
        self._clock = clock or Clock()

    def upsert(self, marker: str, body: str) -> str:
        """Have *body*, which begins with *marker*, be our comment: the one that is there, or a
        new one. Gives its address.

        Raises:
            NoComment: GitHub does not let us, or cannot be asked.
        """
        for comment in self._own(marker):
            path = f"/repos/{self._repository}/issues/comments/{comment}"
            try:
                return _address(self._json("PATCH", path, {"body": body}))
            except NoComment as error:
                if error.status != 404:  # it was deleted meanwhile
                    raise
        path = f"/repos/{self._repository}/issues/{self._number}/comments"
        return _address(self._json("POST", path, {"body": body}))

    def _own(self, marker: str) -> Iterator[int]:
        """The number of the comment that is ours: the first one that begins with *marker* and
        that whoever the token belongs to has written."""
        me: str | None = None
        is_asked = False
        for comment in self._all():
            number, author = comment.get("id"), comment.get("user")
            if not str(comment.get("body") or "").startswith(marker) or not isinstance(number, int):
                continue
            if not is_asked:
                me, is_asked = self._me(), True
            if isinstance(author, Mapping) and (
                author.get("login") == me if me else author.get("type") == "Bot"
            ):
                yield number
                return

    def _all(self) -> Iterator[Mapping[str, Any]]:
        for page in range(1, _MOST_PAGES + 1):
            path = f"/repos/{self._repository}/issues/{self._number}/comments"
            found = self._json("GET", f"{path}?per_page={_PER_PAGE}&page={page}")
            comments = found if isinstance(found, list) else []
            yield from (one for one in comments if isinstance(one, dict))
            if len(comments) < _PER_PAGE:
                return

    def _me(self) -> str | None:
        """Who the token belongs to; None for that of a workflow, which belongs to an app and may
        not ask."""
        try:
            found = self._json("GET", "/user")
        except NoComment:
            return None
        login = found.get("login") if isinstance(found, dict) else None
        return login if isinstance(login, str) else None

    def _json(self, method: str, path: str, body: Json = None) -> Any:
        response = self._call(method, path, body)
        try:
            return json.loads(response.body or b"null")
        except ValueError as error:
            raise NoComment(f"{method} {path}: GitHub answers with no JSON") from error

    def _call(self, method: str, path: str, body: Json) -> HttpResponse:
        request = HttpRequest(
            method=method,
            url=self._api + path,
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
                "User-Agent": "dbrun",
                "X-GitHub-Api-Version": "2022-11-28",
            },
            body=json.dumps(body).encode() if body is not None else None,
        )
        what = f"{method} {path.partition('?')[0]}"
        for tries in range(_TRIES):
            try:
                response = self._transport.send(request, _TIMEOUT)
            except EndpointError as error:
                trouble = NoComment(f"{what}: {error.message}")
                # What may have arrived is not sent twice: two comments are worse than none.
                passes = method != "POST"
            except DbrunError as error:
                raise NoComment(f"{what}: {error}") from error
            else:
                if response.status < 300:
                    return response
                trouble = _refused(what, response)
                passes = response.status in _PASSING and (
                    method != "POST" or response.status in (429, 503)
                )
            if not passes or tries == _TRIES - 1:
                raise trouble
            self._clock.sleep(_WAITS[tries])
        raise AssertionError("the last try raises")


def _refused(what: str, response: HttpResponse) -> NoComment:
    try:
        told = json.loads(response.body)
    except ValueError:
        told = None
    said = str(told.get("message")) if isinstance(told, dict) else ""
    hint = ""
    if response.status in (401, 403, 404):
        hint = "give the job `permissions: {pull-requests: write}`; pull requests of forks may not"
    return NoComment(f"{what}: {response.status} {said}".strip(), hint, status=response.status)


def _address(comment: Any) -> str:
    found = comment.get("html_url") if isinstance(comment, dict) else None
    return found if isinstance(found, str) else ""
