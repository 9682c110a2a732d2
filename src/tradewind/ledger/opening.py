"""Opening: a ledger is found or begun, its key fitted, its days those that it was begun for."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tradewind.database import Database
from tradewind.errors import BadInputError, CorruptLedgerError
from tradewind.ledger import chain
from tradewind.ledger.appender import Appender, Clock, first_entry
from tradewind.ledger.key import Key, find_key
from tradewind.ledger.ledger import Ledger, other_days
from tradewind.ledger.schema import LEDGER
from tradewind.scope import OPERATOR, Scope

MACHINE, SIMULATED = "machine", "simulated"
"""Whose days a ledger counts, as its first entry says."""


def open_ledger(
    address: str | Path,
    scope: Scope = OPERATOR,
    timezone: str | None = None,
    *,
    create: bool = True,
    environment: Mapping[str, str] | None = None,
    clock: Clock | date | None = None,
    simulated: bool | None = None,
) -> Ledger:
    """Open a ledger, begun where there is none, its schema brought up to date.

    Args:
        address: A file, `sqlite:///FILE`, or `postgresql://USER@HOST/NAME`.
        scope: Which shops the caller may see.
        timezone: IANA name of the timezone whose days count: the store's. When left out the one that the ledger was
            begun with, UTC for one that is begun now.
        create: Whether a ledger may be begun.
        environment: Where the key is looked for; the process's environment when left out.
        clock: Of simulated data what says the time, or the day it is; the machine's clock when left out. A ledger of
            simulated data that is told no time is read as of its last entry, and not written to.
        simulated: Whether it is opened for simulated data: a ledger keeps to the kind that it was begun for. None for
            either, or as the clock says.

    Returns:
        The ledger.

    Raises:
        NotFoundError: If there is no ledger and none may be begun.
        UnavailableError: If the file or server cannot be reached or written to.
        MissingDataError: If there is no key or no driver.
        ForbiddenError: If others may read the key file.
        BadInputError: If the address or timezone cannot be used, or the ledger is of a newer version than this code.
        ConflictError: If the ledger was begun for the other kind of data.
        CorruptLedgerError: If the key does not fit the ledger's first entry.
    """
    zone = None if timezone is None else _zone(timezone)
    environment = os.environ if environment is None else environment
    if simulated is None and clock is not None:
        simulated = True
    database = Database(LEDGER, address)
    try:
        key, said = _unlocked(database, environment, create, _told(clock, zone or _zone("UTC")), zone, simulated)
        days = said.get("days")  # ledgers begun before this was kept do not say
        if days is not None and simulated is not None and simulated != (days == SIMULATED):
            raise other_days(simulated)
    except BaseException:
        database.close()
        raise
    zone = zone or _zone(said.get("timezone", "UTC"))
    told = _now if clock is None and days != SIMULATED else _told(clock, zone)
    return Ledger(database, key, scope, zone, told)


def _unlocked(
    database: Database, environment: Mapping[str, str], create: bool, clock: Clock | None, zone: ZoneInfo | None,
    simulated: bool | None,
) -> tuple[Key, dict[str, str]]:  # fmt: skip
    """Return the key that fits the ledger, begun or brought up to date where need be, and what its first entry says."""
    file = None if database.file is None else database.file.with_name(database.file.name + ".key")
    first = None
    if database.prepared():
        with database.reading() as connection:
            first = first_entry(connection)
    if first is not None:
        key = find_key(environment, file, fresh=False)
    else:
        with database.preparing(create=create) as connection:
            first = first_entry(connection)
            key = find_key(environment, file, fresh=first is None)
            if first is None:
                said = {
                    "ledger": uuid.uuid4().hex, "format": chain.FORMAT, "timezone": zone.key if zone else "UTC",
                    "days": SIMULATED if simulated else MACHINE,
                }  # fmt: skip
                first = Appender(connection, key, clock or _now).add(chain.OPENED, "tradewind", said)
    if not chain.fits(key, first):
        raise CorruptLedgerError(
            f"The key in {key.origin} does not fit the ledger's first entry", got=database.shown,
            do="set the key that the ledger was begun with; if it is that one, the entry was changed",
        )  # fmt: skip
    return key, first.said


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise BadInputError("There is no such timezone", got=name, allowed="such as America/Sao_Paulo") from error


def _told(clock: Clock | date | None, zone: ZoneInfo) -> Clock | None:
    """Return the clock that was given; of a day one that stands still at its noon."""
    if not isinstance(clock, date):
        return clock
    noon = datetime.combine(clock, time(12), zone).astimezone(UTC)
    return lambda: noon


def _now() -> datetime:
    return datetime.now(UTC)
