"""GitHub's comments on issues, as its REST API has them (pages, roles, refusals)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from fakes.server import Received, Reply, Server, as_json

BOT = {"login": "github-actions[bot]", "type": "Bot"}
MOST_CHARACTERS = 65_536
_COMMENTS = re.compile(r"/repos/me/project/issues/(\d+)/comments")
_COMMENT = re.compile(r"/repos/me/project/issues/comments/(\d+)")


@dataclass
class FakeGitHub:
    """The repository `me/project`.

    *login* is whose token it is; None for a workflow's. *may_write* false is what pull requests
    of forks meet. *failures* are statuses to give to the next calls instead of answers.
    """

    comments: list[dict[str, Any]] = field(default_factory=list)
    login: str | None = None
    may_write: bool = True
    failures: list[int] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    _server: Server | None = None

    def __enter__(self) -> FakeGitHub:
        self._server = Server(self._answer)
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def url(self) -> str:
        assert self._server is not None
        return self._server.url

    @property
    def bodies(self) -> list[str]:
        return [comment["body"] for comment in self.comments]

    def add(self, body: str, user: dict[str, str] | None = None) -> dict[str, Any]:
        number = 1000 + len(self.comments)
        made = {
            "id": number,
            "body": body,
            "user": user or ({"login": self.login, "type": "User"} if self.login else BOT),
            "html_url": f"https://github.example/me/project/pull/7#issuecomment-{number}",
        }
        self.comments.append(made)
        return made

    def _answer(self, received: Received) -> Reply:
        self.calls.append((received.method, received.path))
        assert received.headers["authorization"] == "Bearer a-token"
        if self.failures:
            status = self.failures.pop(0)
            if status:
                return as_json({"message": "try later"}, status)
        if received.path == "/user":
            if self.login is None:
                return as_json({"message": "Resource not accessible by integration"}, 403)
            return as_json({"login": self.login})
        if received.method != "GET" and not self.may_write:
            return as_json({"message": "Resource not accessible by integration"}, 403)
        if received.method != "GET" and len(received.json["body"]) > MOST_CHARACTERS:
            said = f"Body is too long (maximum is {MOST_CHARACTERS} characters)"
            return as_json({"message": "Validation Failed", "errors": [{"message": said}]}, 422)
        if found := _COMMENTS.fullmatch(received.path):
            assert found[1] == "7"
            if received.method == "POST":
                return as_json(self.add(received.json["body"]), 201)
            size, page = (int(received.query[name][0]) for name in ("per_page", "page"))
            return as_json(self.comments[size * (page - 1) : size * page])
        if found := _COMMENT.fullmatch(received.path):
            for comment in self.comments:
                if comment["id"] == int(found[1]):
                    comment["body"] = received.json["body"]
                    return as_json(comment)
        return as_json({"message": "Not Found"}, 404)
