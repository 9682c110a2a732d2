"""The embedded engine: DuckDB in this process."""

from __future__ import annotations

import re
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import ibis
import pyarrow as pa

from tradewind.engines.memory import SETTING, mebibytes
from tradewind.errors import UnsupportedError

if TYPE_CHECKING:
    import duckdb


class DuckDB:
    """Runs expressions on DuckDB, in bounded memory; what does not fit spills to the machine's temporary folder.

    Args:
        memory: DuckDB's memory limit, such as `4GB`; by default `TRADEWIND_MEMORY`, else half of the machine's.
    """

    name = "duckdb"
    gaps: frozenset[str] = frozenset()

    def __init__(self, memory: str | None = None):
        self._con: Any = ibis.duckdb.connect()
        self._turn = Lock()
        self._con.raw_sql("SET TimeZone = 'UTC'")
        self._con.raw_sql("SET preserve_insertion_order = false")
        self._memory = mebibytes(memory)
        self._con.raw_sql(f"SET memory_limit = '{self._memory}MiB'")
        spill = Path(tempfile.gettempdir()) / f"tradewind-{uuid.uuid4().hex}"  # made and removed by DuckDB, if needed
        self._con.raw_sql(f"SET temp_directory = {literal(spill)}")

    def read(self, name: str, files: Sequence[Path]) -> ibis.Table:
        """Return the rows of Parquet files of one schema as a table named `name`."""
        with self._turn:  # no temporary view: the sessions of other threads would not see it
            self._con.raw_sql(f'CREATE VIEW "{name}" AS SELECT * FROM read_parquet({parquet_files(files)})')
            return self._con.table(name)

    def arrow(self, expression: ibis.Expr) -> pa.Table:
        """Run an expression and return all its rows."""
        with self._in_memory(), self._session() as session:
            return session.to_pyarrow(expression)

    def batches(self, expression: ibis.Expr, rows: int) -> Iterator[pa.RecordBatch]:
        """Run an expression and yield its rows in batches of at most `rows`."""
        with self._in_memory(), self._session() as session:
            yield from session.to_pyarrow_batches(expression, chunk_size=rows)

    @contextmanager
    def _session(self) -> Iterator[Any]:
        """A session of its own for each question: threads that share one would take each other's answers."""
        with self._turn:
            cursor = self._con.con.cursor()
        try:
            yield ibis.duckdb.from_connection(cursor)
        finally:
            cursor.close()

    @contextmanager
    def _in_memory(self) -> Iterator[None]:
        import duckdb  # noqa: PLC0415  an engine's driver is loaded only where it is used

        try:
            yield
        except duckdb.OutOfMemoryException as error:
            raise UnsupportedError(
                "The question needs more memory than DuckDB may take here",
                got=f"{self._memory:,} MiB",
                do=f"set {SETTING} to more, such as 8GB, ask for fewer days, or use Spark (spark+local[2]:FOLDER)",
            ) from error


def literal(value: object) -> str:
    """Return text as an SQL literal."""
    return "'" + str(value).replace("'", "''") + "'"


def parquet_files(files: Sequence[Path | str]) -> str:
    """Return Parquet files as what `read_parquet` takes; a `*`, `?` or `[` of a name stands for itself."""
    escaped = (re.sub(r"[*?[]", r"[\g<0>]", str(file)) for file in files)
    return f"[{', '.join(map(literal, escaped))}]"


def staging(scratch: Path) -> duckdb.DuckDBPyConnection:
    """Return a connection to a database of its own in `scratch`, for the SQL of an import.

    It spills to `scratch`, reads no extension from outside, and prints no progress.
    """
    import duckdb  # noqa: PLC0415  an engine's driver is loaded only where it is used

    con = duckdb.connect(str(scratch / "staging.duckdb"))
    con.execute(f"SET memory_limit = '{mebibytes()}MiB'")
    con.execute(f"SET temp_directory = {literal(scratch / 'spill')}")
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET autoinstall_known_extensions = false")
    return con
