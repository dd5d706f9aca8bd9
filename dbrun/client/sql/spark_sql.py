"""SQL through the Spark session that there is: a cluster's, a job's, Databricks Connect's.

pyspark is imported only here, when a table is read or written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from ...errors import PluginError, RunError
from .statements import Bound, SqlFailed

_NO_SESSION = (
    "name a SQL warehouse by warehouse_id, or run on Databricks or with Databricks Connect"
)


class SparkSql:
    """The active Spark session, as `Sql`."""

    def __init__(self, spark: Any = None) -> None:
        self._spark = spark

    def run(self, statement: str, parameters: Mapping[str, Bound]) -> list[list[str | None]]:
        """As `Sql.run`."""
        rows = self._ask(lambda: self._sql(statement, parameters).collect())
        return [[None if value is None else str(value) for value in row] for row in rows]

    def stream(self, statement: str, parameters: Mapping[str, Bound]) -> Iterator[str]:
        """As `Sql.stream`: a partition's worth of rows is held at a time."""
        rows = self._ask(lambda: self._sql(statement, parameters).toLocalIterator())
        while True:
            row = self._ask(lambda: next(rows, None))
            if row is None:
                return
            yield row[0]

    def close(self) -> None:
        """Nothing: the session belongs to whoever started it."""

    def _sql(self, statement: str, parameters: Mapping[str, Bound]) -> Any:
        if self._spark is None:
            self._spark = active_session()
        return self._spark.sql(statement, {name: one.value for name, one in parameters.items()})

    def _ask(self, ask: Any) -> Any:
        try:
            return ask()
        except (RunError, PluginError):
            raise
        except Exception as error:  # pyspark's errors differ between classic and Connect
            condition = getattr(error, "getCondition", None) or getattr(
                error, "getErrorClass", None
            )
            code = str((condition() if condition is not None else None) or "")
            raise SqlFailed(_said(error), code=code) from error


def _said(error: Exception) -> str:
    """The line that says what went wrong: not the one by which the bridge to Java opens."""
    lines = [line.strip(" :") for line in str(error).splitlines() if line.strip(" :")]
    told = [line for line in lines if not line.startswith("An error occurred while calling")]
    return (told or lines or [type(error).__name__])[0][:500]


def active_session() -> Any:
    """The Spark session of this process.

    On Databricks and where Databricks Connect is configured there always is one; elsewhere it is
    one that the program has started.

    Raises:
        PluginError: pyspark is not installed.
        RunError: there is none.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise PluginError("tables without warehouse_id need Spark", _NO_SESSION) from error
    session = SparkSession.getActiveSession()
    if session is not None:
        return session
    is_there = ("DATABRICKS_RUNTIME_VERSION", "SPARK_REMOTE", "DATABRICKS_CLUSTER_ID")
    if not any(os.environ.get(name) for name in is_there):
        raise RunError("there is no Spark session", _NO_SESSION)
    try:
        if os.environ.get("DATABRICKS_CLUSTER_ID"):
            from databricks.connect import DatabricksSession

            return DatabricksSession.builder.getOrCreate()
        return SparkSession.builder.getOrCreate()
    except Exception as error:  # Java, the network, a login: whatever it takes
        first = str(error).strip().split("\n")[0]
        raise RunError(f"the Spark session cannot be had: {first[:300]}", _NO_SESSION) from error
