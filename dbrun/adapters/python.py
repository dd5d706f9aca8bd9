"""A function in this process: offline models, fixtures, glue to anything with a client."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any, ClassVar

from ..context import Context
from ..errors import DbrunError, PluginError, Rejected
from ..findings import OK, Check, Finding
from ..frames import raised, user_frame
from ..spec.model import Concurrency, EndpointSpec, Reference
from ..spec.prompts import Text
from ..spec.references import Resolver
from ..types import Json, Response
from .base import Answer, Request
from .payload import unsendable
from .wires.base import sendable

_KINDS_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class PythonAdapter:
    """`fn(**request)`: prompt or messages, stop if any, and every param as keywords, as far as
    the function takes them; `params` as a mapping and `row` if it names these.

    What it returns, text or any JSON value, is the answer. What it raises fails the row and is
    not tried again.
    """

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["function"],
        "properties": {
            "function": {
                "x-kind": "reference",
                "description": "The function, as package.module:function.",
            },
            "kwargs": {
                "type": "object",
                "default": {},
                "description": "Further keyword arguments of every call.",
            },
        },
    }
    concurrency: ClassVar[Concurrency] = Concurrency()

    prompt_kind = "any"
    batch_size = 1

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str,
        identity: Json,
        kwargs: Mapping[str, Json] | None = None,
        send_stop: bool = True,
        project: str | None = None,
    ) -> None:
        self.identity = identity
        self.columns: Mapping[str, Text] = {}
        self._function = function
        self._name = name
        self._kwargs = dict(kwargs or {})
        self._send_stop = send_stop
        self._project = project
        parameters = _parameters(function)
        self._takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)
        self._takes = {one.name for one in parameters if one.kind in _KINDS_NAMED}
        self._wants = [
            one.name
            for one in parameters
            if one.kind in _KINDS_NAMED
            and one.default is one.empty
            and one.name not in self._kwargs
        ]

    @classmethod
    def create(cls, spec: EndpointSpec, context: Context) -> PythonAdapter:
        """An adapter from its options, the function imported.

        Raises:
            SpecError: there is no such function.
        """
        reference = _reference(spec, context)
        if context.resolve is None:
            raise PluginError("adapter 'python' needs functions, and this context finds none")
        kwargs = {**reference.kwargs, **(spec.options.get("kwargs") or {})}
        identity = {
            "function": reference.path,
            "kwargs": kwargs,
            "source": Resolver().source_digest(reference),
        }
        return cls(
            context.resolve(reference),
            name=reference.path,
            identity=identity,
            kwargs=kwargs,
            send_stop=spec.send_stop,
            project=context.project,
        )

    def prepare(self) -> None:
        """Nothing to find out: the function is here."""

    def checkup(self, timeout: float) -> list[Check]:
        """The function, which was imported when this was made."""
        finding = Finding(state=OK, subject="function", said=f"{self._name} is importable")
        return [Check(subject="function", look=lambda: [finding])]

    def lacking(self, names: Collection[str]) -> list[str]:
        """What the function needs of a request, were there these *names* in it only."""
        there = {*names, "params", "row"}
        return [name for name in self._wants if name not in there]

    def encode(self, request: Request) -> Json:
        """The keywords of one call. Raises `Rejected` if they do not suit the function."""
        fields = sendable(request.fields)
        if not self._send_stop:
            fields.pop("stop", None)
        if "params" in self._takes and "params" not in fields:
            names = fields.keys() - {"prompt", "messages", "stop"}
            fields["params"] = {name: fields[name] for name in sorted(names)}
        if "row" in self._takes and "row" in request.scope:
            fields["row"] = dict(request.scope["row"])
        if not self._takes_any:
            fields = {name: value for name, value in fields.items() if name in self._takes}
        if lacking := [name for name in self._wants if name not in fields]:
            raise Rejected(f"{self._name} wants {', '.join(lacking)}, which the request has not")
        if (place := unsendable(fields)) is not None:
            raise Rejected(f"the request is no JSON: {place}")
        return fields

    def group(self, body: Json) -> Hashable:
        """One group: calls are made one by one."""
        return None

    def call(self, bodies: Sequence[Json], timeout: float) -> Sequence[Answer]:
        """Call the function for each of *bodies*; it is not interrupted at *timeout*."""
        return [Answer(body=self._call(body)) for body in bodies]

    def decode(self, body: Json) -> Response:
        """What the function returned."""
        return Response(value=body, body=body)

    def body_of(self, text: str) -> Json:
        """The text itself."""
        return text

    def native_schema(self, schema: Json, name: str) -> Mapping[str, Json]:
        """No params: what a function returns can only be checked."""
        return {}

    def describe(self) -> Mapping[str, Json]:
        """The function and the digest of its module; not what it is given, which the environment
        may have filled in."""
        told = {name: value for name, value in self.identity.items() if name != "kwargs"}
        return {"adapter": "python", **told}

    def close(self) -> None:
        """Nothing is held."""

    def _call(self, body: Mapping[str, Json]) -> Json:
        try:
            value = self._function(**{**body, **self._kwargs})
        except DbrunError:
            raise  # the function says itself what kind of failure it is
        except (Exception, SystemExit, GeneratorExit) as error:
            place = user_frame(error, self._function, self._project)
            at = f" at {place}" if place else ""
            raise Rejected(f"{self._name} {raised(error)}{at}") from error
        if (fault := unsendable(value)) is not None:
            raise Rejected(f"{self._name} returned what JSON cannot hold: {fault}")
        return value


def _parameters(function: Callable[..., Any]) -> Sequence[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        # Functions written in C may not tell: they are given everything.
        return [inspect.Parameter("request", inspect.Parameter.VAR_KEYWORD)]


def _reference(spec: EndpointSpec, context: Context) -> Reference:
    given = spec.options["function"]
    if isinstance(given, Reference):
        return given
    return Reference(
        path=str(given),
        folder=context.folder,
        project=context.project,
        where=spec.where,
        key=f"{spec.path}.function",
    )
