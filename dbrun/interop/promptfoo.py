"""Results of promptfoo, as its JSON Lines output has them: one line a test, prompt and provider.

promptfoo documentation, "Output formats", and `EvaluateResult` in its types: `vars`, `prompt`,
`provider`, `response` (`output`, `tokenUsage`, `cost`, `finishReason`, `error`), `success`,
`score`, `namedScores`, `gradingResult`, `failureReason` (0 none, 1 assertion, 2 error).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ..adapters.wires.common import finish_reason, usage_of
from ..errors import Rejected, TimedOut
from ..frozen import frozen
from ..run.journals.batch_lines import ForeignLine
from ..types import Json
from .lines import OURS, Found, Line, as_text, failed, kept, number, request_text

_NO_FAILURE, _ASSERTION, _ERROR = 0, 1, 2
_LONGEST_NAME = 60


@frozen
class Cell:
    """Where a line stands: the number of its *test*, what its *provider* and *prompt* are called,
    and the id that its variables give the test (*named*), if any."""

    test: str
    provider: str
    prompt: str
    named: str | None


def to_result(record: Line, *, test: int, column: int, prompt: str) -> dict[str, Json]:
    """What promptfoo would have written of *record*, by the numbers of its row (*test*) and of its
    *prompt* (*column*)."""
    row = record.get("row")
    variables = row if isinstance(row, Mapping) else {}
    is_ok = record["status"] == "ok"
    parts = [_part(name, score) for name, score in _scores(record)]
    passed = is_ok and all(part["pass"] for part in parts)
    reasons = [part["reason"] for part in parts if not part["pass"]]
    score = sum(part["score"] for part in parts) / len(parts) if parts else float(is_ok)
    error = record.get("error") or {}
    result: dict[str, Json] = {
        "promptIdx": column,
        "testIdx": test,
        "testCase": {"vars": variables, "assert": [], "options": {}, "metadata": {}},
        "promptId": prompt,
        "provider": {"id": "dbrun", "label": ""},
        "prompt": {"raw": request_text(record), "label": prompt},
        "vars": variables,
        "response": _response(record),
        "success": passed,
        "score": score,
        "namedScores": {part["metric"]: part["score"] for part in parts},
        "failureReason": _NO_FAILURE if passed else _ASSERTION if is_ok else _ERROR,
        "latencyMs": _latency(record),
        "cost": record.get("cost", 0),
        "tokenUsage": _tokens(record.get("usage")),
        "metadata": {OURS: kept(record)},
    }
    if parts:
        told = [{name: part[name] for name in ("pass", "score", "reason")} for part in parts]
        result["gradingResult"] = {
            "pass": passed,
            "score": score,
            "reason": "; ".join(reasons) or "All assertions passed",
            "namedScores": result["namedScores"],
            "componentResults": told,
        }
    if not is_ok:
        result["error"] = f"{error.get('class', 'filtered')}: {error.get('message', '')}".rstrip()
    elif reasons:
        result["error"] = "; ".join(reasons)
    return result


class Table:
    """The tests and prompts of an evaluation in the making: a row is a test (for each repeat one
    more), a variant a prompt."""

    def __init__(self) -> None:
        self._columns: dict[str, Counter[str]] = {}
        self._last: Json = None
        self._tests = 0
        self._repeats: dict[Json, int] = {}

    def place(self, record: Line) -> dict[str, Json]:
        """The result of *record*, the next one; those of a row come together."""
        if record["id"] != self._last:
            self._last = record["id"]
            self._repeats = {}
        repeat = record.get("repeat")
        if repeat not in self._repeats:
            self._repeats[repeat] = self._tests
            self._tests += 1
        prompt = str(record.get("variant") or "dbrun")
        counts = self._columns.setdefault(prompt, Counter())
        column = list(self._columns).index(prompt)
        result = to_result(record, test=self._repeats[repeat], column=column, prompt=prompt)
        outcome = "testErrorCount" if result["failureReason"] == _ERROR else "testFailCount"
        counts["testPassCount" if result["success"] else outcome] += 1
        return result

    def prompts(self) -> list[Json]:
        """The columns, with their counts."""
        names = ("testPassCount", "testFailCount", "testErrorCount")
        return [
            {
                "raw": prompt,
                "label": prompt,
                "provider": "dbrun",
                "metrics": {
                    "score": counts["testPassCount"],
                    **{name: counts[name] for name in names},
                    "assertPassCount": 0,
                    "assertFailCount": 0,
                    "totalLatencyMs": 0,
                    "tokenUsage": _tokens(None),
                    "namedScores": {},
                    "namedScoresCount": {},
                    "cost": 0,
                },
            }
            for prompt, counts in self._columns.items()
        ]

    def stats(self) -> dict[str, Json]:
        """The counts of all columns."""
        total: Counter[str] = sum(self._columns.values(), Counter())
        return {
            "successes": total["testPassCount"],
            "failures": total["testFailCount"],
            "errors": total["testErrorCount"],
            "tokenUsage": _tokens(None),
        }


def cell_of(said: Mapping[str, Json], column: str | None) -> Cell:
    """Where the result *said* stands; *column* is the variable that holds the id of a test.

    Raises:
        ForeignLine: it is no result of promptfoo, or has not that variable.
    """
    variables = said.get("vars")
    if not isinstance(variables, Mapping) or "testIdx" not in said:
        raise ForeignLine("this is no result of promptfoo: it has no vars and no testIdx")
    named = variables.get(column or "id")
    if column is not None and named is None:
        raise ForeignLine(f"the test has no variable '{column}'")
    prompt, provider = _mapping(said.get("prompt")), said.get("provider")
    where = provider if isinstance(provider, Mapping) else {"id": provider}
    return Cell(
        test=as_text(said["testIdx"]),
        provider=str(where.get("label") or where.get("id") or ""),
        prompt=str(prompt.get("label") or prompt.get("raw") or said.get("promptIdx", "")),
        named=None if named is None else as_text(named),
    )


def from_result(said: Mapping[str, Json]) -> Found:
    """The record that a result of promptfoo tells of, without id and variant."""
    response = _mapping(said.get("response"))
    record: dict[str, Json] = {"id": "", **_outcome(said, response)}
    reason = finish_reason(response.get("finishReason"))
    if reason is not None:
        record["finish_reason"] = reason
    usage = _usage(_mapping(response.get("tokenUsage")))
    if usage:
        record["usage"] = usage
    cost = number(response.get("cost")) or number(said.get("cost"))
    if cost:
        record["cost"] = abs(cost)
    record["row"] = dict(_mapping(said.get("vars")))
    if record["status"] == "ok" and (scores := dict(_judged(said))):
        record["scores"] = scores
    return Found(record=record, ours=_mapping(said.get("metadata")).get(OURS))


def _outcome(said: Mapping[str, Json], response: Mapping[str, Json]) -> dict[str, Json]:
    error = response.get("error")
    if not error and said.get("failureReason") == _ERROR:
        error = said.get("error")
    if error or response.get("output") is None:
        message = " ".join(as_text(error or "the provider gave no output").split())
        kind = TimedOut if "timed out" in message.lower() else Rejected
        return failed(kind(message[:500]))
    return {"status": "ok", "output": response["output"]}


def _judged(said: Mapping[str, Json]) -> Iterator[tuple[str, dict[str, Json]]]:
    """The scores of a line: whether it passed, if anything was asserted, and those with names."""
    grading = _mapping(said.get("gradingResult"))
    if (
        grading.get("componentResults")
        or said.get("failureReason") == _ASSERTION
        or _mapping(said.get("testCase")).get("assert")
    ):  # with PROMPTFOO_STRIP_GRADING_RESULT the grading itself is not written
        passed: dict[str, Json] = {"value": said.get("success") is True}
        if not passed["value"] and isinstance(grading.get("reason"), str):
            passed["explanation"] = grading["reason"]
        yield "pass", passed
        if number(said.get("score")) is not None:
            yield "score", {"value": said["score"]}
    for name, value in _mapping(said.get("namedScores")).items():
        yield str(name), {"value": number(value)}


def _usage(told: Mapping[str, Json]) -> dict[str, int]:
    """Token counts; promptfoo writes 0 for those that nobody told."""
    details = _mapping(told.get("completionDetails"))
    body = {
        "prompt_tokens": told.get("prompt"),
        "completion_tokens": told.get("completion"),
        "total_tokens": told.get("total"),
        "cache_read_input_tokens": details.get("cacheReadInputTokens") or None,
        "reasoning_tokens": details.get("reasoning") or None,
    }
    usage = usage_of({"usage": body})
    counts = usage.to_json() if usage is not None else {}
    return counts if any(counts.values()) else {}


def _response(record: Line) -> dict[str, Json]:
    error = record.get("error")
    if error is not None:
        return {"error": f"{error['class']}: {error['message']}"}
    if record["status"] != "ok":
        return {"error": "filtered"}
    response: dict[str, Json] = {"output": record["output"]}
    if record.get("usage"):
        response["tokenUsage"] = _tokens(record["usage"])
    if record.get("cost") is not None:
        response["cost"] = record["cost"]
    if record.get("finish_reason"):
        response["finishReason"] = record["finish_reason"]
    return response


def _tokens(usage: Json) -> dict[str, Json]:
    told = _mapping(usage)
    names = {"prompt": "input_tokens", "completion": "output_tokens", "total": "total_tokens"}
    tokens: dict[str, Json] = {name: told.get(ours, 0) for name, ours in names.items()}
    details = {
        "cacheReadInputTokens": told.get("cached_input_tokens"),
        "reasoning": told.get("reasoning_tokens"),
    }
    known = {name: count for name, count in details.items() if count is not None}
    return {**tokens, "completionDetails": known} if known else tokens


def _latency(record: Line) -> int:
    return round((number(_mapping(record.get("timing")).get("latency")) or 0) * 1000)


def _scores(record: Line) -> Sequence[tuple[str, Mapping[str, Json]]]:
    return [(name, _mapping(score)) for name, score in _mapping(record.get("scores")).items()]


def _part(name: str, score: Mapping[str, Json]) -> dict[str, Json]:
    """One score as a component of the grade; a number never fails."""
    value = score.get("value")
    reason = score.get("explanation") or f"{name}: {as_text(value)}"
    passed = value is not False and value is not None
    return {
        "metric": name,
        "pass": passed,
        "score": float(value) if isinstance(value, bool) else number(value) or 0.0,
        "reason": str(reason) if not passed else f"{name}: {as_text(value)}",
    }


def short_name(name: str, place: int) -> str:
    """What a prompt or provider is called in the name of a variant: by its *place* if long."""
    line = " ".join(name.split())
    return line if line and len(line) <= _LONGEST_NAME and line == name else str(place)


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
