"""From a request to its answer: journal, equal requests in flight, limits, tries.

This is the one retry loop. The adapter says what an error *is*, `RetryPolicy` whether and when
to try again, the `Limiter` who may send, the `Breaker` when to give the whole run up.
"""

from __future__ import annotations

import math
import random
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from ..client.journal.flight import Vacant
from ..client.limits import Outcome
from ..client.waiting import Aside, Pause, Turn, Wait
from ..clock import Clock
from ..errors import (
    EndpointDown,
    EndpointError,
    EndpointMissing,
    Interrupted,
    Malformed,
    RateLimited,
    TimedOut,
    Unanswered,
    Unavailable,
    Unreachable,
    Warming,
)
from ..frozen import frozen
from ..types import Json, Response, Usage
from .calls import log_answers, log_failure
from .counters import Counters
from .spending import Purse
from .tokens import TokenEstimate

if TYPE_CHECKING:
    from ..adapters.base import Adapter, Answer
    from ..client.journal import Claim, Entry, Journal
    from ..client.limits import Limiter
    from ..client.retry import Breaker, RetryPolicy
    from ..spec.model import Price


@frozen
class Question:
    """One request, ready to be sent: its *body*, its *key*, and which answers will do.

    Answers of a generation before *since* are not taken; *send* false forbids sending.
    """

    body: Json
    key: str
    since: int = 0
    send: bool = True


@frozen
class Reply:
    """The answer to a question, whether it was paid for before, and how it went."""

    response: Response
    reused: bool
    latency: float = 0.0
    attempts: int = 0


Kept: TypeAlias = "tuple[Reply | EndpointError, Entry | EndpointError]"
"""What one row gets of a call, and what those get who wait for the same request."""


class Asker:
    """One endpoint, asked by many at once: coroutines of one loop, or threads."""

    def __init__(
        self,
        adapter: Adapter,
        *,
        limiter: Limiter,
        policy: RetryPolicy,
        breaker: Breaker,
        journal: Journal,
        counters: Counters,
        clock: Clock,
        timeout: float,
        price: Price | None = None,
        halt: threading.Event,
        estimate_tokens: bool = False,
        purse: Purse | None = None,
    ) -> None:
        self.adapter = adapter
        self._call = _calling(adapter)
        self.limiter = limiter
        self._policy = policy
        self._breaker = breaker
        self._journal = journal
        self._counters = counters
        self._clock = clock
        self._timeout = timeout
        self._price = price
        self._halt = halt
        self._purse = purse if price is not None else None
        self._tokens = TokenEstimate() if estimate_tokens or self._purse is not None else None
        self._reached = False
        self.models: Counter[str] = Counter()
        """Answers by the served model or version that gave them, where the endpoint tells."""
        self.reused: Counter[str] = Counter()
        """Those among them that were there before this run."""

    async def ask(self, questions: Sequence[Question]) -> list[Reply | EndpointError | Unanswered]:
        """A reply or an error for each question, in order.

        Raises:
            RunError: no request can succeed.
            Interrupted: the run was halted before all were answered.
        """
        if len(questions) == 1:
            return [await self._ask_one(questions[0])]
        replies: list[Reply | EndpointError | Unanswered | None] = [
            self._known(question) for question in questions
        ]
        missing = [place for place, reply in enumerate(replies) if reply is None]
        if missing:
            await self._ask_missing(questions, missing, replies)
        for reply in replies:
            if isinstance(reply, Reply):
                self._count(reply)
        return replies  # type: ignore[return-value]

    async def _ask_one(self, question: Question) -> Reply | EndpointError | Unanswered:
        """The usual case, written out: one question, which travels alone."""
        landed = self._journal.landed
        reply = self._known(question)
        if reply is None:
            claim = self._journal.claim(question.key, question.since, landed)
            reply = await (
                self._lead(claim, question) if claim.leads else self._wait(claim, question)
            )
        if isinstance(reply, Reply):
            self._count(reply)
        return reply

    async def _lead(self, claim: Claim, question: Question) -> Reply | EndpointError:
        """Send the question for all who wait for its answer."""
        try:
            sent = await self._send((question,))
        except BaseException:
            claim.settle(Interrupted("the run ended before this request was answered"))
            raise
        reply, entry = (sent, sent) if isinstance(sent, EndpointError) else sent[0]
        claim.settle(entry)
        return reply

    def _count(self, reply: Reply) -> None:
        model = reply.response.model
        if reply.reused:
            self._counters.count_reused()
            if model is not None:
                self._counters.count_in(self.reused, model)
        if model is not None:
            self._counters.count_in(self.models, model)

    def _known(self, question: Question) -> Reply | EndpointError | Unanswered | None:
        entry = self._journal.lookup(question.key, question.since)
        if entry is not None:
            reply = self._reused(entry)
            if self._tokens is not None and isinstance(reply, Reply):
                self._tokens.after([reply.response.usage], [question.body])
            return reply
        if not question.send:
            return Unanswered("the journal holds no answer to this request")
        return None

    async def _ask_missing(
        self,
        questions: Sequence[Question],
        missing: Iterable[int],
        replies: list[Reply | EndpointError | Unanswered | None],
    ) -> None:
        # All claims are made before anything is waited for: of two threads with the same two
        # requests, neither waits while it holds what the other waits for.
        claims: list[tuple[int, Claim]] = []
        try:
            for place in missing:
                question = questions[place]
                claims.append((place, self._journal.claim(question.key, question.since)))
            led = [(place, claim) for place, claim in claims if claim.leads]
            for chunk in self._chunks(questions, led):
                await self._send_chunk(
                    [(place, claim, questions[place]) for place, claim in chunk], replies
                )
        except BaseException:
            given_up = Interrupted("the run ended before this request was answered")
            for _, claim in claims:
                if claim.leads:
                    claim.settle(given_up)
            raise
        for place, claim in claims:
            if not claim.leads:
                replies[place] = await self._wait(claim, questions[place])

    async def _wait(self, claim: Claim, question: Question) -> Reply | EndpointError:
        """The answer to an equal request that another thread, or process, had in flight."""
        try:
            return self._reused(await claim.wait(self._halt))
        except Vacant as vacant:
            return await self._lead(vacant.claim, question)
        except EndpointError as error:
            return error
        except Unanswered as error:
            raise Interrupted("stopped before this request was answered") from error

    def _chunks(
        self, questions: Sequence[Question], wanted: Sequence[tuple[int, Claim]]
    ) -> Iterable[list[tuple[int, Claim]]]:
        """Requests that may travel together, at most `batch_size` a call."""
        size = self.adapter.batch_size
        if size == 1 or len(wanted) == 1:
            return [[one] for one in wanted]
        groups: dict[Hashable, list[tuple[int, Claim]]] = {}
        for place, claim in wanted:
            group = self.adapter.group(questions[place].body)
            groups.setdefault(group, []).append((place, claim))
        return [
            members[start : start + size]
            for members in groups.values()
            for start in range(0, len(members), size)
        ]

    async def _send_chunk(
        self,
        chunk: Sequence[tuple[int, Claim, Question]],
        replies: list[Reply | EndpointError | Unanswered | None],
    ) -> None:
        """One call for *chunk*; a call that fails is split until the bad row is alone."""
        sent = await self._send([question for _, _, question in chunk])
        if not isinstance(sent, EndpointError):
            for (place, claim, _), (reply, entry) in zip(chunk, sent, strict=True):
                replies[place] = reply
                claim.settle(entry)
        elif len(chunk) > 1 and not isinstance(sent, RateLimited):
            middle = len(chunk) // 2
            await self._send_chunk(chunk[:middle], replies)
            await self._send_chunk(chunk[middle:], replies)
        else:
            for place, claim, _ in chunk:
                replies[place] = sent
                claim.settle(sent)

    async def _send(self, questions: Sequence[Question]) -> list[Kept] | EndpointError:
        """Call, and call again as the policy says; the answers are in the journal on return."""
        bodies = [question.body for question in questions]
        started = self._clock.now()
        tries = waits = 0
        while True:
            tokens = self._tokens.before(bodies) if self._tokens else None
            reserved = await self._reserve(bodies) if self._purse is not None else 0.0
            try:
                if not self.limiter.take(self._halt, tokens) and not await self.limiter.acquire(
                    self._halt, tokens
                ):
                    raise Interrupted("stopped before this request was sent")
            except BaseException:
                self._settle(reserved, 0.0)
                raise
            try:
                sent_at = self._clock.now()
                try:
                    answers = await self._call(bodies, self._timeout)
                finally:
                    self._count_refused()
            except EndpointError as error:
                self.limiter.release(
                    outcome_of(error), retry_after=error.retry_after, estimate=tokens
                )
                # What may have been served is taken for served: a cap must hold.
                self._settle(reserved, reserved if error.maybe_paid else 0.0)
                elapsed = self._clock.now() - started
                waited_for = self._policy.is_waited_for(error, elapsed)
                waits += waited_for
                tries += not waited_for
                self._note_failure(error)
                failures = waits if waited_for else tries
                delay = self._policy.delay(error, failures, elapsed, random.random)
                if len(bodies) > 1 and error.status == 500:
                    delay = None  # one bad row fails a whole batch: split it, do not repeat it
                log_failure(self.adapter, bodies, error, self._clock.now() - sent_at, delay)
                if delay is None:
                    self._give_up(error, started, self._policy.is_too_late(error, elapsed))
                    return error
                if error.asked:
                    self._counters.count_again(waited_for, error.maybe_paid)
                if await Pause(self._clock, delay, self._halt):
                    raise Interrupted("stopped while waiting to try again") from error
            except BaseException as ended:
                is_lost = isinstance(ended, GeneratorExit)  # given up while it was under way
                if is_lost:
                    self._counters.count_sent("abandoned")
                    self._counters.count_lost(True)
                self.limiter.release(Outcome.refused, estimate=tokens)
                self._settle(reserved, reserved if is_lost else 0.0)
                raise
            else:
                latency = self._clock.now() - sent_at
                log_answers(self.adapter, bodies, answers, latency)
                kept, cost = self._keep(questions, answers, latency, tries + waits, tokens)
                self._settle(reserved, reserved if cost is None else cost)
                if self._journal.gathers:
                    await self._until_written()
                return kept

    async def _until_written(self) -> None:
        """Nothing is made of an answer, and nobody asks for more, before it is on disk."""
        refused = self._journal.refused
        await Turn()
        if self._journal.refused != refused:  # whoever wrote has said why
            raise Interrupted("the journal could not keep what was answered")

    async def _reserve(self, bodies: Sequence[Json]) -> float:
        """Money for a call for *bodies*. Raises `SpendCap` if there is not enough left."""
        assert self._purse is not None

        def bid() -> tuple[float, float]:
            assert self._tokens is not None
            assert self._price is not None
            inputs, outputs, beside = self._tokens.most(bodies)
            if not self._price.output_per_million:
                beside = math.inf
            return self._price.of(Usage(input_tokens=inputs, output_tokens=outputs)), beside

        return await self._purse.take(bid, self._halt)

    def _settle(self, reserved: float, cost: float) -> None:
        if self._purse is not None:
            self._purse.settle(reserved, cost)

    def _keep(
        self,
        questions: Sequence[Question],
        answers: Sequence[Answer],
        latency: float,
        failures: int,
        estimate: tuple[int, int] | None,
    ) -> tuple[list[Kept], float | None]:
        """Journal what was answered; what has not the form of an answer is not one.

        Also gives what the call has cost, None where the endpoint does not tell.
        """
        read = [self._read(answer) for answer in answers]
        usages = [response.usage for response in read if isinstance(response, Response)]
        outcome = Outcome.success_after_retry if failures else Outcome.success
        shared = answers[0].shared
        told = usages if shared is None else [shared]
        used = None
        if self._tokens is not None:
            used = self._tokens.after(told, [question.body for question in questions])
        self.limiter.release(outcome, estimate=estimate, tokens=used)
        self._breaker.succeeded()
        self._reached = True
        self._counters.count_sent(200)
        costs = [self._price.of(usage) for usage in told if usage] if self._price else []
        if shared is not None:
            self._counters.count_shared(shared, sum(costs))
        kept: list[Kept] = []
        for question, answer, response in zip(questions, answers, read, strict=True):
            if isinstance(response, Malformed):
                self._counters.count_lost(True)
                kept.append((response, response))
                continue
            entry = self._journal.record(question.key, answer)
            if isinstance(response, EndpointError):
                kept.append((response, entry))
                continue
            cost = self._price.of(response.usage) if self._price and response.usage else 0.0
            self._counters.count_answer(latency, response.usage, cost)
            reply = Reply(response=response, reused=False, latency=latency, attempts=failures + 1)
            kept.append((reply, entry))
        return kept, sum(costs) if costs else None

    def _read(self, answer: Answer | Entry) -> Response | EndpointError:
        try:
            response = self.adapter.decode(answer.body)
        except EndpointError as error:
            return error
        if answer.model and not response.model:
            response = replace(response, model=answer.model)
        return response

    def _reused(self, entry: Answer | Entry) -> Reply | EndpointError:
        response = self._read(entry)
        if isinstance(response, EndpointError):
            return response
        return Reply(response=response, reused=True)

    def _note_failure(self, error: EndpointError) -> None:
        if error.asked:
            self._counters.count_sent(error.status or error.kind)
        if error.status is not None:
            self._reached = True
        self._breaker.failed(error)

    def _count_refused(self) -> None:
        """Count the answers that became no `EndpointError`: those to refused credentials, and
        those that end the run."""
        refused: list[int] | None = getattr(self.adapter, "refused", None)
        while refused:
            self._counters.count_sent(refused.pop())

    def _give_up(self, error: EndpointError, started: float, too_late: bool) -> None:
        """This request has no more tries; whether the endpoint has is told by everybody's luck.

        Raises:
            EndpointMissing: nobody ever got through to it.
            EndpointDown: it did nothing but ask to wait for as long as this request lived, or
                there is no time left and nobody has had an answer for half of it.
        """
        self._counters.count_lost(error.maybe_paid)
        if isinstance(error, Unreachable) and not self._reached:
            raise EndpointMissing(
                f"the endpoint was never reachable: {error.message}",
                "check its address and that it is running, then run the same command again",
            ) from error
        if isinstance(error, (RateLimited, Warming)) and self._breaker.nothing_since(started):
            raise EndpointDown(
                f"the endpoint only ever asked to wait: {error.message}",
                "run the same command again when it has room; limits.retry_for waits longer",
            ) from error
        if isinstance(error, RateLimited) and (error.retry_after or 0.0) > self._policy.retry_for:
            raise EndpointDown(
                f"the endpoint only ever asked to wait, {error.retry_after:.0f} s at last: "
                f"{error.message}",
                "run the same command again when it has room; limits.retry_for waits longer",
            ) from error
        if too_late and self._breaker.idle() >= self._policy.retry_for / 2:
            raise EndpointDown(
                f"no answer for {self._clock.now() - started:.0f} s, last: {error.message}",
                "look at the endpoint, then run the same command to continue; "
                "limits.retry_for waits longer",
            ) from error


Calling = Callable[[Sequence[Json], float], Coroutine[Wait[Any], Any, "Sequence[Answer]"]]
"""One call of an adapter, as a coroutine."""


def _calling(adapter: Adapter) -> Calling:
    """How *adapter* is called without keeping a loop waiting."""
    acall: Calling | None = getattr(adapter, "acall", None)
    if acall is not None:
        return acall

    async def aside(bodies: Sequence[Json], timeout: float) -> Sequence[Answer]:
        return await Aside(lambda: adapter.call(bodies, timeout))

    return aside


def outcome_of(error: EndpointError) -> Outcome:
    """What a failed call tells the limits."""
    if isinstance(error, RateLimited):
        return Outcome.rate_limited
    if isinstance(error, TimedOut):
        return Outcome.timed_out
    if isinstance(error, Unavailable):
        return Outcome.fault
    return Outcome.refused
