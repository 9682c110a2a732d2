"""Schema: the ledger's tables. The entries are the ledger; the others say the same again so that it can be searched.

A table is only ever added to, which triggers in the database see to. What each entry puts into the other tables is
said once, in `rows_of`: writing, checking and copying a ledger all ask it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tradewind.database import Register
from tradewind.errors import CorruptLedgerError
from tradewind.ledger.chain import EXPERIMENT, LAUNCH, READING, STOP, Entry

METADATA = sa.MetaData()
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# ids are compared and sorted by their bytes on either database, so that a digest of sorted rows is the same on both
NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def _number() -> sa.Column[Any]:
    return sa.Column("number", NUMBER, sa.ForeignKey("entries.number"), primary_key=True, autoincrement=False)


ENTRIES = sa.Table(
    "entries", METADATA,
    sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("previous", sa.String, nullable=False),
    sa.Column("hash", sa.String, nullable=False),
)  # fmt: skip
EXPERIMENTS = sa.Table(
    "experiments", METADATA, _number(),
    sa.Column("id", NAME, nullable=False, unique=True),
    sa.Column("due", sa.String, nullable=False),
)  # fmt: skip
LAUNCHES = sa.Table(
    "launches", METADATA, _number(),
    sa.Column("id", NAME, nullable=False, unique=True),
    sa.Column("experiment", NUMBER, sa.ForeignKey("experiments.number"), nullable=False, index=True),
    sa.Column("shop", NAME),
    sa.Column("plan", NAME, nullable=False),
    sa.Column("action", NAME, nullable=False),
    sa.Column("lever", NAME, nullable=False),
    sa.Column("subject_kind", NAME, nullable=False),
    sa.Column("subject_id", NAME, nullable=False),
    sa.Column("partner", NAME),
    sa.Column("first", sa.String, nullable=False),
    sa.Column("last", sa.String, nullable=False),
    sa.Index("ix_launches_running", "shop", "lever", "last"),
)  # fmt: skip
ASSIGNMENTS = sa.Table(
    "assignments", METADATA,
    sa.Column("experiment", NUMBER, sa.ForeignKey("experiments.number"), primary_key=True, autoincrement=False),
    sa.Column("unit", NAME, primary_key=True),
    sa.Column("arm", NAME, nullable=False),
)  # fmt: skip
STOPS = sa.Table(
    "stops", METADATA, _number(),
    sa.Column("launch", NUMBER, sa.ForeignKey("launches.number"), nullable=False, unique=True),
    sa.Column("day", sa.String, nullable=False),
)  # fmt: skip
READINGS = sa.Table(
    "readings", METADATA, _number(),
    sa.Column("experiment", NUMBER, sa.ForeignKey("experiments.number"), nullable=False, index=True),
)  # fmt: skip
PROJECTIONS = (EXPERIMENTS, LAUNCHES, STOPS, READINGS)
"""The tables that entries are spread out into; assignment rows are kept apart, under a digest in their entry."""
LEDGER = Register(
    "ledger", "ledger", METADATA, Path(__file__).parent / "steps", "0001", "launch a plan first", 7310866251478921,
    CorruptLedgerError,
)  # fmt: skip


def rows_of(entry: Entry) -> Iterator[tuple[sa.Table, dict[str, Any]]]:
    """Yield the rows that an entry puts into the other tables."""
    said, number = entry.said, {"number": entry.number}
    if entry.kind == EXPERIMENT:
        yield EXPERIMENTS, {**number, "id": said["experiment"], "due": said["due"]}
    elif entry.kind == LAUNCH:
        subject = said["promise"]["subject"]
        first, last = said["promise"]["days"]
        yield LAUNCHES, {
            **number, "id": said["launch"], "experiment": int(said["entry"]), "shop": subject["shop"],
            "plan": said["plan"], "action": said["promise"]["key"], "lever": said["promise"]["lever"],
            "subject_kind": subject["kind"], "subject_id": subject["id"], "partner": subject["partner"],
            "first": first, "last": last,
        }  # fmt: skip
    elif entry.kind == STOP:
        yield STOPS, {**number, "launch": int(said["entry"]), "day": said["day"]}
    elif entry.kind == READING:
        yield READINGS, {**number, "experiment": int(said["entry"])}
