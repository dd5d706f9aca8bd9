"""What Spark's workers do: a part of the run each, and before it one that only looks around."""

from __future__ import annotations

import base64
import json
import os
import pickle
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ... import __version__
from ...client.journal import Journal
from ...clock import Clock
from ...errors import DbrunError, Interrupted, UserError
from ...frozen import frozen
from ...storage import is_remote
from ...types import Json
from ..asking.counters import Counters
from ..opening import Surroundings, opened
from ..pipeline import Pipeline
from ..travel.allowance import Allowance
from ..travel.exchange import Exchange
from ..travel.parcels import sent
from ..travel.partition import Share, run_partition
from ..travel.recipe import Recipe, unpacked

SCHEMA = "part bigint, report string"
_OFTEN, _SELDOM = 0.5, 5.0  # seconds between two looks at the exchange
_WORKSPACE = "DATABRICKS_"


@frozen
class Order:
    """What the workers of one Spark job are to do.

    *environ* is where they find credentials; *whole* asks for whole records, not just lines.
    """

    recipe: Recipe
    folder: str
    round: int
    share: Share
    environ: Mapping[str, str]
    python: str
    whole: bool = False
    version: str = __version__


def for_batches(
    do: Callable[[Order, int], Mapping[str, Json]], order: Order
) -> Callable[[Iterable[Any]], Iterator[Any]]:
    """*do* as `mapInArrow` wants it: for each part in a batch, a row with its report."""

    def work(batches: Iterable[Any]) -> Iterator[Any]:
        import pyarrow

        for batch in batches:
            for part in batch.column(0).to_pylist():
                report = json.dumps(do(order, part))
                yield pyarrow.RecordBatch.from_pydict(
                    {"part": pyarrow.array([part], pyarrow.int64()), "report": [report]}
                )

    return work


def do_part(order: Order, part: int) -> Mapping[str, Json]:
    """Do one part, unless that is done; its report.

    Trouble that ends the run is a report, too: Spark would only try again.
    """
    exchange, attempt = Exchange(order.folder), secrets.token_hex(4)
    try:
        with exchange.held(order.round, part):
            done = exchange.done(order.round, part)
            if done is None:
                done = _do(order, part, exchange, attempt)
                exchange.say_done(order.round, part, done)
            return done
    except DbrunError as error:
        if not isinstance(error, Interrupted):
            exchange.stop()
        return {"error": told(error)}


def _do(order: Order, part: int, exchange: Exchange, attempt: str) -> dict[str, Json]:
    number, last = order.round, dict[str, Json]()

    def watch(report: Mapping[str, Json]) -> None:
        last.update(report, round=number, part=part, attempt=attempt)
        exchange.say("live", number, part, attempt, last)

    look_up = _SELDOM if is_remote(order.folder) else _OFTEN
    pipeline = unpacked(order.recipe)
    with (
        _allowance(pipeline, exchange, (number, part, attempt)) as purse,
        exchange.results(number, part, attempt) as results,
        exchange.further(number, part, attempt) as further,
    ):
        frames = run_partition(
            pipeline,
            replace(order.share, part=part, look_up=look_up),
            ({"item": lines} for lines in exchange.rows(number, part)),
            environ=worker_environ(order.environ),
            stopped=exchange.is_stopped,
            watch=watch,
            purse=purse,
        )
        for frame in frames:
            columns = (frame[name] for name in ("index", "result", "record", "key", "item"))
            for index, line, record, key, item in zip(*columns, strict=True):
                if record is not None:
                    results.write(b"%d" % index, sent(record, line.encode(), order.whole))
                else:
                    further.write(key.encode(), b"%d" % index, item)
        results.commit()
        further.commit()
    watch({**last, "over": True, "digest": results.digest})
    return last


@contextmanager
def _allowance(
    pipeline: Pipeline, exchange: Exchange, worker: tuple[int, int, str]
) -> Iterator[Allowance | None]:
    """What one worker may spend, if spending is limited."""
    cap = pipeline.spec.limits.max_cost
    if cap is None:
        yield None
        return
    number, part, attempt = worker
    named = {"round": number, "part": part, "attempt": attempt, "at": time.time()}
    purse = Allowance(
        cap,
        Clock(),
        ask=lambda said: exchange.say("ask", *worker, {**named, **said}),
        look=lambda: exchange.told("grant", *worker),
    )
    try:
        yield purse
    finally:
        purse.close()


def look_around(order: Order, part: int) -> Mapping[str, Json]:
    """Open the pipeline as `do_part` would and close it again; nothing is asked."""
    try:
        if order.python != (here := python_version()):
            raise UserError(
                f"the driver runs Python {order.python} and Spark's workers Python {here}",
                "have PYSPARK_PYTHON name the same version",
            )
        if order.version != __version__:
            raise UserError(
                f"the driver has dbrun {order.version} and Spark's workers have {__version__}",
                "install the same version on both",
            )
        Exchange(order.folder).answer()
        _open(unpacked(order.recipe), worker_environ(order.environ))
    except DbrunError as error:
        return {"error": told(error)}
    return {}


def _open(pipeline: Pipeline, environ: Mapping[str, str]) -> None:
    spec, around = pipeline.spec, Surroundings(environ=environ, registry=pipeline.registry)
    journal = Journal.open(spec.journal.path, mode=spec.journal.mode, writable=False)
    halt = threading.Event()
    with journal, opened(spec, around, journal=journal, counters=Counters(), halt=halt) as parts:
        for asker in parts.askers:
            auth = getattr(asker.adapter, "auth", None)
            if auth is not None:
                auth.headers()


def worker_environ(carried: Mapping[str, str]) -> Mapping[str, str]:
    """The worker's environment with what the driver sent.

    Who speaks to a workspace is for the driver to say: what is set of that here is left out.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith(_WORKSPACE)}
    return {**own, **carried}


def python_version() -> str:
    """Major and minor version; between others, what is pickled may not be understood."""
    return ".".join(platform.python_version_tuple()[:2])


def told(error: DbrunError) -> str:
    """*error* as text that `raised` takes."""
    return base64.b64encode(pickle.dumps(error)).decode()


def heard(text: str) -> DbrunError:
    """The error that *text* tells of."""
    error = pickle.loads(base64.b64decode(text))  # noqa: S301 - from our own workers
    assert isinstance(error, DbrunError)
    return error
