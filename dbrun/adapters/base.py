"""What an adapter is: two pure functions between request and wire form, plus where to send."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from typing import Any, ClassVar, Protocol

from ..context import Context
from ..errors import DbrunError
from ..findings import OK, Check, Finding
from ..frozen import frozen
from ..spec.model import Concurrency, EndpointSpec
from ..spec.prompts import Text
from ..types import Json, Response, Usage


@frozen
class Request:
    """What to ask, independent of any wire.

    *fields* is the request mapping as the `input` transform left it: `prompt` (text) or
    `messages`, `stop` if any, and every generation parameter by its wire name; what is not set
    is absent. *params* are the names among them that the spec's `params` gave. *scope* is what
    templates see (`row`, `vars`, `steps` and the row's columns).
    """

    fields: Mapping[str, Json]
    params: frozenset[str] = frozenset()
    scope: Mapping[str, Any] = field(default_factory=dict)


@frozen
class Answer:
    """One row's answer as the journal keeps it: the body as if asked alone.

    *raw* is the body's JSON text when it can be kept byte for byte (one request, one line);
    *model* the served version where a header tells it; *shared* the tokens of a whole joined
    call, on its first answer, where they cannot be told apart by row.
    """

    body: Json
    raw: bytes | None = None
    model: str | None = None
    shared: Usage | None = None


class Adapter(Protocol):
    """An endpoint that can be asked.

    `encode`, `group` and `decode` are pure; only `prepare` and `call` touch the network.
    """

    options: ClassVar[Mapping[str, Json]]
    """JSON Schema (an object with `properties`) of the adapter's own options."""

    concurrency: ClassVar[Concurrency]
    """The default of `limits.concurrency`."""

    identity: Json
    """What tells this endpoint from others, for the request key; complete after `prepare`."""

    prompt_kind: str
    """`chat` (messages; a prompt becomes one user message), `text` (a prompt only) or `any`."""

    batch_size: int
    """How many rows may travel in one call."""

    columns: Mapping[str, Text]
    """Templates of input columns, rendered into the request's fields before `input`."""

    @classmethod
    def create(cls, spec: EndpointSpec, context: Context) -> Adapter:
        """An adapter from its options, already valid. Touches neither network nor credentials."""

    def prepare(self) -> None:
        """Find out what must be known before the first request (host, task, weights).

        Offline (`context.offline`) only what the memory holds is used.

        Raises:
            RunError: if the endpoint is missing or credentials are refused.
            UserError: if an option must be given.
        """

    def encode(self, request: Request) -> Json:
        """The body to send for one request alone. Raises `Rejected` if it cannot be one."""

    def group(self, body: Json) -> Hashable:
        """Bodies of equal group may travel in one call."""

    def call(self, bodies: Sequence[Json], timeout: float) -> Sequence[Answer]:
        """Send one call for *bodies* (one, or up to `batch_size` of one group), wait at most
        *timeout* seconds, and give one answer a body, in order.

        Raises:
            EndpointError: the call failed as a whole.
            RunError: no call can succeed.
        """

    def decode(self, body: Json) -> Response:
        """An answer's body in common terms. Raises `Malformed` or `ContentFilter`."""

    def native_schema(self, schema: Json, name: str) -> Mapping[str, Json]:
        """The params that make the endpoint itself hold to *schema* (`response_schema.mode:
        native`); *name* identifies it. Empty where the endpoint has no such form."""

    def describe(self) -> Mapping[str, Json]:
        """What the manifest says of the endpoint: host, name, task, served version."""

    def close(self) -> None:
        """Let go of sockets and models."""


def checkup(adapter: Adapter, timeout: float) -> Sequence[Check]:
    """What `dbrun doctor` looks at before *adapter* is asked anything, each request within so
    many seconds. An adapter tells by a method of this name; `prepare` must do for others."""
    own: Callable[[float], Sequence[Check]] | None = getattr(adapter, "checkup", None)
    if own is not None:
        return own(timeout)

    def prepared() -> Iterator[Finding]:
        adapter.prepare()
        yield Finding(state=OK, subject="endpoint", said="can be prepared")

    return [Check(subject="endpoint", look=prepared)]


def rehearse(adapter: Adapter) -> str | None:
    """Make *adapter* ready to `encode` and `decode` where nobody is asked anything: as far as
    that is known without credentials, network and weights. What was taken for granted, if
    anything. An adapter tells by a method of this name; for others `prepare` does what it can.
    """
    own: Callable[[], str | None] | None = getattr(adapter, "rehearse", None)
    if own is not None:
        return own()
    with suppress(DbrunError):
        adapter.prepare()
    return None


def body_of(adapter: Adapter, text: str) -> Json:
    """The body of an answer that says *text*, as the endpoint would send it.

    None where there is no telling. An adapter, or its `wire`, tells by a method of this name.
    """
    for one in (adapter, getattr(adapter, "wire", None)):
        make: Callable[[str], Json] | None = getattr(one, "body_of", None)
        if make is not None:
            return make(text)
    return None


def answer_of(adapter: Adapter, body: Json) -> Answer:
    """*body* as if the endpoint had just sent it.

    Raises:
        EndpointError: it is an error sent in place of an answer.
    """
    receive: Callable[[Any], Answer] | None = getattr(adapter, "answer", None)
    if receive is None:
        return Answer(body=body)
    from ..client.http.message import HttpResponse

    sent = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return receive(HttpResponse(status=200, headers={}, body=sent))


class AnswerStream(Protocol):
    """An answer that is taken while it comes. Adapters that can have one give it as
    `await adapter.astream(body, timeout)`, which raises as `call`; the others answer as a whole.
    """

    async def read(self) -> str | None:
        """The next piece of the answer's text; None when it has ended. Raises as `call`."""

    def answer(self) -> Answer:
        """The answer as if it had come whole: after `read` gave None."""

    def close(self) -> None:
        """Hang up, whether or not it has ended; closing twice is fine."""


class Whole:
    """An answer that came in no pieces."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        (self._answer,) = answers

    async def read(self) -> str | None:
        """As `AnswerStream.read`: there are no pieces."""
        return None

    def answer(self) -> Answer:
        """As `AnswerStream.answer`."""
        return self._answer

    def close(self) -> None:
        """As `AnswerStream.close`."""


def batch_url(adapter: Adapter) -> str | None:
    """The path of OpenAI's API that takes the bodies of *adapter*, as its Batch API names it.

    None where they are of another form. An adapter tells by its `wire`'s `batch_url`.
    """
    url = getattr(getattr(adapter, "wire", None), "batch_url", None)
    return url if isinstance(url, str) else None
