"""An answer of status 2xx that is no JSON: what it is instead, and whose fault that may be."""

from __future__ import annotations

import re

from ..client.transport import HttpResponse
from ..errors import EndpointError, EndpointMissing, Unavailable
from ..types import Json
from .classify import PATIENCE, Place
from .complaint import read
from .payload import is_cut_short
from .wires.base import malformed

_PAGE = rb"\s*<(!doctype html|html)\b"


def no_json(response: HttpResponse, asked: Json, place: Place) -> EndpointError:
    """The error for *response*, which is what came of asking *asked* at *place*.

    A web page, such as one to sign in, is no model's answer: if nothing else comes, the run ends.
    """
    status = response.status
    kind = response.headers.get("content-type", "").partition(";")[0]
    if kind == "text/event-stream":
        wanted = isinstance(asked, dict) and asked.get("stream")
        mend = "leave 'stream' out of the request" if wanted else "it was not asked to"
        return malformed(f"the endpoint streams its answer; {mend}", status)
    kind = f"broken {kind}" if kind.endswith("json") else kind or "text"
    try:
        response.body.decode()
    except UnicodeDecodeError:
        said = f"the endpoint answered with {kind}, not in UTF-8, in place of JSON"
        return malformed(said, status)
    said = read(status, response.body).message
    if is_cut_short(response.body):
        message = f"the endpoint's answer was cut short within its JSON: {said}"
        return Unavailable(message, status, maybe_paid=True)
    error = malformed(f"the endpoint answered with {kind} in place of JSON: {said}", status)
    if kind == "text/html" or re.match(_PAGE, response.body, re.IGNORECASE):
        error.patience = PATIENCE
        error.verdict = EndpointMissing(
            f"{place.url} answers with a web page in place of JSON: {said}", place.missing
        )
    return error
