"""The embedded engine: DuckDB in this process."""

from __future__ import annotations

import tempfile
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import pyarrow as pa

from tradewind.engines.memory import SETTING, mebibytes
from tradewind.errors import UnsupportedError

if TYPE_CHECKING:
    import duckdb


class DuckDB:
    """Runs expressions on DuckDB, in bounded memory; what does not fit spills to the machine's temporary folder.

    Several threads may share it: whole answers are fetched one at a time, and every stream of batches has a connection
    of its own, since another query on a connection would end its stream without a word.

    Args:
        memory: DuckDB's memory limit, such as `4GB`; by default `TRADEWIND_MEMORY`, else half of the machine's.
    """

    name = "duckdb"
    gaps: frozenset[str] = frozenset()

    def __init__(self, memory: str | None = None):
        self._lock = threading.RLock()
        self._con: Any = ibis.duckdb.connect()
        self._con.raw_sql("SET TimeZone = 'UTC'")
        self._con.raw_sql("SET preserve_insertion_order = false")
        self._memory = mebibytes(memory)
        self._con.raw_sql(f"SET memory_limit = '{self._memory}MiB'")
        spill = Path(tempfile.gettempdir()) / f"tradewind-{uuid.uuid4().hex}"  # made and removed by DuckDB, if needed
        self._con.raw_sql(f"SET temp_directory = '{spill}'")

    def read(self, name: str, files: Sequence[Path]) -> ibis.Table:
        """Return the rows of Parquet files of one schema as a table named `name`."""
        listed = ", ".join(_quoted(str(file)) for file in files)
        with self._lock:
            # a view of the database, not a temporary one, which no other connection would see
            self._con.raw_sql(f'CREATE VIEW "{name}" AS SELECT * FROM read_parquet([{listed}])')
            return self._con.table(name)

    def arrow(self, expression: ibis.Expr) -> pa.Table:
        """Run an expression and return all its rows."""
        with self._in_memory(), self._lock:
            return self._con.to_pyarrow(expression)

    def batches(self, expression: ibis.Expr, rows: int) -> Iterator[pa.RecordBatch]:
        """Run an expression and yield its rows in batches of at most `rows`."""
        with self._in_memory():
            with self._lock:
                own: Any = ibis.duckdb.from_connection(self._con.con.cursor())
                own.raw_sql("SET TimeZone = 'UTC'")
                stream = own.to_pyarrow_batches(expression, chunk_size=rows)
            try:
                yield from stream
            finally:
                own.disconnect()

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


def _quoted(text: str) -> str:
    """Write text as SQL does."""
    return "'" + text.replace("'", "''") + "'"


def staging(scratch: Path) -> duckdb.DuckDBPyConnection:
    """Return a connection to a database of its own in `scratch`, for the SQL of an import.

    It spills to `scratch`, reads no extension from outside, and prints no progress.
    """
    import duckdb  # noqa: PLC0415  an engine's driver is loaded only where it is used

    con = duckdb.connect(str(scratch / "staging.duckdb"))
    con.execute(f"SET memory_limit = '{mebibytes()}MiB'")
    con.execute(f"SET temp_directory = '{scratch / 'spill'}'")
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET autoinstall_known_extensions = false")
    return con
