"""One call over HTTP: the part that every adapter with a server behind it shares."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, TypeVar

from ..client.auth import Auth, NoAuth, Sender, token_refused
from ..client.credentials import Headers, mask, say_again
from ..client.retry import parse_retry_after
from ..client.transport import HttpRequest, HttpResponse
from ..client.waiting import Aside, blocking
from ..context import Context
from ..errors import DbrunError, EndpointError, Rejected, RunError
from ..findings import Check
from ..spec.model import Concurrency, EndpointSpec
from ..spec.prompts import Text
from ..types import Json, Response
from .base import Answer, AnswerStream, Request
from .classify import Place, error_inside, error_of, redirected, refused
from .complaint import Complaint, of, read
from .no_json import no_json
from .payload import dumps, loads, one_line
from .senders import exchange_of, make_transport, secret_reader
from .urls import inserted
from .wires.base import Wire, malformed
from .wires.common import usage_of

_Error = TypeVar("_Error", bound=DbrunError)

_SHORTEST_KEY = 16
_WAIT = ("retry-after", "retry-after-ms")


class HttpAdapter:
    """An endpoint behind a URL: *wire* says how it speaks, *auth* who speaks to it.

    *fixed* fields are part of every body unless the request has them itself.
    """

    options: ClassVar[Mapping[str, Json]] = {"type": "object", "properties": {}}
    concurrency: ClassVar[Concurrency] = Concurrency()

    identity: Json = None
    columns: Mapping[str, Text]

    def __init__(
        self,
        *,
        wire: Wire,
        url: str,
        spec: EndpointSpec,
        context: Context,
        auth: Auth | None = None,
        place: Place | None = None,
        fixed: Mapping[str, Json] | None = None,
        method: str = "POST",
        batch_size: int = 1,
        transport: Sender | None = None,
    ) -> None:
        self.spec = spec
        self.context = context
        self.transport: Sender = transport or make_transport(spec, context)
        self._exchange = exchange_of(self.transport)
        # A header that the user wrote is what they want to be known by.
        own = next((name for name in spec.headers if name.lower() == "authorization"), None)
        self.auth: Auth = NoAuth(f"{spec.path}.headers.{own}") if own else auth or NoAuth()
        self.columns = {}
        self.streams = True
        """Whether it is worth asking for a stream where the wire has one."""
        self.refused: list[int] = []
        """Statuses of answers that became no `EndpointError`, until somebody counts them."""
        self.method = method
        self._inserted = inserted(
            str(spec.options.get("url") or spec.options.get("base_url")), context.environ
        )
        self._fixed = dict(fixed or {})
        self._wanted_batch = batch_size
        self._declared = Headers(
            spec.headers, spec.at, context.environ, secret_reader(self.transport, context)
        )
        self._headers: Mapping[str, str] | None = None
        # Of the last request: what `auth` gave, our own headers, both together, and the
        # credentials among them.
        self._last: (
            tuple[Mapping[str, str], Mapping[str, str], Mapping[str, str], tuple[bytes, ...]] | None
        ) = None
        self.speak(wire, url, place or Place(url=url))

    def speak(self, wire: Wire, url: str, place: Place) -> None:
        """Take up *wire* and *url*: at once, or in `prepare` where they must be found out."""
        self.wire, self.url = wire, url
        self.place = replace(place, method=self.method, adapter=self.spec.adapter)
        self.prompt_kind = wire.prompt_kind
        self.batch_size = self._wanted_batch if wire.batches else 1

    def prepare(self) -> None:
        """Nothing to find out: the spec says everything."""

    def rehearse(self) -> str | None:
        """Nothing to find out: the spec says how requests and answers look."""
        return None

    def encode(self, request: Request) -> Json:
        """The body of one request alone. Raises `Rejected` if it cannot be one."""
        if not self.spec.send_stop and "stop" in request.fields:
            fields = {name: value for name, value in request.fields.items() if name != "stop"}
            request = Request(fields=fields, params=request.params, scope=request.scope)
        body = self.wire.encode(request)
        if self._fixed:
            body = {**self._fixed, **body}
        return body

    def group(self, body: Json) -> Hashable:
        """Bodies of equal group may travel in one call."""
        return self.wire.group(body)

    def call(self, bodies: Sequence[Json], timeout: float) -> Sequence[Answer]:
        """Send one call for *bodies* and give one answer a body; see `Adapter.call`."""
        return blocking(self.acall(bodies, timeout))

    async def acall(self, bodies: Sequence[Json], timeout: float) -> Sequence[Answer]:
        """`call` as a coroutine, many of which wait in one thread."""
        count = len(bodies)
        body = bodies[0] if count == 1 else self.wire.join(bodies)
        try:
            response = await self._ask(self.payload(body), timeout)
            parsed, exact = self._parse(response, body)
        except (EndpointError, RunError) as error:
            raise self.masked(error) from error.__cause__
        model = response.headers.get("served-model-name") or _model_of(parsed)
        if count == 1:
            raw = one_line(response.body) if exact else None
            return [Answer(body=parsed, raw=raw, model=model)]
        first, *others = self.wire.split(parsed, count)
        # The tokens of a joined call are told for all its rows together.
        shared = usage_of(parsed)
        return [
            Answer(body=first, model=model, shared=shared),
            *(Answer(body=part, model=model) for part in others),
        ]

    async def astream(self, body: Json, timeout: float) -> AnswerStream:
        """Ask for *body*'s answer as it comes; see `AnswerStream`."""
        from .streaming import begun

        return await begun(self, body, timeout)

    def answer(self, response: HttpResponse) -> Answer:
        """What *response*, a 2xx to one request, answers. Raises an error if it is one inside."""
        parsed, _ = self._parse(response)
        model = response.headers.get("served-model-name") or _model_of(parsed)
        return Answer(body=parsed, model=model)

    def decode(self, body: Json) -> Response:
        """An answer's body in common terms. Raises `Malformed` or `ContentFilter`."""
        return self.wire.decode(body)

    def native_schema(self, schema: Json, name: str) -> Mapping[str, Json]:
        """The params of the wire that hold an answer to *schema*."""
        return self.wire.native_schema(schema, name)

    def describe(self) -> Mapping[str, Json]:
        """The adapter and the URL, without credentials that are part of it."""
        return {"adapter": self.spec.adapter, "url": self._clean(self.url)}

    def checkup(self, timeout: float) -> list[Check]:
        """What `dbrun doctor` looks at: whether the server answers, and that the credentials that
        the spec names are there. It is asked nothing."""
        from .checkups import server_checks

        return server_checks(self, timeout)

    def close(self) -> None:
        """Let go of the sockets."""
        close = getattr(self.transport, "close", None)
        if close is not None:
            close()

    def payload(self, body: Json) -> bytes:
        """*body* as it travels. Raises `Rejected` if JSON cannot hold it."""
        try:
            return dumps(body)
        except (ValueError, TypeError, RecursionError) as error:
            raise Rejected(f"the request cannot be sent as JSON: {error}") from error

    async def _ask(self, payload: bytes, timeout: float) -> HttpResponse:
        """Send; credentials that are refused are renewed, once for all that are in flight."""
        generation = self.auth.generation
        response = await self._send(payload, timeout)
        if response.status in (401, 403) and await self.renewed(response, generation):
            response = await self._send(payload, timeout)
        if not 200 <= response.status < 300:
            raise self.error(response)
        return response

    async def renewed(self, response: HttpResponse, generation: int) -> bool:
        """Whether *response*, a 401 or 403, refuses our credentials; then they are new now.

        *generation* is that of the credentials which were sent.
        """
        if not _is_refusal(response.status, read(response.status, response.body)):
            return False
        self.refused.append(response.status)
        # Aside: whoever fetches a token at the moment holds the lock.
        await Aside(lambda: self.auth.refresh(generation))
        self._headers = None
        return True

    async def heads(self) -> tuple[Mapping[str, str], tuple[bytes, ...]]:
        """The headers of a request, and the credentials among them."""
        if self._headers is None:
            self._headers = await Aside(self.own_headers)
        auth = await Aside(self.auth.headers) if self.auth.is_due else self.auth.headers()
        return {**auth, **self._headers}, self._credentials(auth)

    async def _send(self, payload: bytes, timeout: float) -> HttpResponse:
        try:
            own = self._headers
            if own is None:
                own = self._headers = await Aside(self.own_headers)
            auth = await Aside(self.auth.headers) if self.auth.is_due else self.auth.headers()
        except EndpointError as error:
            error.before_asking()
            raise
        last = self._last
        if last is None or last[0] is not auth or last[1] is not own:
            last = self._last = (auth, own, {**auth, **own}, self._credentials(auth))
        _, _, headers, credentials = last
        request = HttpRequest(method=self.method, url=self.url, headers=headers, body=payload)
        response = await self._exchange(request, timeout)
        return _without(credentials, response) if credentials else response

    def _credentials(self, auth: Mapping[str, str]) -> tuple[bytes, ...]:
        """What must not come back: a gateway that shows the request in its answer must not bring
        credentials into the journal."""
        sent = [value.rpartition(" ")[2] for value in auth.values()]
        sent += [secret.reveal() for secret in self._declared.secrets]
        # Stand-ins such as `EMPTY` or `not-needed` are words that an answer may hold.
        return tuple(value.encode() for value in sent if len(value) >= _SHORTEST_KEY)

    def own_headers(self) -> Mapping[str, str]:
        """The headers that the spec declares, and those of every request. Raises `AuthError`."""
        declared = self._declared.resolve()
        taken = {name.lower() for name in declared}
        own = {"Content-Type": "application/json", "Accept": "application/json"}
        return {**{n: v for n, v in own.items() if n.lower() not in taken}, **declared}

    def error(self, response: HttpResponse) -> DbrunError:
        """The error that an answer of a status other than 2xx is."""
        error = self._error(response)
        # A proxy's refusal never reached the endpoint.
        if not isinstance(error, EndpointError) and response.status != 407:
            self.refused.append(response.status)
        return error

    def _error(self, response: HttpResponse) -> DbrunError:
        if 300 <= response.status < 400:
            location = response.headers.get("location", "")
            return redirected(response.status, location, self.place)
        status = response.status
        complaint = read(status, response.body, traces=self.context.debug)
        if _is_refusal(status, complaint):
            return refused(status, complaint, self.place, self.auth.source)
        return error_of(status, complaint, self.place, self._wait(response, complaint.body))

    def _wait(self, response: HttpResponse, body: Json) -> float | None:
        """The seconds that an answer asks to wait."""
        headers = response.headers
        if response.status >= 500:
            # Many servers send rate-limit headers with everything: a fault is then no limit.
            headers = {name: headers[name] for name in _WAIT if name in headers}
        return parse_retry_after(headers, body, self.context.clock.wall())

    def _parse(self, response: HttpResponse, asked: Json = None) -> tuple[Json, bool]:
        """The JSON of an answer to the body *asked*, and whether its bytes are exactly that."""
        raw = response.body
        if not raw.strip():
            status = response.status
            raise malformed(f"the endpoint answered {status} with an empty body", status)
        try:
            body, exact = loads(raw)
        except RecursionError as error:
            raise malformed("the endpoint's answer is nested too deep", response.status) from error
        except ValueError as error:
            raise no_json(response, asked, self.place) from error
        if self._is_error(body):
            complaint = of(body, response.status, traces=self.context.debug)
            raise error_inside(complaint, self.place, self._wait(response, body))
        return body, exact

    def _is_error(self, body: Json) -> bool:
        keys = self.wire.answer_keys
        if not keys or not isinstance(body, dict):
            return False
        for key in keys:
            if body.get(key):
                return False
        return bool(body.get("error")) or "error_code" in body

    def masked(self, error: _Error) -> _Error:
        """*error* without the credentials that the server, or a user's function, may have said."""
        if isinstance(error, EndpointError) and error.verdict is not None:
            self.masked(error.verdict)
        say_again(error, self._clean(error.message))
        return error

    def _clean(self, text: str) -> str:
        """*text* without credentials; what the address has of the environment by its name."""
        for name, value in self._inserted:
            text = text.replace(value, f"${{{name}}}")
        return mask(self.auth.mask(text), self._declared.secrets)


def _without(credentials: Sequence[bytes], response: HttpResponse) -> HttpResponse:
    body = response.body
    for value in credentials:
        if value in body:
            body = body.replace(value, b"***")
    return response if body is response.body else replace(response, body=body)


def _is_refusal(status: int, complaint: Complaint) -> bool:
    """Whether our credentials are refused; those of an external model's provider are not ours."""
    return complaint.provider is None and token_refused(status, complaint.message)


def _model_of(body: Json) -> str | None:
    model = body.get("model") if isinstance(body, dict) else None
    return model if isinstance(model, str) and model else None
