"""Anything else over HTTP: a body made by templates, an answer read by a JMESPath."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ..client.auth import Sender
from ..context import Context
from ..errors import PluginError, Rejected, SpecError
from ..frozen import frozen
from ..spec.model import EndpointSpec
from ..spec.prompts import Text
from ..types import Json, Problem, Response
from .base import Request
from .classify import Place
from .http import HttpAdapter
from .senders import make_transport
from .wires.base import Alone, malformed, outline, sendable
from .wires.common import usage_of

Scope = Mapping[str, Any]
Maker = Callable[[Scope], Json]

_ONE_EXPRESSION = re.compile(r"\s*\{\{(?:(?!\{\{|\}\}).)*\}\}\s*", re.DOTALL)
_TAG = re.compile(r"\{[{%#]")
_PLAIN_PATH = re.compile(r"[A-Za-z_]\w*(\[\d{1,2}\])*(\.[A-Za-z_]\w*(\[\d{1,2}\])*)*")
_PART = re.compile(r"([A-Za-z_]\w*)|\[(\d+)\]")


class TemplateAdapter(HttpAdapter):
    """`method url` with a body of templates; they see `prompt`, `messages`, `stop`, `params` and
    what prompts see (the row's columns, `row`, `vars`, `steps`)."""

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["url", "body"],
        "properties": {
            "url": {
                "type": "string",
                "pattern": "^https?://",
                "description": "Where requests go.",
            },
            "method": {
                "enum": ["POST", "PUT", "PATCH"],
                "default": "POST",
                "description": "The HTTP method.",
            },
            "body": {
                "x-kind": "template",
                "type": ["object", "array", "string"],
                "description": "The JSON to send: a mapping or list whose strings are templates "
                "(one that is just {{ … }} keeps the value's type), or one template of JSON.",
            },
            "text": {
                "type": "string",
                "minLength": 1,
                "description": "A JMESPath to the output in the answer; default: all of it.",
            },
        },
    }

    @classmethod
    def create(
        cls, spec: EndpointSpec, context: Context, transport: Sender | None = None
    ) -> TemplateAdapter:
        """An adapter from its options, its templates compiled.

        Raises:
            SpecError: a template or the JMESPath is not well formed.
            PluginError: `text` is given and jmespath is not installed.
        """
        options = spec.options
        method, url = options.get("method", "POST"), options["url"]
        wire = Templated(
            make=maker(options["body"], f"{spec.path}.body", spec, context),
            find=_finder(options.get("text"), spec),
            path=options.get("text"),
            whole=isinstance(options["body"], (str, Text)),
        )
        adapter = cls(
            wire=wire,
            url=url,
            spec=spec,
            context=context,
            place=Place(
                url=url,
                missing=f"check {spec.path}.url",
                credentials=f"name them under {spec.path}.headers",
            ),
            method=method,
            transport=transport or make_transport(spec, context),
        )
        adapter.identity = {"method": method, "url": url}
        return adapter


@frozen
class Templated(Alone):
    """The wire of one spec: *make* makes a body, *find* finds the output at *path* in an answer;
    *whole* says that the body is one template, whose text is JSON."""

    make: Maker
    find: Callable[[Json], Json] | None
    path: str | None
    whole: bool
    prompt_kind: str = "any"
    answer_keys: frozenset[str] = frozenset()

    def encode(self, request: Request) -> Json:
        """The body's templates rendered for one row."""
        body = self.make(scope_of(request))
        if not self.whole:
            return body
        try:
            return json.loads(body)
        except (ValueError, RecursionError, TypeError) as error:
            raise Rejected(
                f"endpoint.body rendered to no JSON: {error}; put values in with the filter tojson"
            ) from error

    def decode(self, body: Json) -> Response:
        """What the JMESPath finds, of any type; without one the whole answer."""
        value = body if self.find is None else self.find(body)
        if value is None and self.find is not None:
            raise malformed(f"endpoint.text finds nothing at {self.path} in {outline(body)}")
        return Response(value=value, usage=usage_of(body), body=body)

    def body_of(self, text: str) -> Json:
        """*text* where the JMESPath looks for it, if it is a plain path; None otherwise."""
        if self.path is None:
            return text
        if not _PLAIN_PATH.fullmatch(self.path):
            return None
        body: Json = text
        for name, index in reversed(_PART.findall(self.path)):
            body = {name: body} if name else [None] * int(index) + [body]
        return body


def scope_of(request: Request) -> Scope:
    """What the body's templates see; a prompt is there as `messages` too, `stop` as a list."""
    fields = sendable(request.fields)
    own: dict[str, Any] = {"stop": fields.pop("stop", [])}
    for name in ("prompt", "messages"):
        if name in fields:
            own[name] = fields.pop(name)
    if "prompt" in own:
        own.setdefault("messages", [{"role": "user", "content": own["prompt"]}])
    return {**request.scope, **own, "params": fields}


def maker(value: Any, path: str, spec: EndpointSpec, context: Context) -> Maker:
    """A function from a scope to *value* with its templates rendered."""
    if isinstance(value, Mapping):
        makers = {str(k): maker(item, f"{path}.{k}", spec, context) for k, item in value.items()}
        return lambda scope: {name: make(scope) for name, make in makers.items()}
    if isinstance(value, (list, tuple)):
        items = [maker(item, f"{path}[{i}]", spec, context) for i, item in enumerate(value)]
        return lambda scope: [make(scope) for make in items]
    if not isinstance(value, (str, Text)):
        return lambda scope: value
    text = value if isinstance(value, Text) else Text(source=value, name=path, where=spec.where)
    if not _TAG.search(text.source):
        return lambda scope: text.source
    if context.template is None:
        raise PluginError("adapter 'http' needs templates, and this context has none")
    template = context.template(text)
    if _ONE_EXPRESSION.fullmatch(text.source):
        evaluate: Maker = template.evaluate
        return evaluate
    render: Maker = template.render
    return render


def _finder(path: str | None, spec: EndpointSpec) -> Callable[[Json], Json] | None:
    if path is None:
        return None
    try:
        import jmespath
    except ImportError as error:
        raise PluginError(
            f"{spec.path}.text needs jmespath, which is not installed", "pip install 'dbrun[http]'"
        ) from error
    try:
        compiled = jmespath.compile(path)
    except jmespath.exceptions.JMESPathError as error:
        said = " ".join(str(error).split())
        problem = Problem(
            where=spec.mark("text"), path=f"{spec.path}.text", message=f"is no JMESPath: {said}"
        )
        raise SpecError([problem]) from error

    def find(body: Json) -> Json:
        try:
            return compiled.search(body)
        except jmespath.exceptions.JMESPathError as error:
            raise malformed(f"endpoint.text cannot read {outline(body)}: {error}") from error

    return find
