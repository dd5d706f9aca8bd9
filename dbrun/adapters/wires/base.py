"""What a wire is: how a request is spelt, how an answer is read, how several share a call."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from ...errors import Malformed, Rejected
from ...types import Json, Response
from ..base import Request

if TYPE_CHECKING:
    from .streamed import Streamed


class Wire(Protocol):
    """One dialect of an endpoint. Everything here is pure."""

    @property
    def prompt_kind(self) -> str:
        """`chat`, `text` or `any`, as in `Adapter.prompt_kind`."""

    @property
    def batches(self) -> bool:
        """Whether several bodies may be joined into one call."""

    @property
    def answer_keys(self) -> frozenset[str]:
        """Keys of which an answer has one; a body with an error and none of them is an error
        sent with status 200. Empty where an answer may be anything."""

    def encode(self, request: Request) -> Json:
        """The body of one request alone. Raises `Rejected` if it cannot be one."""

    def decode(self, body: Json) -> Response:
        """An answer in common terms. Raises `Malformed` or `ContentFilter`."""

    def group(self, body: Json) -> Hashable:
        """Bodies of equal group may be joined."""

    def join(self, bodies: Sequence[Json]) -> Json:
        """One body that asks for all of *bodies* (two or more, of one group)."""

    def split(self, body: Json, count: int) -> list[Json]:
        """The answer to a joined call as *count* answers, each as if asked alone.

        Raises:
            Malformed: if there are not *count* answers in it.
        """

    def native_schema(self, schema: Json, name: str) -> Mapping[str, Json]:
        """The params that hold an answer to *schema*; empty where there are none."""

    def streamed(self) -> Streamed | None:
        """What puts an answer together that a request with `stream: true` brings in pieces; None
        where answers come whole."""

    def body_of(self, text: str) -> Json:
        """The body of an answer that says *text*; None where no text is answered."""


class Unconstrained:
    """The part of a wire that has no form for a schema of the answer, nor for one in pieces."""

    def body_of(self, text: str) -> Json:
        """None: it is not known."""
        return None

    def native_schema(self, schema: Json, name: str) -> Mapping[str, Json]:
        """No params: the answer can only be checked when it has come."""
        return {}

    def streamed(self) -> Streamed | None:
        """Nothing: answers come whole."""
        return None


class Alone(Unconstrained):
    """The part of a wire whose requests always travel alone."""

    batches = False

    def group(self, body: Json) -> Hashable:
        """One group: nothing is ever joined."""
        return None

    def join(self, bodies: Sequence[Json]) -> Json:
        """The only body there is."""
        (body,) = bodies
        return body

    def split(self, body: Json, count: int) -> list[Json]:
        """The only answer there is."""
        return [body]


def sendable(fields: Mapping[str, Json]) -> dict[str, Json]:
    """A copy of *fields* with `stop` as a list, and absent when it is empty.

    Raises `Rejected` for a `stop` that is neither text nor a list.
    """
    sent = dict(fields)
    stop = sent.pop("stop", None)
    if stop:
        if not isinstance(stop, (str, list, tuple)):
            raise Rejected("the request's stop is no text and no list of texts")
        sent["stop"] = [stop] if isinstance(stop, str) else list(stop)
    return sent


def text_of(fields: Mapping[str, Json], name: str = "prompt") -> Json:
    """The prompt of a request for a task that takes text. Raises `Rejected` without one."""
    if name in fields:
        return fields[name]
    if "messages" in fields:
        raise Rejected(
            "this task takes a prompt and the request has messages; write prompt in place of "
            "messages, or set endpoint.task: chat"
        )
    raise Rejected("the request has no prompt; let transforms.input return one")


def malformed(message: str, status: int = 200) -> Malformed:
    """The error for an answer that is none: it came with a *status* of success, so it may have
    been paid."""
    return Malformed(message, status=status, maybe_paid=True)


def unexpected(body: Json, wanted: str) -> Malformed:
    """The error for an answer of another form: what was *wanted*, and what came."""
    return malformed(f"the answer has no {wanted}: it is {outline(body)}")


def outline(body: Json) -> str:
    """The form of a JSON value in a few words, its contents left out."""
    if isinstance(body, dict):
        names = ", ".join(sorted(map(str, body))[:8])
        return f"an object with {names}" if names else "an empty object"
    if isinstance(body, list):
        return f"a list of {len(body)}"
    if isinstance(body, str):
        return "a string"
    return "null" if body is None else f"the {type(body).__name__} {body!r}"
