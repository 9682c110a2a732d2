"""Verification: whether the ledger is what was written into it, and where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from tradewind.ledger import chain
from tradewind.ledger.chain import Break, Entry, Head
from tradewind.ledger.key import Key
from tradewind.ledger.lot import Tally
from tradewind.ledger.schema import ASSIGNMENTS, ENTRIES, METADATA, PROJECTIONS, rows_of

_PAGE = 5000


@dataclass(frozen=True)
class Verdict:
    """What a verification found.

    Args:
        sound: Whether everything fits.
        count: Number of entries that fit; None for a caller who does not see all shops.
        entry: Number of the first entry that does not fit, or that should stand there; None where all fit, or for such
            a caller.
        what: What is wrong with it, as a sentence without its full stop; empty where all fits.
    """

    sound: bool
    count: int | None
    entry: int | None = None
    what: str = ""


def verify(connection: sa.Connection, key: Key, heads: Sequence[Head], *, units: bool = True) -> Verdict:
    """Walk the ledger from its first entry and say where it first does not fit.

    Args:
        connection: A connection that sees one state of the ledger.
        key: The ledger's key.
        heads: Heads that were kept outside; without one, a history cut at its end cannot be told from a short one.
        units: Whether the units of experiments are looked at too, which takes the longer the more there are.

    Returns:
        The verdict.
    """
    there = set(sa.inspect(connection).get_table_names())
    if gone := [table.name for table in METADATA.sorted_tables if table.name not in there]:
        return Verdict(False, 0, 1, f"The table {gone[0]} is gone")
    walk = _Walk(connection, units)
    found = chain.first_break(key, walk.entries(heads)) or walk.broken or walk.leftover() or walk.against(heads)
    if found is not None:
        return Verdict(False, found.number - 1, found.number, found.what)
    return Verdict(True, walk.count)


class _Walk:
    """One pass over entries, with the rows that they put into the other tables beside them."""

    def __init__(self, connection: sa.Connection, units: bool):
        self._connection = connection
        self._asked = units
        self._rows = {table.name: self._of(table) for table in PROJECTIONS}
        self._units = groupby(self._paged(ASSIGNMENTS.select().order_by(*ASSIGNMENTS.primary_key)), itemgetter(0))
        self._waiting: Any = None
        self._hashes: dict[str, int] = {}
        self.ledger = ""
        self.count = 0
        self.broken: Break | None = None

    def entries(self, heads: Sequence[Head]) -> Iterator[Entry]:
        """Yield the entries; each is looked at more closely once the chain has found that it fits."""
        wanted = {head.hash for head in heads}
        for row in self._paged(ENTRIES.select().order_by(ENTRIES.c.number)):
            entry = Entry(*row)
            yield entry
            self.count += 1
            if self.count == 1:
                self.ledger = entry.said.get("ledger", "")
            if entry.hash in wanted:
                self._hashes[entry.hash] = entry.number
            if (found := self._beside(entry)) is not None:
                self.broken = found
                return

    def leftover(self) -> Break | None:
        """Return what is wrong where nothing was begun, or rows are left that no entry wrote."""
        if self.count == 0:
            return Break(1, "Entry 1 is missing")
        for name, rows in self._rows.items():
            if next(rows, None) is not None:
                return Break(
                    self.count + 1, f"The table {name} has rows that no entry wrote, or their entries are gone"
                )
        if self._asked and self._next_units() is not None:
            return Break(self.count + 1, "Units are assigned that no entry registered, or their entries are gone")
        return None

    def against(self, heads: Sequence[Head]) -> Break | None:
        """Return what is wrong where the entries do not reach a head, or reach it by another way."""
        for head in heads:
            if head.ledger != self.ledger:
                return Break(1, "The head is of another ledger")
            at = self._hashes.get(head.hash)
            if head.count is not None and head.count > self.count:
                return Break(self.count + 1, f"The ledger was cut: {head.count} entries had been written")
            if at is None or (head.count is not None and at != head.count):
                return Break(head.count or self.count + 1, "The ledger was cut and written anew, or the head is wrong")
        return None

    def _beside(self, entry: Entry) -> Break | None:
        for table, row in rows_of(entry):
            if next(self._rows[table.name], None) != tuple(row[column.name] for column in table.columns):
                return Break(entry.number, f"The row of entry {entry.number} in the table {table.name} was changed")
        if self._asked and entry.kind == chain.EXPERIMENT and entry.said["digest"] is not None:
            number, tally = self._next_units() or (None, Tally())
            said = entry.said
            if number != entry.number or tally.digest != said["digest"]:
                return Break(entry.number, f"The units that entry {entry.number} registered were changed")
            self._waiting = None
        return None

    def _next_units(self) -> tuple[Any, Tally] | None:
        if self._waiting is None and (group := next(self._units, None)) is not None:
            tally = Tally()
            for _, unit, arm in group[1]:
                tally.add(str(unit), str(arm))
            self._waiting = (group[0], tally)
        waiting: tuple[Any, Tally] | None = self._waiting
        return waiting

    def _of(self, table: sa.Table) -> Iterator[tuple[Any, ...]]:
        return self._paged(table.select().order_by(table.c.number))

    def _paged(self, query: sa.Select[Any]) -> Iterator[tuple[Any, ...]]:
        for row in self._connection.execute(query.execution_options(yield_per=_PAGE)):
            yield tuple(row)
