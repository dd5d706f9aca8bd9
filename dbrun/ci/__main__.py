"""`python -m dbrun.ci STEP`: one step of the GitHub Action, its inputs in the environment."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from ..client.transport import Transport
from ..errors import EXIT_OK, DbrunError
from ..report.workflow import remark
from .checks import DIFF, PLAN, Checks, Settings, read_settings
from .event import Event, add_output, add_summary, read_event
from .github import Comments
from .page import marker, page

STEPS = ("validate", "test", "plan", "verify", "sample", "diff", "report", "name")


def main(words: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Take a step; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m dbrun.ci", description=__doc__)
    parser.add_argument("step", choices=[*STEPS, "comment"])
    step = parser.parse_args(words).step
    try:
        settings, event = read_settings(environ), read_event(environ)
        checks = Checks(settings, event)
        if step == "comment":
            return comment(settings, event, checks)
        return int(getattr(checks, step)())
    except DbrunError as error:
        print(remark("error", str(error)), flush=True)
        return error.exit_code
    except OSError as error:
        said = f"{step}: {error.filename or 'files'}: {error.strerror or error}"
        print(remark("error", said), flush=True)
        return 3


def comment(settings: Settings, event: Event, checks: Checks) -> int:
    """Tell of all steps on the page of the job and in the comment. That there can be none is a
    warning, and no failure."""
    said = page(
        checks.noted(),
        title=f"dbrun: {settings.key}" if settings.key else "dbrun",
        diff=checks.kept(DIFF),
        plan=checks.kept(PLAN),
        commit=event.commit,
        links={"report": settings.report_url, "run": event.run_url},
    )
    add_summary(settings.environ, said)
    if not settings.comment or event.number is None:
        return EXIT_OK
    token = settings.environ.get("GITHUB_TOKEN", "")
    try:
        address = _upsert(settings, event, token, said) if token else ""
        trouble = "" if token else "there is no GITHUB_TOKEN"
    except DbrunError as error:
        address, trouble = "", str(error)
    if trouble:
        note = f"no comment on the pull request: {trouble}; the summary of the job has it all"
        print(remark("warning", note), flush=True)
    add_output(settings.environ, "comment", address)
    return EXIT_OK


def _upsert(settings: Settings, event: Event, token: str, said: str) -> str:
    first = marker(settings.key)
    with Transport(connections=1, environ=settings.environ) as transport:
        comments = Comments(
            transport,
            api=settings.environ.get("GITHUB_API_URL") or "https://api.github.com",
            token=token,
            repository=event.repository,
            number=event.number or 0,
        )
        return comments.upsert(first, f"{first}\n{said}")


if __name__ == "__main__":
    sys.exit(main())
