"""One endpoint as a Python object: the same adapters, retries and limits, without a pipeline."""

from __future__ import annotations

import secrets
import threading
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

from ..adapters.base import Request
from ..client.journal import Journal
from ..client.waiting import blocking
from ..errors import DbrunError, RowError, UserError
from ..spec.model import Concurrency, EndpointSpec, Limits, Reference
from ..spec.response import output_check
from ..types import Json
from .asking import Asker, Question, Reply
from .counters import Counters
from .opening import Surroundings, bare_context, create_adapter, make_asker
from .outputs import cut
from .transforms import InputTransforms, OutputTransforms

_CREDENTIALS = ("token", "api_key")
_LEGACY = {
    "endpoint_name": "name",
    "api_token": "token",
    "cluster_driver_port": "port",
    "model_kwargs": "params",
    "extra_params": "params",
    "temperature": "params={'temperature': …}",
    "max_tokens": "params={'max_tokens': …}",
}


class Endpoint:
    """A model endpoint to be asked from Python.

    `invoke` asks one prompt, `batch` many. Both take the adapter's limits and tries; nothing
    is journalled. Close it (or use `with`) to let go of its connections.
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
        self._input = InputTransforms(_chain("transform_input_fn", transform_input_fn))
        self._output = OutputTransforms(_chain("transform_output_fn", transform_output_fn))
        self._adapter = create_adapter(spec, around.registry, bare_context(around))
        self._halt = threading.Event()
        self._journal = Journal.open("", mode="off")
        self._asker: Asker = make_asker(
            self._adapter, spec, self._journal, Counters(), self._halt, around.clock
        )
        self._prepare_lock = threading.Lock()
        self._prepared = False

    def invoke(
        self,
        prompt: str | Sequence[Mapping[str, Json]],
        stop: Sequence[str] | None = None,
        **params: Json,
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
        if not isinstance(prompt, (str, list, tuple)):
            kind = type(prompt).__name__
            raise TypeError(f"invoke wants a text or a list of messages, not {kind}")
        self._prepare()
        fields: dict[str, Json] = {**self._params, **params}
        fields["prompt" if isinstance(prompt, str) else "messages"] = (
            prompt if isinstance(prompt, str) else [dict(message) for message in prompt]
        )
        in_force = self._stop if stop is None else ([stop] if isinstance(stop, str) else list(stop))
        if in_force:
            fields["stop"] = in_force
        asked = self._input.apply(fields, {})
        reply = self._ask(asked)
        return self._conclude(asked, reply)

    def batch(
        self,
        prompts: Iterable[str | Sequence[Mapping[str, Json]]],
        *,
        stop: Sequence[str] | None = None,
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
        """

        def one(prompt: str | Sequence[Mapping[str, Json]]) -> Json:
            try:
                return self.invoke(prompt, stop, **params)
            except RowError as error:
                if return_exceptions:
                    return error
                raise

        from concurrent.futures import ThreadPoolExecutor

        workers = concurrency or (self._spec.limits.concurrency or self._adapter.concurrency).high
        with ThreadPoolExecutor(workers, thread_name_prefix="dbrun-batch") as pool:
            return list(pool.map(one, prompts))

    def close(self) -> None:
        """Let go of connections and models."""
        self._halt.set()
        self._adapter.close()

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _prepare(self) -> None:
        if self._halt.is_set():
            raise UserError("this endpoint was closed", "make another with dbrun.endpoint(…)")
        with self._prepare_lock:
            if not self._prepared:
                self._adapter.prepare()
                self._prepared = True

    def _ask(self, fields: Mapping[str, Json]) -> Reply:
        sent = dict(fields)
        if not sent.get("stop") or not self._spec.send_stop:
            sent.pop("stop", None)
        body = self._adapter.encode(Request(fields=sent, params=frozenset(self._params)))
        # Every call of `invoke` is a call of its own: equal prompts do not share an answer.
        question = Question(body=body, key=secrets.token_hex(32))
        reply = blocking(self._asker.ask([question]))[0]
        if isinstance(reply, DbrunError):
            raise reply
        return reply

    def _conclude(self, fields: Mapping[str, Json], reply: Reply) -> Json:
        stop = fields.get("stop") or []
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
    for name in options:
        if name in _LEGACY:
            raise UserError(f"endpoint: unknown option '{name}'", f"write {_LEGACY[name]}")
    schema = around.registry.get("adapters", adapter).options
    known = schema.get("properties", {})
    unknown = [name for name in options if name not in known]
    if unknown:
        from ..registry import suggest

        raise UserError(
            f"endpoint: {adapter} has no option '{unknown[0]}'", suggest(unknown[0], known)
        )
    options, environ = _literals(options, around.environ)
    problem = output_check({**schema, "additionalProperties": True})(options)
    if problem:
        raise UserError(f"endpoint: {adapter}: {problem}", f"`dbrun adapters {adapter}` lists all")
    spec = EndpointSpec(
        adapter=adapter,
        options=options,
        headers=headers or {},
        verify=verify,
        send_stop=send_stop,
        limits=_limits(limits or {}),
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


def _literals(
    options: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[dict[str, Any], Mapping[str, str]]:
    """Credentials given as arguments become references, as adapters know them.

    In a file a literal credential is an error; in a program it may come from anywhere.
    """
    made = dict(options)
    given: dict[str, str] = {}
    for name in _CREDENTIALS:
        if isinstance(made.get(name), str):
            given[f"DBRUN_ARGUMENT_{name.upper()}"] = made[name]
            made[name] = {"env": f"DBRUN_ARGUMENT_{name.upper()}"}
    return made, ChainMap(given, dict(environ)) if given else environ


def _limits(limits: Mapping[str, Any]) -> Limits:
    given = dict(limits)
    concurrency = given.get("concurrency")
    if isinstance(concurrency, int):
        given["concurrency"] = Concurrency.fixed(concurrency)
    elif isinstance(concurrency, Mapping):
        given["concurrency"] = Concurrency(
            start=concurrency.get("start", 8),
            low=concurrency.get("min", 1),
            high=concurrency.get("max", 64),
        )
    elif concurrency == "auto":
        given["concurrency"] = Concurrency()
    try:
        return Limits(**given)
    except TypeError as error:
        raise UserError(f"limits: {error}") from error


def _chain(
    name: str, function: Callable[..., Any] | None
) -> list[tuple[Reference, Callable[..., Any]]]:
    if function is None:
        return []
    path = f"{getattr(function, '__module__', '?')}:{getattr(function, '__qualname__', name)}"
    return [(Reference(path=path, folder="", project="", key=name), function)]
