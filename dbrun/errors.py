"""What can go wrong, and the exit code that follows.

Trouble with a row is data: it becomes a `Failure` in that row's record and the run goes on.
Trouble with the run is an exception: it stops.

    DbrunError                      message, hint; exit_code on the class
    ├── UserError               2   something to fix in the input
    │   ├── SpecError               the pipeline file; carries Problems
    │   ├── PluginError             unknown name, missing extra, broken plugin
    │   └── SinkInUse               another run holds the sink
    ├── RunError                3   the surroundings refused
    │   ├── AuthError               no credentials, or refused after a refresh
    │   ├── EndpointMissing         not there, switched off, or never reachable
    │   ├── EndpointDown            nothing succeeded for `limits.retry_for` seconds
    │   ├── SourceError             rows cannot be read
    │   ├── SinkError               results or journal cannot be written
    │   ├── TooManyFailures         the budget of `limits.max_failures` is used up
    │   └── SpendCap                that of `limits.max_cost` is, or would be
    ├── Interrupted       130, 143  Ctrl-C or SIGTERM
    └── RowError                –   becomes the record's `error`, never seen outside
        ├── RenderError             a template failed on this row
        ├── TransformError          a user function raised or returned what it must not
        ├── InvalidOutput           the answer is not what `response_schema` asks for
        ├── Unanswered              replaying, and the journal holds no answer
        └── EndpointError           status, retry_after
            ├── RateLimited         waited for; slows everyone
            ├── Unavailable         5xx, connection cut; tried again
            │   ├── Unreachable     no connection at all; nothing was sent
            │   └── Warming         scaled to zero and starting; waited for
            ├── TimedOut            no answer within `limits.timeout`; tried again
            ├── Rejected            other 4xx; not tried again
            │   └── Refused         403, 405, 501: perhaps whatever is asked
            ├── ContextLength       longer than the model takes
            ├── ContentFilter       refused by a guardrail
            └── Malformed           answered, but not in the expected form

All of them pickle: they cross process boundaries under Spark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from .types import Failure, Problem

EXIT_OK = 0
EXIT_UNMET = 1
EXIT_USAGE = 2
EXIT_INCOMPLETE = 3
EXIT_BUG = 4


class DbrunError(Exception):
    """Base of all errors of dbrun: *message* says what and where, *hint* what to do."""

    exit_code: ClassVar[int] = EXIT_BUG

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message.rstrip('.')}; {self.hint}" if self.hint else self.message


class UserError(DbrunError):
    """Something to fix in the command, the spec or the installation; nothing was sent."""

    exit_code = EXIT_USAGE


class SpecError(UserError):
    """The pipeline file is wrong; *problems* has every one that was found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.args = (tuple(problems),)
        self.problems = tuple(problems)


class PluginError(UserError):
    """A plugin is unknown, broken, claimed twice, or lacks its extra."""


class SinkInUse(UserError):
    """Another run is writing the same results."""


class RunError(DbrunError):
    """The run could not start or finish; the same command continues it."""

    exit_code = EXIT_INCOMPLETE


class AuthError(RunError):
    """There are no credentials, or they were refused after a refresh."""


class EndpointMissing(RunError):
    """The endpoint is not there, is switched off, or was never reachable."""


class EndpointDown(RunError):
    """Nothing succeeded for `limits.retry_for` seconds while requests failed retryably."""


class SourceError(RunError):
    """The rows cannot be read."""


class SinkError(RunError):
    """Results or journal cannot be written."""


class TooManyFailures(RunError):
    """More rows failed than `limits.max_failures` allows."""


class SpendCap(RunError):
    """What a run may spend (`limits.max_cost`) does not suffice."""


class Interrupted(DbrunError):
    """The run was told to stop; *exit_code* is 130 (Ctrl-C) or 143 (SIGTERM)."""

    def __init__(self, message: str = "interrupted", exit_code: int = 130) -> None:
        super().__init__(message)
        self.args = (message, exit_code)
        self.exit_code = exit_code  # type: ignore[misc]


class RowError(DbrunError):
    """Trouble with one row: *kind* is the record's `error.class`, *where* the place of it."""

    kind: ClassVar[str] = "rejected"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, where: str | None = None) -> None:
        super().__init__(message)
        self.args = (message, where)
        self.where = where

    def failure(self) -> Failure:
        """This error as the data that a record holds."""
        return Failure(
            kind=self.kind, message=self.message, retryable=self.retryable, where=self.where
        )


class RenderError(RowError):
    """A template failed on this row."""

    kind = "render"


class TransformError(RowError):
    """A user function raised, or returned what it must not."""

    kind = "transform"


class InvalidOutput(RowError):
    """The answer is not the JSON that `response_schema` asks for."""

    kind = "invalid_output"


class Unanswered(RowError):
    """Replaying (or stopped early), and the journal holds no answer to this request."""

    kind = "unanswered"
    retryable = True


class EndpointError(RowError):
    """The endpoint did not give a usable answer.

    *status* is the HTTP status if there was one; *retry_after* the seconds the server asked to
    wait; *maybe_paid* says that the request had been sent, so the endpoint may have served it.
    *asked* is false where the endpoint was not even asked: there was no token to ask it with.

    Where there is a *verdict* and the first *patience* calls of a run end so, or that many more
    than are still under way, and none is answered, it is not for what they ask: the run ends with
    the verdict. A call that ends so while others are answered costs its row only.
    """

    asked = True
    patience: int = 1
    verdict: RunError | None = None

    def __init__(
        self,
        message: str,
        status: int | None = None,
        retry_after: float | None = None,
        maybe_paid: bool = False,
    ) -> None:
        super().__init__(message)
        self.args = (message, status, retry_after, maybe_paid)
        self.status = status
        self.retry_after = retry_after
        self.maybe_paid = maybe_paid

    def before_asking(self) -> None:
        """Note that this went wrong on the way to a request, which was not sent."""
        self.asked = False
        self.maybe_paid = False
        self.args = (*self.args[:3], False)

    def failure(self) -> Failure:
        """This error as the data that a record holds."""
        return Failure(
            kind=self.kind,
            message=self.message,
            status=self.status,
            retryable=self.retryable,
            where=self.where,
        )


class RateLimited(EndpointError):
    """The endpoint asks to slow down (429, or 503 with `Retry-After`); waiting is not a try."""

    kind = "rate_limited"
    retryable = True


class Unavailable(EndpointError):
    """A fault of the server or of the way to it; tried again."""

    kind = "unavailable"
    retryable = True


class Unreachable(Unavailable):
    """No connection could be made at all: nothing was sent."""


class Warming(Unavailable):
    """The endpoint is starting up; within `limits.warmup` seconds waiting is not a try."""


class TimedOut(EndpointError):
    """No whole answer within `limits.timeout` seconds; tried again."""

    kind = "timeout"
    retryable = True


class Rejected(EndpointError):
    """The endpoint refused this request; not tried again.

    *parameter* is the field of the request that it does not take, where it names one.
    """

    kind = "rejected"
    parameter: str | None = None


class Refused(Rejected):
    """The endpoint refused this request, and perhaps would refuse any (403, 405, 501)."""


class ContextLength(EndpointError):
    """The request is longer than the model takes."""

    kind = "context_length"


class ContentFilter(EndpointError):
    """A guardrail or content filter refused the request or withheld the answer."""

    kind = "content_filter"


class Malformed(EndpointError):
    """The endpoint answered, but not in the expected form."""

    kind = "malformed"
