"""The MLflow scoring protocol: rows of columns in, `predictions` out.

MLflow documentation, "Model serving: accepted input formats"; Databricks, "Query serving
endpoints for custom models".
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence

from ...canonical import canonical
from ...errors import Malformed, Rejected
from ...frozen import frozen
from ...types import Json, Response
from ..base import Request
from .base import Unconstrained, malformed, sendable, unexpected

FORMATS = ("dataframe_split", "dataframe_records", "inputs", "instances")
PARAMS_AS = ("columns", "params")


@frozen
class Signature(Unconstrained):
    """A model with a signature: every field of the request is a column of its one row.

    *columns* are the names that `endpoint.columns` gives, in their order: with them, prompt and
    messages are sent only if they are among them. *params_as* puts generation parameters among
    the columns (as LangChain did) or into MLflow's `params`. Fields named in *beside* are no
    columns: they go beside the envelope.

    The value of an answer is the row's prediction, unchanged and of any type.
    """

    format: str = "dataframe_split"
    columns: tuple[str, ...] = ()
    params_as: str = "columns"
    beside: tuple[str, ...] = ()
    prompt_kind: str = "text"
    batches: bool = True
    answer_keys: frozenset[str] = frozenset({"predictions"})

    def encode(self, request: Request) -> Json:
        """One row in its envelope."""
        row = sendable(request.fields)
        if self.columns:
            for name in {"prompt", "messages"} - set(self.columns):
                row.pop(name, None)
        rest = {name: row.pop(name) for name in self.beside if name in row}
        if self.params_as == "params":
            names = [name for name in row if name in request.params and name not in self.columns]
            params = {name: row.pop(name) for name in names}
            rest.update({"params": params} if params else {})
        if not row:
            raise Rejected("the request has no column; write a prompt or endpoint.columns")
        names = _ordered(row, self.columns)
        return {**_envelope(self.format, names, [[row[name] for name in names]]), **rest}

    def decode(self, body: Json) -> Response:
        """The prediction of the one row that was sent."""
        predictions = _predictions(body)
        if isinstance(predictions, list):
            if len(predictions) != 1:
                raise _miscounted(len(predictions), 1)
            return Response(value=predictions[0], body=body)
        return Response(value=predictions, body=body)

    def body_of(self, text: str) -> Json:
        """One prediction."""
        return {"predictions": [text]}

    def group(self, body: Json) -> Hashable:
        """Rows of one call have one set of columns, equal stop and parameters, and all else too.

        Columns that a template fills and columns of text are the row's own matter. Everything
        else is a parameter: MLflow refuses a call in which only some rows have a `stop`.
        """
        names, rows = self._table(body)
        (row,) = rows
        fixed = {
            name: value
            for name, value in zip(names, row, strict=True)
            if name not in self.columns and not isinstance(value, str)
        }
        return canonical([names, fixed, {**body, self.format: None}])

    def join(self, bodies: Sequence[Json]) -> Json:
        """One table of all rows."""
        names, _ = self._table(bodies[0])
        rows = [row for body in bodies for row in self._table(body)[1]]
        return {**bodies[0], **_envelope(self.format, names, rows)}

    def split(self, body: Json, count: int) -> list[Json]:
        """One prediction a row, each in the envelope in which the endpoint answered."""
        predictions = _predictions(body)
        got = len(predictions) if isinstance(predictions, list) else 1
        if not isinstance(predictions, list) or got != count:
            raise _miscounted(got, count)
        if isinstance(body, list):
            return [[prediction] for prediction in predictions]
        return [{**body, "predictions": [prediction]} for prediction in predictions]

    def _table(self, body: Json) -> tuple[list[str], list[list[Json]]]:
        table = body[self.format]
        if self.format == "dataframe_split":
            return table["columns"], table["data"]
        names = list(table[0])
        return names, [[row[name] for name in names] for row in table]


def _ordered(row: Collection[str], columns: Sequence[str]) -> list[str]:
    """An order of columns that does not depend on that of the file's params."""
    first = [name for name in (*columns, "prompt", "messages", "stop") if name in row]
    first = list(dict.fromkeys(first))
    return first + sorted(set(row) - set(first))


def _envelope(form: str, names: Sequence[str], rows: Sequence[Sequence[Json]]) -> dict[str, Json]:
    if form == "dataframe_split":
        return {form: {"columns": list(names), "data": [list(row) for row in rows]}}
    # `inputs` too is a list of rows: a mapping of lists is read as one row of arrays.
    return {form: [dict(zip(names, row, strict=True)) for row in rows]}


def _predictions(body: Json) -> Json:
    """The predictions, with or without their envelope (unified LLM input has none)."""
    if isinstance(body, dict):
        if "predictions" not in body:
            raise unexpected(body, "predictions")
        return body["predictions"]
    if isinstance(body, (list, str)):
        return body
    raise unexpected(body, "predictions")


def _miscounted(got: int, count: int) -> Malformed:
    rows = "1 row was" if count == 1 else f"{count} rows were"
    return malformed(f"{rows} sent and {got} predictions came")
