"""From a request to its answer: the journal, equal requests in flight, several in one call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from ...client.journal.flight import Vacant
from ...client.waiting import Turn
from ...errors import EndpointError, Interrupted, RateLimited, Unanswered
from ...frozen import frozen
from ...types import Json, Response
from .counters import Counters
from .trying import Caller, Sent

if TYPE_CHECKING:
    import threading

    from ...adapters.base import Adapter, Answer
    from ...client.journal import Claim, Entry, Journal
    from ...client.limits import Limiter
    from ...spec.model import Price


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
        caller: Caller,
        *,
        journal: Journal,
        counters: Counters,
        halt: threading.Event,
        price: Price | None = None,
    ) -> None:
        self.adapter = adapter
        self.caller = caller
        self._journal = journal
        self._counters = counters
        self._halt = halt
        self._price = price
        self.models: Counter[str] = Counter()
        """Answers by the served model or version that gave them, where the endpoint tells."""
        self.reused: Counter[str] = Counter()
        """Those among them that were there before this run."""

    @property
    def limiter(self) -> Limiter:
        """Who may send."""
        return self.caller.limiter

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
        counts = (self.models, self.reused) if reply.reused else (self.models,)
        self._counters.count_reply(reply.reused, reply.response.model, counts)

    def _known(self, question: Question) -> Reply | EndpointError | Unanswered | None:
        entry = self._journal.lookup(question.key, question.since)
        if entry is not None:
            reply = self._reused(entry)
            tokens = self.caller.tokens
            if tokens is not None and isinstance(reply, Reply):
                tokens.after([reply.response.usage], [question.body])
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
        """Call; the answers are in the journal on return."""
        sent = await self.caller.send([question.body for question in questions])
        if isinstance(sent, EndpointError):
            return sent
        kept = self._keep(questions, sent)
        if self._journal.gathers:
            await self._until_written()
        return kept

    async def _until_written(self) -> None:
        """Nothing is made of an answer, and nobody asks for more, before it is on disk."""
        refused = self._journal.refused
        await Turn()
        if self._journal.refused != refused:  # whoever wrote has said why
            raise Interrupted("the journal could not keep what was answered")

    def _keep(self, questions: Sequence[Question], sent: Sent) -> list[Kept]:
        """Journal what was answered, whatever it turns out to be: it may have been paid for, and
        another spec, or another version of this program, may make more of it."""
        answers: Sequence[Answer] = sent.answers
        read = [self.read(answer) for answer in answers]
        shared = answers[0].shared
        if shared is None:
            told = [response.usage for response in read if isinstance(response, Response)]
        else:
            told = [shared]
            price = self._price
            self._counters.count_shared(shared, price.of(shared) if price else 0)
        self.caller.settle(sent, told)
        return [
            self._keep_one(question, answer, response, sent)
            for question, answer, response in zip(questions, answers, read, strict=True)
        ]

    def _keep_one(
        self, question: Question, answer: Answer, response: Response | EndpointError, sent: Sent
    ) -> Kept:
        entry = self._journal.record(question.key, answer)
        if isinstance(response, EndpointError):
            return response, entry
        cost = self._price.of(response.usage) if self._price and response.usage else 0.0
        self._counters.count_answer(sent.latency, response.usage, cost)
        reply = Reply(
            response=response, reused=False, latency=sent.latency, attempts=sent.failures + 1
        )
        return reply, entry

    def read(self, answer: Answer | Entry) -> Response | EndpointError:
        """*answer* in common terms, or why it is none."""
        try:
            response = self.adapter.decode(answer.body)
        except EndpointError as error:
            return error
        if answer.model and not response.model:
            response = replace(response, model=answer.model)
        return response

    def _reused(self, entry: Answer | Entry) -> Reply | EndpointError:
        response = self.read(entry)
        if isinstance(response, EndpointError):
            return response
        return Reply(response=response, reused=True)
