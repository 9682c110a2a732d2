"""The distributed engine: Apache Spark, local, on a cluster, or through Spark Connect."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa

from tradewind.engines.memory import SETTING, mebibytes
from tradewind.errors import UnsupportedError

LEAST = 512
"""MiB with which a driver starts; Spark refuses to start with less than 450."""


class Spark:
    """Runs expressions on Spark over the same Parquet files.

    Args:
        master: `local[2]`, `spark://host:7077` or the Spark Connect address `sc://host:15002`.

    Raises:
        UnsupportedError: If pyspark is not installed, or Spark does not start, as without Java.
    """

    name = "spark"
    gaps: frozenset[str] = frozenset({"asof_join", "ordered_collect", "windowed_nunique", "sample_seed", "import"})

    def __init__(self, master: str):
        try:
            from pyspark.sql import SparkSession  # noqa: PLC0415  an engine's driver is loaded only where it is used
        except ImportError as error:
            raise UnsupportedError(
                "This store is to be read by Spark, but pyspark is not installed",
                got=master,
                do="pip install 'tradewind[spark]', or leave out `spark+…:` to use DuckDB",
            ) from error
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1" if master.startswith("local") else "")
        builder: Any = SparkSession.builder.appName("tradewind")
        builder = builder.remote(master) if master.startswith("sc://") else builder.master(master)
        settings = dict(_SESSION)
        if not master.startswith("sc://"):
            settings |= _DRIVER
        if master.startswith("local"):
            settings |= _alone()
        for setting, value in settings.items():
            builder = builder.config(setting, value)
        try:
            self._session: Any = builder.getOrCreate()
            if not master.startswith("sc://"):
                self._session.sparkContext.setLogLevel("ERROR")
            self._con: Any = ibis.pyspark.connect(self._session)
        except Exception as error:
            here = "install Java 17 and set JAVA_HOME" if master.startswith("local") else "see whether it is there"
            raise UnsupportedError(
                "Spark does not start", got=f"{master}: {str(error).strip().partition(chr(10))[0]}",
                do=f"{here}, or leave out `spark+…:` to use DuckDB",
            ) from error  # fmt: skip

    @property
    def stopped(self) -> bool:
        """Whether its session was stopped, so that it answers nothing any more."""
        if hasattr(self._session, "is_stopped"):  # Spark Connect's
            return bool(self._session.is_stopped)
        return self._session.sparkContext._jsc is None

    def read(self, name: str, files: Sequence[Path]) -> ibis.Table:
        """Return the rows of Parquet files of one schema as a table named `name`."""
        paths = (re.sub(r"[\[\]{}*?\\]", r"\\\g<0>", str(file)) for file in files)  # a name is no pattern
        self._session.read.parquet(*paths).createOrReplaceTempView(name)
        return self._con.table(name)

    def arrow(self, expression: ibis.Expr) -> pa.Table:
        """Run an expression and return all its rows."""
        # Ibis would go through pandas, which knows no day after 2262 and no whole numbers beside nulls.
        with self._in_memory():
            self._con._run_pre_execute_hooks(expression)
            found = self._session.sql(self._con.compile(expression)).toArrow()
        return expression.__pyarrow_result__(found.cast(expression.as_table().schema().to_pyarrow()))

    def batches(self, expression: ibis.Expr, rows: int) -> Iterator[pa.RecordBatch]:
        """Run an expression and yield its rows in batches of at most `rows`."""
        yield from self.arrow(expression).to_batches(max_chunksize=rows)

    @contextmanager
    def _in_memory(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            # Java ends where memory does not do, and takes the connection with it
            if not isinstance(error, ConnectionError) and not re.search(_MEMORY, f"{type(error).__name__} {error}"):
                raise
            raise UnsupportedError(
                "The question needs more memory than Spark may take here",
                do=f"set {SETTING} to more, such as 8GB (of a cluster spark.driver.memory), or ask for fewer days, and "
                "start again",
            ) from error


def _alone() -> dict[str, str]:
    """Settings of a driver that does all the work in this process, where the memory that it may take is the limit."""
    memory = mebibytes()
    if memory < LEAST:
        raise UnsupportedError(
            "Spark needs more memory than it may take here", got=f"{memory} MiB", allowed=f"{LEAST} MiB or more",
            do=f"set {SETTING} to more, or leave out `spark+…:` to use DuckDB",
        )  # fmt: skip
    return {"spark.driver.memory": f"{memory}m", "spark.driver.maxResultSize": "0"}


_MEMORY = r"OutOfMemory|UNABLE_TO_ACQUIRE_MEMORY|maxResultSize|SparkContext was shut down|Py4JNetworkError"
_SESSION = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.variable.substitute": "false",  # a name such as ${env:HOME} stands for itself
    "spark.sql.ansi.enabled": "true",  # a sum that is too large is an error, not null
    "spark.sql.shuffle.partitions": "16",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
}
_DRIVER = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
"""What only the process that starts the driver may set; a Spark Connect server has set it already."""
