"""Copying: a ledger written anew, entry by entry, into an empty database."""

from __future__ import annotations

import sqlalchemy as sa

from tradewind.errors import ConflictError, CorruptLedgerError
from tradewind.ledger import chain
from tradewind.ledger.appender import PAGE, last_entry, write
from tradewind.ledger.chain import EXPERIMENT, Entry, Head
from tradewind.ledger.key import Key
from tradewind.ledger.schema import ASSIGNMENTS, ENTRIES
from tradewind.ledger.verification import verify


def copy(source: sa.Connection, target: sa.Connection, key: Key, head: Head) -> None:
    """Copy entries as they are, and what they put into the other tables from them alone.

    So a ledger moves from a file to a server, and one whose other tables were edited becomes whole again.

    Args:
        source: A connection to the ledger.
        target: The writer's connection to an empty one.
        key: The key of both.
        head: How far the source has come.

    Raises:
        ConflictError: If the target has entries.
        CorruptLedgerError: If an entry or the units of an experiment do not fit their seals; nothing is copied.
    """
    if last_entry(target) is not None:
        raise ConflictError("There is a ledger already where this one is to be copied to", do="give an empty place")
    for row in source.execute(ENTRIES.select().order_by(ENTRIES.c.number).execution_options(yield_per=PAGE)):
        entry = Entry(*row)
        if not chain.fits(key, entry):
            raise CorruptLedgerError("An entry of the ledger was changed", got=entry.number, do="restore an older copy")
        write(target, entry)
        if entry.kind == EXPERIMENT:
            units = ASSIGNMENTS.select().where(ASSIGNMENTS.c.experiment == entry.number)
            for page in source.execute(units.execution_options(yield_per=PAGE)).partitions():
                target.execute(ASSIGNMENTS.insert(), [unit._asdict() for unit in page])
    verdict = verify(target, key, [head])
    if not verdict.sound:
        raise CorruptLedgerError(verdict.what, got=f"entry {verdict.entry}", do="restore an older copy")
