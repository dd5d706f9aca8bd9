"""What names a row's requests in the table where a workspace logs what an endpoint is asked.

Databricks, "Inference tables": `client_request_id` of the request is kept beside its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ..context import Context
from ..spec.model import EndpointSpec
from ..types import Json
from .base import Request

FIELD = "client_request_id"
"""The field of a request, and the option that has its template."""

OPTION: Mapping[str, Json] = {
    "type": "string",
    "minLength": 1,
    "x-kind": "template",
    "description": "What names a row's requests in the endpoint's inference table, such as "
    '"{{ ticket_id }}".',
}


def naming(spec: EndpointSpec, context: Context) -> Callable[[Request], Request]:
    """What gives a request the id that its row has by the template; unless it has one already."""
    template = spec.options.get(FIELD)
    if template is None:
        return lambda request: request
    from .template import maker  # few specs have one

    make = maker(template, f"{spec.path}.{FIELD}", spec, context)

    def name(request: Request) -> Request:
        if FIELD in request.fields or (made := make(request.scope)) is None:
            return request
        return replace(request, fields={**request.fields, FIELD: str(made)})

    return name
