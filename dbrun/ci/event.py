"""What GitHub Actions tells a job of itself, and where a job tells of itself.

GitHub Docs, "Variables reference": the `GITHUB_*` variables and the event in `GITHUB_EVENT_PATH`.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from typing import Any

from ..frozen import frozen

_BOTS_WITHOUT_SECRETS = frozenset({"dependabot[bot]"})


@frozen
class Event:
    """What started the job.

    *number* is that of the pull request, None for other events. *is_foreign* says that the job
    has no secrets and may only read: its pull request comes from a fork, or from Dependabot.
    """

    repository: str = ""
    number: int | None = None
    base: str = ""
    commit: str = ""
    is_foreign: bool = False
    run_url: str = ""


def read_event(environ: Mapping[str, str]) -> Event:
    """The event that *environ* tells of; what is not told is empty."""
    payload = _payload(environ.get("GITHUB_EVENT_PATH", ""))
    pull = _mapping(payload.get("pull_request"))
    repository = environ.get("GITHUB_REPOSITORY", "")
    number = pull.get("number")
    head, base = _mapping(pull.get("head")), _mapping(pull.get("base"))
    from_elsewhere = bool(pull) and _mapping(head.get("repo")).get("full_name") != repository
    return Event(
        repository=repository,
        number=number if isinstance(number, int) else None,
        base=str(base.get("sha") or ""),
        commit=str(head.get("sha") or environ.get("GITHUB_SHA", "")),
        is_foreign=from_elsewhere or environ.get("GITHUB_ACTOR", "") in _BOTS_WITHOUT_SECRETS,
        run_url=_run_url(environ, repository),
    )


def _payload(path: str) -> Mapping[str, Any]:
    try:
        with open(path, encoding="utf-8") as stream:
            return _mapping(json.load(stream))
    except (OSError, ValueError):
        return {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _run_url(environ: Mapping[str, str], repository: str) -> str:
    server, run = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_RUN_ID", "")
    return f"{server}/{repository}/actions/runs/{run}" if server and repository and run else ""


def add_output(environ: Mapping[str, str], name: str, value: str) -> None:
    """Make *value* an output of the step, whatever it holds."""
    fence = f"end-{secrets.token_hex(8)}"
    _append(environ.get("GITHUB_OUTPUT", ""), f"{name}<<{fence}\n{value}\n{fence}\n")


def add_summary(environ: Mapping[str, str], text: str) -> None:
    """Put *text*, Markdown, on the page of the job."""
    _append(environ.get("GITHUB_STEP_SUMMARY", ""), text.rstrip("\n") + "\n")


def _append(path: str, text: str) -> None:
    if path:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
