"""One question whose answer is taken while it comes: within the same limits, by the same tries.

A call is repeated only until its first piece is there; what fails later is for the caller to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from ...adapters.base import Answer, AnswerStream, Whole
from ...client.limits import Outcome
from ...errors import EndpointError
from ...types import Json, Response
from .asker import Asker, Question
from .stopping import StopCut
from .trying import Sent

END: Any = object()
"""What `Pieces.read` gives when there are no more."""


class StreamAsker:
    """Asks for answers in pieces, beside an asker whose limits and tries it shares."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._whole = asker.caller.call
        self._caller = asker.caller.by(self._begin)

    async def stream(self, question: Question) -> Stream:
        """The answer to *question*, begun. The caller must read it to its end or close it.

        Raises:
            EndpointError: it has none.
            RunError: no question can have one.
            Interrupted: the endpoint was closed.
        """
        sent = await self._caller.send([question.body])
        if isinstance(sent, EndpointError):
            raise sent
        (stream,) = sent.answers
        stream.sent = sent
        return cast(Stream, stream)

    async def _begin(self, bodies: Sequence[Json], timeout: float) -> Sequence[Stream]:
        """What is taken for a call: it ends when the first piece is there."""
        (body,) = bodies
        astream = getattr(self._asker.adapter, "astream", None)
        answers: AnswerStream
        if astream is None:
            answers = Whole(await self._whole(bodies, timeout))
        else:
            answers = await astream(body, timeout)
        try:
            return [Stream(self, answers, await answers.read())]
        except BaseException:
            answers.close()
            raise

    def ended(self, stream: Stream, error: EndpointError | None) -> None:
        """Give the slot of *stream* back."""
        if error is not None:
            self._caller.fail(stream.sent, error)
            return
        usage = None
        if stream.is_whole:
            read = self._asker.read(stream.answer())
            usage = read.usage if isinstance(read, Response) else None
        self._caller.settle(stream.sent, [usage])

    def read(self, answer: Answer) -> Response:
        """*answer* in common terms. Raises `EndpointError` if it is none."""
        read = self._asker.read(answer)
        if isinstance(read, EndpointError):
            raise read
        return read


class Stream:
    """One answer under way, and the slot that it takes up. To a log it is an empty answer."""

    raw = body = shared = None

    sent: Sent
    """The call that it is the answer to, set once that is under way."""

    def __init__(self, asker: StreamAsker, answers: AnswerStream, first: str | None) -> None:
        self.is_whole = False
        self._asker = asker
        self._answers = answers
        self._first: str | None = first
        self._is_begun = self._is_over = False

    async def read(self) -> str | None:
        """The next piece of text; None at the end. Raises `EndpointError` or `RunError`."""
        try:
            piece = await self._answers.read() if self._is_begun else self._first
        except EndpointError as error:
            self._end(error)
            raise
        except BaseException:
            self.close()
            raise
        self._is_begun = True
        if piece is None:
            self.is_whole = True
            self._end(None)
        return piece

    def answer(self) -> Answer:
        """The whole answer, after its end."""
        return self._answers.answer()

    def response(self) -> Response:
        """The whole answer in common terms, after its end. Raises `EndpointError`."""
        return self._asker.read(self.answer())

    def close(self) -> None:
        """Hang up; closing twice is fine. What was wanted has come, or nobody wants it."""
        if not self._is_over:
            self.sent.outcome = Outcome.success_after_retry
            self._end(None)

    def _end(self, error: EndpointError | None) -> None:
        if not self._is_over:
            self._is_over = True
            self._answers.close()
            self._asker.ended(self, error)


class Pieces:
    """An answer as its reader gets it: text in pieces, cut at stop strings; an answer that is no
    text, or that comes whole, is one piece."""

    def __init__(self, stream: Stream, stop: Sequence[str]) -> None:
        self._stream = stream
        self._cut = StopCut(stop)
        self._has_text = False
        self._is_over = False

    async def read(self) -> Json:
        """The next piece, `END` after the last. Raises `EndpointError` or `RunError`."""
        while not self._is_over:
            piece = await self._stream.read()
            text = self._last() if piece is None else self._more(piece)
            if text != "":
                return text
        return END

    def close(self) -> None:
        """Hang up."""
        self._is_over = True
        self._stream.close()

    def _more(self, piece: str) -> str:
        self._has_text = True
        text = self._cut.feed(piece)
        if self._cut.is_over:
            self.close()
        return text

    def _last(self) -> Json:
        self._is_over = True
        value = self._stream.response().value
        if self._has_text:
            return self._cut.end()
        if not isinstance(value, str):
            return value
        return self._cut.feed(value) + self._cut.end()
