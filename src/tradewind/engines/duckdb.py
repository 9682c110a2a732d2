"""The embedded engine: DuckDB in this process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import pyarrow as pa

if TYPE_CHECKING:
    import duckdb


class DuckDB:
    """Runs expressions on DuckDB, in memory bounded by `memory`.

    Args:
        memory: DuckDB's memory limit, such as `4GB`; by default half of the machine's.
    """

    name = "duckdb"
    gaps: frozenset[str] = frozenset()

    def __init__(self, memory: str | None = None):
        self._con: Any = ibis.duckdb.connect()
        self._con.raw_sql("SET TimeZone = 'UTC'")
        self._con.raw_sql("SET preserve_insertion_order = false")
        self._con.raw_sql(f"SET memory_limit = '{memory or _half_of_memory()}'")

    def read(self, name: str, files: Sequence[Path]) -> ibis.Table:
        """Return the rows of Parquet files of one schema as a table named `name`."""
        return self._con.read_parquet([str(file) for file in files], table_name=name)

    def arrow(self, expression: ibis.Expr) -> pa.Table:
        """Run an expression and return all its rows."""
        return self._con.to_pyarrow(expression)

    def batches(self, expression: ibis.Expr, rows: int) -> Iterator[pa.RecordBatch]:
        """Run an expression and yield its rows in batches of at most `rows`."""
        yield from self._con.to_pyarrow_batches(expression, chunk_size=rows)


def staging(scratch: Path) -> duckdb.DuckDBPyConnection:
    """Return a connection to a database of its own in `scratch`, for the SQL of an import.

    It spills to `scratch`, reads no extension from outside, and prints no progress.
    """
    import duckdb  # noqa: PLC0415  an engine's driver is loaded only where it is used

    con = duckdb.connect(str(scratch / "staging.duckdb"))
    con.execute(f"SET memory_limit = '{_half_of_memory()}'")
    con.execute(f"SET temp_directory = '{scratch / 'spill'}'")
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET autoinstall_known_extensions = false")
    return con


def _half_of_memory() -> str:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{max(total // 2 // 2**20, 512)}MiB"
