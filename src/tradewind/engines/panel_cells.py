"""What a panel is made of: amounts by day that can be summed over any days, and things that can be counted over them.

Amounts are whole numbers, money in ten-thousandths, so that sums are exact. The number of different things over some
days is no sum of days: a thing counts once, on the first of the days on which it is met. An entry of a thing on a day
therefore remembers the earlier day on which it was last met, and the entries that count are those inside the days
whose earlier day lies before them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tradewind.errors import UnsupportedError

Whole = NDArray[np.int64]
Codes = NDArray[np.int64]

UNITS = 10_000  # money is kept in ten-thousandths, as it is stored
MOST = float(2**63)


@dataclass(frozen=True)
class Cells:
    """Rows of one answer by day and dimension.

    Args:
        days: [n] day of each, counted from the first of the panel.
        codes: [n] code of each in every dimension that it knows.
        names: The columns of `values`.
        values: [n, names] amounts: of sums the sums, of things their code, −1 where the row counts none.
    """

    days: Whole
    codes: Mapping[str, Codes]
    names: tuple[str, ...]
    values: Whole

    def of(self, dimension: str, code: int) -> Cells:
        """Return the rows of one value of a dimension."""
        rows = np.flatnonzero(self.codes[dimension] == code)
        codes = {name: column[rows] for name, column in self.codes.items()}
        return Cells(self.days[rows], codes, self.names, self.values[rows])


class Sums:
    """Amounts of groups, ready to be summed over any run of days.

    Args:
        cells: The amounts.
        groups: [n] group of each row, from 0.
        count: Number of groups.
        length: Number of days.
    """

    def __init__(self, cells: Cells, groups: Codes | None, count: int, length: int):
        key = cells.days if groups is None else groups * length + cells.days
        order = np.argsort(key, kind="stable")
        self._key = key[order]
        # differences of running sums are exact even where the running sum itself has wrapped around
        self._running = np.zeros((len(key) + 1, len(cells.names)), dtype=np.int64)
        np.cumsum(cells.values[order], axis=0, out=self._running[1:])
        self._starts = np.arange(count, dtype=np.int64) * length
        self._length = length
        self.names = cells.names

    def between(self, first: int, last: int) -> tuple[Whole, NDArray[np.bool_]]:
        """Return [groups, names] sums over days, and [groups] whether anything is there at all."""
        low = np.searchsorted(self._key, self._starts + first)
        high = np.searchsorted(self._key, self._starts + last, side="right")
        return self._running[high] - self._running[low], high > low

    def daily(self, name: str) -> Whole:
        """Return [days] amounts of the first group day by day."""
        ends = np.searchsorted(self._key, np.arange(self._length + 1))
        running = self._running[ends, self.names.index(name)]
        return np.asarray(np.diff(running), dtype=np.int64)


class Things:
    """Things met by groups, ready to be counted over any run of days.

    Args:
        cells: The rows in which they were met.
        groups: [n] group of each row, from 0.
        count: Number of groups.
        length: Number of days.
    """

    def __init__(self, cells: Cells, groups: Codes | None, count: int, length: int):
        every = np.zeros(len(cells.days), dtype=np.int64) if groups is None else groups
        self._count, self._length = count, length
        self._entries = {}
        for place, name in enumerate(cells.names):
            thing = cells.values[:, place]
            rows = np.flatnonzero(thing >= 0)
            self._entries[name] = _entries(every[rows], thing[rows], cells.days[rows], length)
        order = np.argsort(cells.days, kind="stable")
        self._groups, self._at = every[order], np.searchsorted(cells.days[order], np.arange(length + 1))
        self.names = cells.names

    def between(self, first: int, last: int) -> tuple[Whole, NDArray[np.bool_]]:
        """Return [groups, names] numbers of different things over days, and [groups] whether any row is there."""
        found = np.zeros((self._count, len(self.names)), dtype=np.int64)
        for place, name in enumerate(self.names):
            group, earlier, _, at = self._entries[name]
            inside = slice(at[first], at[last + 1])
            counts = earlier[inside] < first
            if self._count == 1:
                found[0, place] = np.count_nonzero(counts)
            else:
                found[:, place] = np.bincount(group[inside][counts], minlength=self._count)
        there = np.zeros(self._count, dtype=bool)
        there[self._groups[self._at[first] : self._at[last + 1]]] = True
        return found, there

    def daily(self, name: str) -> Whole:
        """Return [days] numbers of different things of all groups day by day."""
        return np.asarray(np.diff(self._entries[name][3]), dtype=np.int64)

    def windows(self, name: str, length: int) -> Whole:
        """Return the number of different things in every run of `length` days, by its first day; of one group."""
        _, earlier, day, _ = self._entries[name]
        # an entry counts in the runs that begin after the thing was met before, and that still reach the entry's day
        begins = np.bincount(np.maximum(np.maximum(earlier + 1, day - length + 1), 0), minlength=self._length + 1)
        ends = np.bincount(day + 1, minlength=self._length + 1)
        return np.asarray(np.cumsum(begins - ends)[: self._length - length + 1], dtype=np.int64)


def _entries(group: Codes, thing: Codes, day: Whole, length: int) -> tuple[Codes, Whole, Whole, Whole]:
    """Return group, day met before (−1: never) and day of each thing met on a day, by day; and where days begin."""
    things = int(thing.max()) + 1 if len(thing) else 1
    key = np.unique((group * things + thing) * length + day)
    owner, day = np.divmod(key, length)
    earlier = np.where(np.diff(owner, prepend=-1) == 0, np.concatenate([[-1], day[:-1]]), -1)
    order = np.argsort(day, kind="stable")
    day = day[order]
    return (owner // things)[order], earlier[order], day, np.searchsorted(day, np.arange(length + 1))


def whole(column: pa.ChunkedArray, what: str) -> Whole:
    """Return amounts as whole numbers: counts as they are, money in ten-thousandths.

    Raises:
        UnsupportedError: If they are too large for 64 bits.
    """
    column = column.combine_chunks()
    if not pa.types.is_decimal(column.type):
        return np.asarray(column.cast(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)
    parts = np.frombuffer(column.buffers()[1], dtype=np.int64).reshape(-1, 2)
    parts = parts[column.offset : column.offset + len(column)]
    low, high = parts[:, 0], parts[:, 1]
    if (high != low >> 63).any() or np.abs(low.astype(np.float64)).sum() >= MOST:
        raise UnsupportedError(
            f"{what} is too large to be kept day by day", allowed=f"sums below {MOST / UNITS:.0e}",
            do="ask the store for the metric itself",
        )  # fmt: skip
    return low.copy()


def coded(column: pa.ChunkedArray, known: dict[Any, int]) -> Codes:
    """Return values as codes, and note in `known` the code of each value that is met for the first time."""
    encoded = column.combine_chunks().dictionary_encode()
    if encoded.indices.null_count:
        missing = known.setdefault(None, len(known))
        codes = np.array([*(known.setdefault(v, len(known)) for v in encoded.dictionary.to_pylist()), missing])
        return np.asarray(codes[encoded.indices.fill_null(len(codes) - 1).to_numpy()], dtype=np.int64)
    codes = np.array([known.setdefault(v, len(known)) for v in encoded.dictionary.to_pylist()], dtype=np.int64)
    return codes[encoded.indices.to_numpy()] if len(codes) else np.zeros(0, dtype=np.int64)


def numbered(column: pa.ChunkedArray) -> Codes:
    """Return things as numbers from 0; −1 where there is none."""
    indices = column.combine_chunks().dictionary_encode().indices.fill_null(-1)
    return np.asarray(indices.to_numpy(), dtype=np.int64)
