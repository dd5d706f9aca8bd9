"""What came out, counted record by record; memory does not grow with the rows."""

from __future__ import annotations

from collections import Counter

from ..types import Json, Record, UsageSum


class Tally:
    """Counts of records by status and error class, of cut answers, and their tokens."""

    def __init__(self) -> None:
        self.rows = 0
        self.by_status: Counter[str] = Counter()
        self.by_error: Counter[str] = Counter()
        self.truncated = 0
        self.usage = UsageSum()
        self.cost = 0.0
        self.first_failures: list[tuple[str, str, str]] = []

    def add(self, record: Record) -> None:
        """Count *record*."""
        self.rows += 1
        self.by_status[record.status] += 1
        if record.last is not None and record.last.finish_reason == "length":
            self.truncated += 1
        if (usage := record.usage) is not None:
            self.usage.add(usage)
            self.cost += record.cost or 0.0
        failure = record.failure
        if failure is not None:
            self.by_error[failure.kind] += 1
            if len(self.first_failures) < 5:
                self.first_failures.append((record.id, failure.kind, failure.message))

    @property
    def ok(self) -> int:
        """Records with an output."""
        return self.by_status["ok"]

    @property
    def errors(self) -> int:
        """Records that failed."""
        return self.by_status["error"]

    @property
    def filtered(self) -> int:
        """Records of rows that were dropped or whose steps were all skipped."""
        return self.by_status["filtered"]

    def counts(self) -> dict[str, Json]:
        """The counts for the manifest: `rows` = `ok` + `error` + `filtered`."""
        return {
            "rows": self.rows,
            "ok": self.ok,
            "error": self.errors,
            "filtered": self.filtered,
            "truncated": self.truncated,
            "errors": dict(sorted(self.by_error.items())),
        }
