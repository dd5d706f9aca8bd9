"""The Spark session: found or started, asked for partitions' work, its troubles in plain words.

The only door to pyspark.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ...errors import DbrunError, PluginError, RunError, UserError
from ...types import Json
from .spark_tasks import SCHEMA, Order, for_batches

EXTRA = "pip install 'dbrun[spark]'"
_CONTINUE = "run the same command again to continue; all answers are in the journal"
_NO_MODULE = re.compile(r"No module named '([\w.]+)'")
_LOST = re.compile(
    r"Python worker exited unexpectedly|ExecutorLostFailure|Python worker has crashed|"
    r"Connection reset|EOFException|slave lost|executor lost",
    re.I,
)
_RAISED = re.compile(r"^(?:[\w.]+\.)?(\w*(?:Error|Exception|Interrupt)): *(.*)$")
_LONGEST = 300


class Job(Protocol):
    """Work under way; each part's report comes as a row."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or not."""

    def wait(self, seconds: float) -> bool:
        """Wait so long at the most; whether it has ended."""

    def reports(self, ending: DbrunError | None) -> list[dict[str, Any]]:
        """What the parts reported. *ending* is why the run was told to end, if it was.

        Raises:
            RunError, UserError: Spark gave up, or cannot do it at all.
        """

    def cancel(self) -> None:
        """Have Spark give it up."""


class Session(Protocol):
    """What the engine asks of Spark."""

    @property
    def slots(self) -> int | None:
        """How many partitions are worked on at a time, where that can be told."""

    @property
    def speculates(self) -> bool:
        """Whether Spark sets a second worker to a partition that takes long."""

    def start(
        self, do: Callable[[Order, int], Mapping[str, Json]], order: Order, parts: int
    ) -> Job:
        """Have *do* done for each of so many parts."""


def require() -> None:
    """Raises `PluginError` if what the engine needs is not installed."""
    for name in ("pyspark", "pandas", "pyarrow"):
        try:
            __import__(name)
        except ImportError as error:
            raise PluginError(
                f"engine spark needs {name}, which is not installed", EXTRA
            ) from error


class SparkJob:
    """A `Job` of Spark."""

    def __init__(self, session: Any, frame: Any) -> None:
        self._session = session
        self._frame = frame
        self._tag = f"dbrun-{secrets.token_hex(4)}"
        self._rows: list[Any] = []
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="dbrun-spark", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or not."""
        return not self._thread.is_alive()

    def wait(self, seconds: float) -> bool:
        """Wait so long at the most; whether it has ended."""
        self._thread.join(seconds)
        return self.is_over

    def reports(self, ending: DbrunError | None) -> list[dict[str, Any]]:
        """What the parts reported. *ending* is why the run was told to end, if it was.

        Raises:
            RunError, UserError: Spark gave up, or cannot do it at all.
        """
        if self._error is not None:
            raise ending or in_words(self._error) from self._error
        return [json.loads(row["report"]) for row in self._rows]

    def cancel(self) -> None:
        """Have Spark give it up."""
        try:
            if (context := _context(self._session)) is not None:
                context.cancelJobGroup(self._tag)
            else:
                self._session.interruptTag(self._tag)
        except Exception:  # noqa: S110 - it is over anyway, or the session is
            pass

    def _run(self) -> None:
        try:
            if (context := _context(self._session)) is not None:
                context.setJobGroup(self._tag, "dbrun", interruptOnCancel=True)
            else:
                self._session.addTag(self._tag)
            self._rows = self._frame.collect()
        except Exception as error:
            self._error = error


class SparkSession:
    """A `Session` of Spark."""

    def __init__(self, spark: Any) -> None:
        self._spark = spark

    @classmethod
    def open(cls, name: str) -> SparkSession:
        """The session there is (a notebook's, a job's), or a new one, which stays.

        Raises:
            RunError: Spark does not start.
        """
        from pyspark.sql import SparkSession as Spark

        try:
            spark = Spark.getActiveSession()
            if spark is None:
                builder = Spark.builder.appName(f"dbrun {name}")
                if "SPARK_REMOTE" not in os.environ:  # a bar of ours is shown
                    builder = builder.config("spark.ui.showConsoleProgress", "false")
                spark = builder.getOrCreate()
                _use_this_python(spark)
        except Exception as error:
            raise RunError(
                f"Spark does not start: {_last_line(str(error))}",
                "check Java, SPARK_HOME and SPARK_REMOTE, or run with --engine local",
            ) from error
        return cls(spark)

    @property
    def slots(self) -> int | None:
        """How many partitions are worked on at a time, where that can be told."""
        context = _context(self._spark)
        return int(context.defaultParallelism) if context is not None else None

    @property
    def speculates(self) -> bool:
        """Whether Spark sets a second worker to a partition that takes long."""
        try:
            return str(self._spark.conf.get("spark.speculation", "false")).lower() == "true"
        except Exception:  # some services do not tell
            return False

    def start(
        self, do: Callable[[Order, int], Mapping[str, Json]], order: Order, parts: int
    ) -> SparkJob:
        """As `Session.start`."""
        numbers = self._spark.range(0, parts, 1, parts)
        return SparkJob(self._spark, numbers.mapInArrow(for_batches(do, order), SCHEMA))


def in_words(error: Exception) -> DbrunError:
    """What it means that Spark failed with *error*."""
    said = str(error)
    if missing := _NO_MODULE.search(said):
        name = missing[1]
        what = "dbrun[all]" if name.startswith("dbrun") else name
        return UserError(
            f"Spark's workers have no module '{name}'",
            f"install it on the cluster, where all workers have it (pip install '{what}')",
        )
    if _LOST.search(said):
        return RunError(
            "Spark's workers were lost more often than Spark puts up with (spark.task.maxFailures)",
            _CONTINUE,
        )
    return RunError(f"Spark failed: {_last_line(said)}", _CONTINUE)


def _last_line(said: str) -> str:
    """The line that says most: the last error of a traceback, else the first line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    raised = [line for line in lines if _RAISED.match(line)]
    line = (raised or lines or ["no reason given"])[-1 if raised else 0]
    return line[:_LONGEST]


def _use_this_python(spark: Any) -> None:
    """Have workers on this machine run the Python that runs us, unless told otherwise."""
    context = _context(spark)
    is_local = context is not None and str(context.master).startswith("local")
    if is_local and "PYSPARK_PYTHON" not in os.environ:
        context.pythonExec = sys.executable


def _context(spark: Any) -> Any:
    """The classic context; None where there is none (Connect, serverless)."""
    try:
        return spark.sparkContext
    except Exception:  # Connect raises errors of several kinds
        return None
