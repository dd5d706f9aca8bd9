"""One endpoint as a Python object: the same adapters, retries and limits, without a pipeline."""

from __future__ import annotations

import secrets
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

from ..adapters.base import Request
from ..client.journal import Journal
from ..client.waiting import Aside, blocking
from ..errors import DbrunError, RowError, UserError
from ..spec.model import EndpointSpec
from ..spec.response import output_check
from ..types import Json
from .asking.asker import Asker, Question, Reply
from .asking.counters import Counters
from .asking.streaming import END, Pieces, StreamAsker
from .endpoint_options import chain, limits_of, literals, meant_by
from .opening import Surroundings, bare_context, make_asker
from .outputs import cut, stop_of
from .plugins import create_adapter
from .transforms import InputTransforms, OutputTransforms

Prompt: TypeAlias = str | Sequence[Mapping[str, Json]]
"""A text, or a list of messages."""


class Endpoint:
    """A model endpoint to be asked from Python.

    `invoke` asks one prompt, `batch` many, `stream` gives the answer while it comes; `ainvoke`,
    `abatch` and `astream` are the same to await. All take the adapter's limits and tries;
    nothing is journalled. Close it (or use `with`) to let go of its connections.
    """

    def __init__(
        self,
        spec: EndpointSpec,
        around: Surroundings,
        *,
        params: Mapping[str, Json],
        stop: Sequence[str],
        transform_input_fn: Callable[..., Any] | None,
        transform_output_fn: Callable[..., Any] | None,
    ) -> None:
        self._spec = spec
        self._params = dict(params)
        self._stop = list(stop)
        self._input = InputTransforms(chain("transform_input_fn", transform_input_fn))
        self._output = OutputTransforms(chain("transform_output_fn", transform_output_fn))
        # Whether functions of the user's see every request, or every answer, and may be slow.
        self._changes_input = transform_input_fn is not None
        self._changes_output = transform_output_fn is not None
        self._adapter = create_adapter(spec, around.registry, bare_context(around))
        self._halt = threading.Event()
        self._journal = Journal.open("", mode="off")
        self._asker: Asker = make_asker(
            self._adapter, spec, self._journal, Counters(), self._halt, around.clock
        )
        self._streams = StreamAsker(self._asker)
        self._prepare_lock = threading.Lock()
        self._prepared = False

    def invoke(
        self, prompt: Prompt, stop: Sequence[str] | str | None = None, **params: Json
    ) -> Json:
        """The answer to *prompt*: text, or what `transform_output_fn` made of it.

        Args:
            prompt: text, or a list of messages for a chat endpoint.
            stop: strings at which the answer ends; instead of the endpoint's own.
            params: generation parameters, over the endpoint's own.

        Raises:
            RowError: this prompt has no answer; the subclass says why.
            RunError: no prompt can have one (credentials, endpoint).
        """
        return blocking(self._invoke(self._fields(prompt, stop, params)))

    async def ainvoke(
        self, prompt: Prompt, stop: Sequence[str] | str | None = None, **params: Json
    ) -> Json:
        """`invoke` to await: the event loop goes on meanwhile, and cancelling hangs up."""
        from ..client.aio import carried

        return await carried(self._invoke(self._fields(prompt, stop, params)))

    def stream(
        self, prompt: Prompt, stop: Sequence[str] | str | None = None, **params: Json
    ) -> Iterator[Json]:
        """The answer to *prompt* while it comes: pieces that joined are what `invoke` gives.

        One piece is the whole where the endpoint does not stream, where the answer is no text,
        and where `transform_output_fn` wants to see all of it. To stop reading (`break`) hangs
        up. Takes and raises what `invoke` does; also between two pieces, if the stream is cut.
        """
        return self._pieces(self._fields(prompt, stop, params))

    def astream(
        self, prompt: Prompt, stop: Sequence[str] | str | None = None, **params: Json
    ) -> AsyncIterator[Json]:
        """`stream` for `async for`."""
        return self._apieces(self._fields(prompt, stop, params))

    def batch(
        self,
        prompts: Iterable[Prompt],
        *,
        stop: Sequence[str] | str | None = None,
        concurrency: int | None = None,
        return_exceptions: bool = False,
        **params: Json,
    ) -> list[Json]:
        """The answers to *prompts*, in their order.

        Args:
            concurrency: calls in flight at the most; the endpoint's limits hold besides.
            return_exceptions: put a failed prompt's `RowError` in its place instead of raising.

        Raises:
            RowError: a prompt failed (the first in order), unless *return_exceptions*.
            RunError: no prompt can have an answer.
            UserError: *concurrency* is below 1.
        """

        def one(prompt: Prompt) -> Json:
            try:
                return self.invoke(prompt, stop, **params)
            except RowError as error:
                if return_exceptions:
                    return error
                raise

        from concurrent.futures import ThreadPoolExecutor

        workers = self._at_once(concurrency)
        with ThreadPoolExecutor(workers, thread_name_prefix="dbrun-batch") as pool:
            return list(pool.map(one, prompts))

    async def abatch(
        self,
        prompts: Iterable[Prompt],
        *,
        stop: Sequence[str] | str | None = None,
        concurrency: int | None = None,
        return_exceptions: bool = False,
        **params: Json,
    ) -> list[Json]:
        """`batch` to await."""
        import asyncio

        waiting = enumerate(prompts)
        answers: dict[int, Json] = {}
        failed: dict[int, Exception] = {}

        async def work() -> None:
            for place, prompt in waiting:
                try:
                    answers[place] = await self.ainvoke(prompt, stop, **params)
                except Exception as error:
                    if not (return_exceptions and isinstance(error, RowError)):
                        failed[place] = error
                    answers[place] = error
                if failed:
                    return

        await asyncio.gather(*(work() for _ in range(self._at_once(concurrency))))
        if failed:
            raise failed[min(failed)]
        return [answers[place] for place in range(len(answers))]

    def close(self) -> None:
        """Let go of connections and models."""
        self._halt.set()
        self._adapter.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an endpoint holds connections and credentials, and cannot be pickled: make it where "
            "it is used (a pipeline of dbrun.load can be pickled)"
        )

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Endpoint:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def _at_once(self, concurrency: int | None) -> int:
        if concurrency is None:
            return (self._spec.limits.concurrency or self._adapter.concurrency).high
        if concurrency < 1:
            raise UserError(f"concurrency: at least 1 is wanted, not {concurrency}")
        return concurrency

    def _fields(
        self, prompt: Prompt, stop: Sequence[str] | str | None, params: Mapping[str, Json]
    ) -> dict[str, Json]:
        """The request mapping, before `transform_input_fn`."""
        if not isinstance(prompt, (str, list, tuple)):
            kind = type(prompt).__name__
            raise TypeError(f"invoke wants a text or a list of messages, not {kind}")
        if self._halt.is_set():
            raise UserError("this endpoint was closed", "make another with dbrun.endpoint(…)")
        fields: dict[str, Json] = {**self._params, **params}
        fields["prompt" if isinstance(prompt, str) else "messages"] = (
            prompt if isinstance(prompt, str) else [dict(message) for message in prompt]
        )
        in_force = self._stop if stop is None else ([stop] if isinstance(stop, str) else list(stop))
        if in_force:
            fields["stop"] = in_force
        return fields

    async def _invoke(self, fields: dict[str, Json]) -> Json:
        asked, question = await self._question(fields)
        (reply,) = await self._asker.ask([question])
        if isinstance(reply, DbrunError):
            raise reply
        if self._changes_output:
            return await Aside(lambda: self._conclude(asked, reply))
        return self._conclude(asked, reply)

    async def _question(self, fields: dict[str, Json]) -> tuple[Mapping[str, Json], Question]:
        """The request as `transform_input_fn` left it, and as the question that it is."""
        if not self._prepared:
            await Aside(self._prepare)
        asked: Mapping[str, Json] = fields
        if self._changes_input:
            asked = await Aside(lambda: self._input.apply(fields, {}))
        sent = dict(asked)
        if not sent.get("stop") or not self._spec.send_stop:
            sent.pop("stop", None)
        body = self._adapter.encode(Request(fields=sent, params=frozenset(self._params)))
        # Every call of `invoke` is a call of its own: equal prompts do not share an answer.
        return asked, Question(body=body, key=secrets.token_hex(32))

    def _pieces(self, fields: dict[str, Json]) -> Iterator[Json]:
        if self._changes_output:
            yield blocking(self._invoke(fields))
            return
        pieces = blocking(self._begun(fields))
        try:
            while (piece := blocking(pieces.read())) is not END:
                yield piece
        finally:
            pieces.close()

    async def _apieces(self, fields: dict[str, Json]) -> AsyncIterator[Json]:
        from ..client.aio import carried

        if self._changes_output:
            yield await carried(self._invoke(fields))
            return
        pieces = await carried(self._begun(fields))
        try:
            while (piece := await carried(pieces.read())) is not END:
                yield piece
        finally:
            pieces.close()

    async def _begun(self, fields: dict[str, Json]) -> Pieces:
        asked, question = await self._question(fields)
        return Pieces(await self._streams.stream(question), stop_of(asked))

    def _prepare(self) -> None:
        with self._prepare_lock:
            if not self._prepared:
                self._adapter.prepare()
                self._prepared = True

    def _conclude(self, fields: Mapping[str, Json], reply: Reply) -> Json:
        stop = stop_of(fields)
        value = reply.response.value
        if isinstance(value, str):
            value, _ = cut(value, stop)
        output = self._output.apply(value, row={}, raw=reply.response.body, request=fields)
        if not isinstance(value, str) and isinstance(output, str):
            output, _ = cut(output, stop)
        return output


def make_endpoint(
    adapter: str,
    *,
    around: Surroundings,
    transform_input_fn: Callable[..., Any] | None = None,
    transform_output_fn: Callable[..., Any] | None = None,
    params: Mapping[str, Json] | None = None,
    stop: Sequence[str] | str = (),
    limits: Mapping[str, Any] | None = None,
    headers: Mapping[str, Json] | None = None,
    verify: bool | str = True,
    send_stop: bool = True,
    **options: Any,
) -> Endpoint:
    """An `Endpoint` from the adapter's options as keywords; see `dbrun.endpoint`."""
    schema = around.registry.get("adapters", adapter).options
    known = schema.get("properties", {})
    for name in options:
        if name not in known:
            raise UserError(f"endpoint: {adapter} has no option '{name}'", meant_by(name, known))
    _refuse_no_function("transform_input_fn", transform_input_fn)
    _refuse_no_function("transform_output_fn", transform_output_fn)
    options, environ = literals(options, around.environ)
    problem = output_check({**schema, "additionalProperties": True})(options)
    if problem:
        raise UserError(f"endpoint: {adapter}: {problem}", f"`dbrun adapters {adapter}` lists all")
    spec = EndpointSpec(
        adapter=adapter,
        options=options,
        headers=headers or {},
        verify=verify,
        send_stop=send_stop,
        limits=limits_of(limits or {}),
    )
    around = Surroundings(environ=environ, registry=around.registry, clock=around.clock)
    return Endpoint(
        spec,
        around,
        params=params or {},
        stop=[stop] if isinstance(stop, str) else stop,
        transform_input_fn=transform_input_fn,
        transform_output_fn=transform_output_fn,
    )


def _refuse_no_function(name: str, given: object) -> None:
    """A call would be paid for before the first answer shows that it is none."""
    if given is None or callable(given):
        return
    found = "a text" if isinstance(given, str) else f"an object of {type(given).__name__}"
    raise UserError(
        f"endpoint: {name} wants a function, found {found}",
        "pass the function itself; paths and pickles of functions are not loaded here",
    )
