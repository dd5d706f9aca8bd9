"""How a run under fire ended, and what must hold of it whatever has happened."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fakes.server import Given

STATUS_OF_CODE = {"INTERNAL_ERROR": 500, "REQUEST_LIMIT_EXCEEDED": 429}


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit *code* and what it said; *records* by id, as far as they were
    written; the *manifest*, empty if there is none; what the server had *given* to the run's
    calls of the model, and to its *others*."""

    code: int
    out: str
    err: str
    records: Mapping[str, Mapping[str, Any]]
    manifest: Mapping[str, Any]
    given: Sequence[Given]
    others: Sequence[Given]

    @property
    def requests(self) -> Mapping[str, Any]:
        """The manifest's counts of requests."""
        return dict(self.manifest["requests"])

    def error(self, row: str) -> Mapping[str, Any]:
        """The error in the record of *row*."""
        assert self.records[row]["status"] == "error"
        return dict(self.records[row]["error"])

    def says(self, *texts: str) -> None:
        """Each of *texts* (patterns) stands in what a person saw."""
        for text in texts:
            assert re.search(text, self.err), f"{text!r} is not in\n{self.err}"


def check_counts(ended: Ended) -> None:
    """rows = ok + error + filtered, and the records are just these."""
    counts = ended.manifest.get("counts")
    if counts is None:
        assert ended.manifest["status"] == "running", "killed, so it could not say more"
        return
    assert counts["rows"] == counts["ok"] + counts["error"] + counts["filtered"]
    assert sum(counts["errors"].values()) == counts["error"]
    found = Counter(record["status"] for record in ended.records.values())
    assert found == +Counter({name: counts[name] for name in ("ok", "error", "filtered")})
    assert ended.manifest["exit_code"] == ended.code


def check_requests(ended: Ended, abandoned: int) -> None:
    """What the run counted is what the server counted."""
    if "requests" not in ended.manifest:
        return
    told = ended.requests
    by_status = Counter(told["by_status"])
    assert told["sent"] == sum(by_status.values())
    answered = Counter({int(name): n for name, n in by_status.items() if name.isdigit()})
    statuses = Counter(_status(one) for one in ended.given if one.whole)
    assert not answered - statuses, "counted what the server never gave, or for another request"
    # What the server thinks it gave may have been given up, or broken off on its way.
    unanswered = told["sent"] - answered.total()
    assert (statuses - answered).total() <= unanswered + abandoned, "not counted"
    assert told["sent"] + abandoned >= len(ended.given)
    if ended.code in (0, 1):
        # Every request goes its way once, to an answer or to its last failure.
        ways = {spelled(one.request.json) for one in ended.given}
        assert told["sent"] - told["retried"] - told["waited"] >= len(ways)


def answers(given: Sequence[Given]) -> list[Given]:
    """The calls whose answer was paid for and left the server whole."""
    return [
        one for one in given if one.whole and one.reply.status == 200 and _body(one).get("choices")
    ]


def _status(given: Given) -> int:
    """The status of an answer; of an error told with 200 that which its code stands for."""
    status = given.reply.status
    return STATUS_OF_CODE.get(_body(given).get("error_code"), 200) if status == 200 else status


def _body(given: Given) -> dict[str, Any]:
    try:
        body = json.loads(given.reply.body)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def spelled(body: Any) -> str:
    """A request's body, as canonical as it needs to be."""
    return json.dumps(body, sort_keys=True)
