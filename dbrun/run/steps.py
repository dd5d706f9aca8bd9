"""One step of an open pipeline: its prompt, transforms and endpoint, ready for any row."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any

from ..adapters.base import Request
from ..client.journal import Keys
from ..errors import InvalidOutput, Rejected, RowError
from ..frozen import frozen
from ..spec.model import Price
from ..spec.templates import CompiledPrompt, Expression, Template
from ..types import Json, Mark, Usage
from .asking.asker import Asker
from .discretion import Discretion
from .rows.items import Item
from .transforms import InputTransforms, OutputTransforms

_ASK_AGAIN = (
    "This answer is not acceptable: {problem}\n"
    "Answer again, with nothing but JSON that satisfies the schema."
)


@frozen
class Step:
    """A step with everything found, compiled and at hand.

    *place* is how a failure names the step (None in a pipeline of one step), and *places* are
    those in the spec that the fields of its requests come from; *params* include
    what a native `response_schema` adds to the request; *has_functions* tells whether there are
    functions of the user's: transforms or filters.
    """

    name: str
    place: str | None
    asker: Asker
    prompt: CompiledPrompt | None
    columns: Mapping[str, Template]
    params: Mapping[str, Json]
    stop: Sequence[str]
    send_stop: bool
    when: Expression | None
    input: InputTransforms
    output: OutputTransforms
    check: Callable[[Json], str | None] | None
    reasks: int
    keys: Keys
    share: bool
    discretion: Discretion
    has_functions: bool
    price: Price | None = None
    places: Mapping[str, Mark] = field(default_factory=dict)

    def place_of(self, error: RowError) -> str | None:
        """Where *error* comes from: the parameter in the spec that the endpoint refuses, if it
        names one, else the step."""
        if isinstance(error, Rejected):
            name = error.parameter or _named(self.params, error.message)
            if name in self.params and name not in self.places:
                name = "response_schema"  # whose native form added it
            if (mark := self.places.get(name or "")) is not None:
                return str(mark)
        return self.place

    def cost(self, usage: Usage | None) -> float | None:
        """What *usage* costs; None where there is no price or no usage."""
        if self.price is None or usage is None:
            return None
        return round(self.price.of(usage), 9)

    def fields(self, seen: dict[str, Any], images_folder: str | None) -> dict[str, Json]:
        """The request mapping: `params`, then `prompt`/`messages` and columns, then `stop`.

        Raises:
            RenderError: a template failed on this row.
        """
        fields = dict(self.params)
        if self.prompt is not None:
            fields.update(self.prompt.fields(seen, images_folder))
        for name, template in self.columns.items():
            fields[name] = template.render(seen)
        if self.stop:
            fields["stop"] = list(self.stop)
        return fields

    def transform_input(
        self, fields: dict[str, Json], row: Mapping[str, Json]
    ) -> Mapping[str, Json]:
        """What the `input` transforms make of the request mapping."""
        return self.input.apply(fields, row)

    def sent(self, fields: Mapping[str, Json]) -> Mapping[str, Json]:
        """The request mapping without what is absent or kept from the endpoint."""
        # An empty or null stop is refused by some endpoints: what is not set is absent.
        if "stop" not in fields or (fields["stop"] and self.send_stop):
            return fields
        return {name: value for name, value in fields.items() if name != "stop"}

    def encode(self, sent: Mapping[str, Json], seen: Mapping[str, Any]) -> Json:
        """The wire body of one request alone."""
        request = Request(fields=sent, params=frozenset(self.params), scope=seen)
        return self.asker.adapter.encode(request)

    def key(self, body: Json, item: Item) -> str:
        """The request's key in the journal."""
        return self.keys.key(body, item.repeat or 1, None if self.share else item.id)

    def transform_output(
        self, value: Json, *, row: Mapping[str, Json], raw: Json, request: Mapping[str, Json]
    ) -> Json:
        """What the `output` transforms make of an answer."""
        return self.output.apply(value, row=row, raw=raw, request=request)

    def reask(
        self, fields: Mapping[str, Json], answer: Json, problem: InvalidOutput
    ) -> Mapping[str, Json]:
        """The request mapping that shows the model its *answer* and what is wrong with it."""
        said = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        again = _ASK_AGAIN.format(problem=problem.message)
        asked = dict(fields)
        messages = asked.pop("messages", None)
        if messages is None and self.asker.adapter.prompt_kind != "chat":
            asked["prompt"] = f"{asked.get('prompt', '')}\n{said}\n\n{again}\n"
            return asked
        if messages is None:
            messages = [{"role": "user", "content": asked.pop("prompt", "")}]
        asked["messages"] = [
            *messages,
            {"role": "assistant", "content": said},
            {"role": "user", "content": again},
        ]
        return asked


def _named(params: Iterable[str], message: str) -> str | None:
    """The parameter that *message* is about, if it names one as a name."""
    for name in params:
        if re.search(rf"(?<!\w)(['\"`]{re.escape(name)}['\"`]|{re.escape(name)}:)", message):
            return name
    return None
