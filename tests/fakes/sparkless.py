"""The Spark engine without Spark: partitions in threads, what would travel pickled on its way."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from dbrun.errors import DbrunError
from dbrun.run.engines.spark import SparkRun
from dbrun.run.engines.spark_session import Job, in_words
from dbrun.run.engines.spark_tasks import Order


class ThreadJob:
    """Partitions in threads of this process."""

    def __init__(self, pool: ThreadPoolExecutor, futures: list[Future[str]]) -> None:
        self._pool, self._futures = pool, futures

    @property
    def is_over(self) -> bool:
        return all(future.done() for future in self._futures)

    def wait(self, seconds: float) -> bool:
        wait(self._futures, seconds)
        return self.is_over

    def reports(self, ending: DbrunError | None) -> list[dict[str, Any]]:
        self._pool.shutdown()
        try:
            return [json.loads(future.result()) for future in self._futures]
        except Exception as error:
            raise ending or in_words(error) from error

    def cancel(self) -> None:
        self._pool.shutdown()


class ThreadSession:
    """Works on *slots* partitions at a time; *twice* on each, as speculation does."""

    def __init__(self, slots: int | None = 8, *, twice: bool = False) -> None:
        self.slots = slots
        self.speculates = twice
        self.orders: list[Order] = []

    def start(self, do: Callable[[Order, int], Mapping[str, Any]], order: Order, parts: int) -> Job:
        self.orders.append(order)
        sent = pickle.dumps(order)
        pool = ThreadPoolExecutor(max_workers=2 * (self.slots or 8))

        def one(part: int) -> str:
            return json.dumps(do(pickle.loads(sent), part))

        futures = [pool.submit(one, part) for part in range(parts)]
        if self.speculates:
            for part in range(parts):
                pool.submit(one, part)
        return ThreadJob(pool, futures)


def sparkless(session: ThreadSession) -> type[SparkRun]:
    """The kind of run that *session* serves."""

    class Run(SparkRun):
        def open_session(self) -> ThreadSession:
            return session

    return Run
