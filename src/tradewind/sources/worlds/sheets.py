"""Sheets: columns of numbers become rows of the canonical tables, written to Parquet as they come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tradewind.tables import table as declared
from tradewind.tables.schema import IBIS_TYPES

TIMEZONE = "Asia/Singapore"
AHEAD = 8 * 3600
"""The world keeps the time of a place eight hours ahead of UTC that never changes its clocks."""

Ints = NDArray[np.int64]


_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)


def spelled(prefix: str, numbers: Any, width: int = 1, base: int = 10) -> pa.Array:
    """Return ids such as `p00042` of 42, without a loop over them; null where a number is below zero.

    Args:
        prefix: What the ids begin with.
        numbers: The numbers.
        width: Digits that an id has at least.
        base: Base of the digits, up to 16.
    """
    at = np.asarray(numbers, np.int64)
    told = at >= 0
    most, reach = width, base**width
    while len(at) and reach <= int(at.max()):
        most, reach = most + 1, reach * base
    before = prefix.encode()
    letters = np.empty((len(at), len(before) + most), np.uint8)
    letters[:, : len(before)] = np.frombuffer(before, np.uint8)
    left = np.where(told, at, 0)
    for column in range(len(before) + most - 1, len(before) - 1, -1):
        rest = left // base
        letters[:, column] = _DIGITS[left - rest * base]
        left = rest
    digits = width + np.searchsorted([base**n for n in range(width, most)], at, side="right")
    length = np.where(told, len(before) + digits, 0)
    if (length < letters.shape[1]).any():
        place = np.arange(letters.shape[1])
        kept = (place < len(before)) | (place >= letters.shape[1] - np.reshape(digits, (-1, 1)))
        letters = letters[kept & told[:, None]]
    offsets = np.concatenate([[0], np.cumsum(length)]).astype(np.int32)
    unknown = None if told.all() else pa.array(told).buffers()[1]
    return pa.StringArray.from_buffers(len(at), pa.py_buffer(offsets), pa.py_buffer(letters.reshape(-1)), unknown)


class Names:
    """Ids of numbered things: `p00042` of 42, null of -1.

    Args:
        prefix: What the ids begin with.
        count: How many there are.
    """

    def __init__(self, prefix: str, count: int):
        self._ids = spelled(prefix, np.arange(count), len(str(max(count - 1, 1))))

    def of(self, numbers: Any) -> pa.Array:
        """Return the ids of numbers; null where a number is below zero."""
        at = np.asarray(numbers, np.int64)
        return self._ids.take(pa.array(at, pa.int64(), mask=at < 0))


def words(values: Sequence[str], numbers: Any) -> pa.Array:
    """Return a word of a short list for each number; null where a number is below zero."""
    at = np.asarray(numbers, np.int64)
    return pa.array(list(values), pa.string()).take(pa.array(at, pa.int64(), mask=at < 0))


def money(amounts: Any) -> pa.Array:
    """Return amounts as `decimal(18, 4)`, rounded to the fourth place; null where an amount is not a number."""
    floats = np.asarray(amounts, np.float64)
    unknown = np.isnan(floats)
    whole = np.round(np.where(unknown, 0.0, floats) * 10_000).astype(np.int64)
    pairs = np.empty((len(whole), 2), np.int64)
    pairs[:, 0], pairs[:, 1] = whole, whole >> 63
    valid = pa.array(~unknown).buffers()[1] if unknown.any() else None
    return pa.Array.from_buffers(pa.decimal128(18, 4), len(whole), [valid, pa.py_buffer(pairs.tobytes())])


class Clock:
    """Turns local seconds since the world's first midnight into moments.

    Args:
        first: The world's first local midnight.
    """

    def __init__(self, first: datetime):
        self._local = int((first - datetime(1970, 1, 1)) / timedelta(seconds=1))

    def utc(self, seconds: Any) -> pa.Array:
        """Return UTC moments; null where a second is not a number."""
        at = np.asarray(seconds, np.float64)
        unknown = np.isnan(at)
        micro = (np.where(unknown, 0, at).astype(np.int64) + self._local - AHEAD) * 1_000_000
        return pa.array(micro, pa.timestamp("us"), mask=unknown)

    def hour(self, seconds: Any) -> pa.Array:
        """Return the start of the local hour."""
        at = np.asarray(seconds, np.int64) + self._local
        return pa.array(at // 3600 * 3600 * 1_000_000, pa.timestamp("us"))

    def day(self, seconds: Any) -> pa.Array:
        """Return the local day."""
        at = np.asarray(seconds, np.int64) + self._local
        return pa.array((at // 86_400).astype(np.int32), pa.date32())


class Sheets:
    """Writes canonical tables, a file for each table and stretch of days, in bounded memory.

    Args:
        place: Gives the path of a new file of a table.
        clock: The world's clock.
        most: Rows of a table that are held before they are written.
    """

    def __init__(self, place: Any, clock: Clock, most: int = 400_000):
        self.place = place
        self.clock = clock
        self.most = most
        self.files: dict[str, list[Path]] = {}
        self.rows: dict[str, int] = {}
        self._held: dict[str, list[pa.Table]] = {}
        self._waiting: dict[str, int] = {}
        self._open: dict[str, pq.ParquetWriter] = {}
        self._schemas: dict[str, pa.Schema] = {}

    def add(self, table: str, seconds: Any = None, **columns: Any) -> None:
        """Append rows of a table.

        Args:
            table: The canonical table.
            seconds: Local second of each row, from which `day` and `hour` are written where the table has them.
            columns: Arrow arrays, or NumPy arrays that Arrow reads; columns that are left out are null.
        """
        schema = self._schema(table)
        given = dict(columns)
        if seconds is not None:
            given.setdefault("day", self.clock.day(seconds))
            if "hour" in schema.names:
                given.setdefault("hour", self.clock.hour(seconds))
        count = len(next(iter(given.values())))
        if not count:
            return
        if unknown := set(given) - set(schema.names):
            raise KeyError(f"{table} has no columns {unknown}")
        arrays = [_typed(given[f.name], f.type) if f.name in given else pa.nulls(count, f.type) for f in schema]
        self._held.setdefault(table, []).append(pa.table(arrays, schema=schema))
        self._waiting[table] = self._waiting.get(table, 0) + count
        self.rows[table] = self.rows.get(table, 0) + count
        if self._waiting[table] >= self.most:
            self._write(table)

    def turn(self) -> None:
        """Finish the files that are open, so that the next rows go to new ones."""
        for table in list(self._held):
            self._write(table)
        for writer in self._open.values():
            writer.close()
        self._open.clear()

    def _write(self, table: str) -> None:
        parts = self._held.pop(table, [])
        self._waiting[table] = 0
        if not parts:
            return
        if table not in self._open:
            path = self.place(table)
            self.files.setdefault(table, []).append(path)
            self._open[table] = pq.ParquetWriter(path, self._schema(table), compression="zstd", compression_level=1)
        self._open[table].write_table(pa.concat_tables(parts))

    def _schema(self, table: str) -> pa.Schema:
        if table not in self._schemas:
            kinds = {column.name: IBIS_TYPES[column.kind] for column in declared(table).stored}
            self._schemas[table] = ibis.schema(kinds).to_pyarrow()
        return self._schemas[table]


def _typed(values: Any, kind: pa.DataType) -> pa.Array:
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    return array if array.type == kind else array.cast(kind)
