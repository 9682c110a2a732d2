"""Appender: the one who may write, while the others wait."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from tradewind.errors import BadInputError, CorruptLedgerError
from tradewind.ledger import chain
from tradewind.ledger.chain import GENESIS, Entry
from tradewind.ledger.key import Key
from tradewind.ledger.schema import ASSIGNMENTS, ENTRIES, rows_of

SKEW = timedelta(minutes=5)
"""How far the clocks of the machines that write may differ."""
PAGE = 10_000
"""Assignment rows that are sent to the database at once."""

Clock = Callable[[], datetime]


class Appender:
    """Adds entries after the last one, all at one moment; made inside the writer's transaction.

    Args:
        connection: The writer's connection.
        key: The ledger's key.
        clock: What says the time.

    Raises:
        CorruptLedgerError: If the last entry is not what was written: nothing is built upon it.
        BadInputError: If this machine's clock is behind the last entry.
    """

    def __init__(self, connection: sa.Connection, key: Key, clock: Clock):
        self.connection = connection
        self._key = key
        self.last = last_entry(connection)
        if self.last is not None and not chain.fits(key, self.last):
            raise CorruptLedgerError(
                "The last entry of the ledger was changed, or was written under another key", got=self.last.number,
                do="verify the ledger; restore it from a copy, or set the key that it was begun with",
            )  # fmt: skip
        now = clock()
        if now.tzinfo is None:
            raise BadInputError("The clock says no timezone", got=now)
        before = datetime.fromisoformat(self.last.at) if self.last else now
        if now + SKEW < before:
            raise BadInputError(
                "The clock of this machine is behind the ledger's last entry", got=now.astimezone(UTC),
                do="set the clock right; on simulated data say a later day, or begin another ledger",
            )  # fmt: skip
        self.now = max(now, before)  # time in the ledger never runs backwards

    def add(self, kind: str, who: str, said: dict[str, Any]) -> Entry:
        """Write an entry, and what it puts into the other tables."""
        number, previous = (self.last.number + 1, self.last.hash) if self.last else (1, GENESIS)
        entry = chain.seal(self._key, number, chain.moment(self.now), kind, who, chain.canonical(said), previous)
        write(self.connection, entry)
        self.last = entry
        return entry

    def assign(self, experiment: int, rows: Iterable[tuple[str, str]]) -> None:
        """Write the units of an experiment with their arms."""
        page: list[dict[str, Any]] = []
        for unit, arm in rows:
            page.append({"experiment": experiment, "unit": unit, "arm": arm})
            if len(page) == PAGE:
                self.connection.execute(ASSIGNMENTS.insert(), page)
                page = []
        if page:
            self.connection.execute(ASSIGNMENTS.insert(), page)


def last_entry(connection: sa.Connection) -> Entry | None:
    """Return the last entry, or None of a ledger that was not begun."""
    row = connection.execute(ENTRIES.select().order_by(ENTRIES.c.number.desc()).limit(1)).one_or_none()
    return None if row is None else Entry(*row)


def first_entry(connection: sa.Connection) -> Entry | None:
    """Return the first entry, or None of a ledger that was not begun."""
    row = connection.execute(ENTRIES.select().order_by(ENTRIES.c.number).limit(1)).one_or_none()
    return None if row is None else Entry(*row)


def write(connection: sa.Connection, entry: Entry) -> None:
    """Write an entry as it is, and what it puts into the other tables."""
    connection.execute(ENTRIES.insert(), vars(entry))
    for table, row in rows_of(entry):
        connection.execute(table.insert(), row)
