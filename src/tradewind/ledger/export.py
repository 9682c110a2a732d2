"""Export: who drew which arm, as files for the shop's own systems."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import sqlalchemy as sa

from tradewind.errors import BadInputError, NotFoundError
from tradewind.ledger.chain import Head
from tradewind.ledger.key import Key
from tradewind.ledger.lot import TREATED
from tradewind.ledger.schema import ENTRIES, EXPERIMENTS
from tradewind.ledger.standing import Experiment, assigned
from tradewind.writing import beside, put

SCHEMA = pa.schema(
    [
        pa.field("experiment_id", pa.string(), nullable=False),
        pa.field("unit_kind", pa.string(), nullable=False),
        pa.field("unit_id", pa.string(), nullable=False),
        pa.field("shop_id", pa.string()),
        pa.field("arm", pa.string(), nullable=False),
        pa.field("propensity", pa.float64()),
        pa.field("assigned_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""The columns of the canonical table `assignments`, so that an export can be imported into a store as it is."""


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Args:
        file: The file.
        beside: The small JSON file beside it, with the ledger's head and the file's digest.
        rows: Number of rows.
        head: How far the ledger had come.
        sha256: Digest of the file.
    """

    file: Path
    beside: Path
    rows: int
    head: Head
    sha256: str


class _Writer(Protocol):
    def write_batch(self, batch: pa.RecordBatch) -> None: ...

    def close(self) -> None: ...


def export(connection: sa.Connection, key: Key, found: Sequence[Experiment], head: Head, file: Path) -> Exported:
    """Write the assignments of experiments to a CSV or Parquet file, whole or not at all.

    Args:
        connection: A connection that sees one state of the ledger.
        key: The ledger's key.
        found: The experiments.
        head: How far the ledger has come in that state.
        file: Where to; its ending says which format.

    Returns:
        What was written. Parquet carries the head in its own metadata too.

    Raises:
        BadInputError: If the ending is neither `.csv` nor `.parquet`.
        NotFoundError: If there is no such folder.
        CorruptLedgerError: If units are not those that were registered; nothing is written.
    """
    if file.suffix not in {".csv", ".parquet"}:
        raise BadInputError(
            "Assignments are not written in this format", got=file.suffix or file.name, allowed=".csv, .parquet"
        )
    if not file.parent.is_dir():
        raise NotFoundError("There is no folder for the export", got=file.parent, do="make it first")
    fresh, about_it = beside(file), file.with_name(file.name + ".json")
    # what the file says about itself in place of its own digest, which it cannot hold
    about = {"tradewind.head": str(head)}
    rows = 0
    try:
        with _writer(fresh, file.suffix, about) as writer:
            for batch in (page for each in found for page in _pages(connection, key, each)):
                writer.write_batch(batch)
                rows += batch.num_rows
        sha256 = _synced(fresh)
        said = {"head": str(head), "ledger": head.ledger, "count": head.count, "hash": head.hash, "rows": rows}
        with _alone(file.parent):
            put(about_it, json.dumps({"file": file.name, "sha256": sha256, **said}, indent=1) + "\n")
            fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
    return Exported(file, about_it, rows, head, sha256)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let no other export put its two files into a folder meanwhile."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _writer(file: Path, ending: str, about: dict[str, str]) -> pc.CSVWriter | pq.ParquetWriter:
    if ending == ".csv":
        return pc.CSVWriter(str(file), SCHEMA)
    return pq.ParquetWriter(file, SCHEMA.with_metadata(about), compression="zstd")


def _pages(connection: sa.Connection, key: Key, found: Experiment) -> Iterator[pa.RecordBatch]:
    [(number, at)] = connection.execute(
        sa.select(ENTRIES.c.number, ENTRIES.c.at)
        .join(EXPERIMENTS, EXPERIMENTS.c.number == ENTRIES.c.number)
        .where(EXPERIMENTS.c.id == found.id)
    )
    if found.unit == "action":
        rows = [
            (each.subject.kind, _unit(each.subject.id, each.subject.partner), each.subject.shop, each.arm or TREATED)
            for each in found.launches
        ]
        yield _batch(found, at, rows)
        return
    shop = found.launches[0].subject.shop
    for page in assigned(connection, key, number):
        yield _batch(found, at, [("customer", unit, shop, arm) for unit, arm in page])


def _unit(id_: str, partner: str | None) -> str:
    return id_ if partner is None else f"{id_}/{partner}"


def _batch(found: Experiment, at: str, rows: Sequence[tuple[str, str, str | None, str]]) -> pa.RecordBatch:
    kinds, units, shops, arms = zip(*rows, strict=True)
    count = len(rows)
    columns = [
        [found.id] * count, kinds, units, shops, arms,
        [found.arms[arm] for arm in arms], [datetime.fromisoformat(at)] * count,
    ]  # fmt: skip
    return pa.record_batch(
        [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], SCHEMA
    )


def _synced(file: Path) -> str:
    found = hashlib.sha256()
    with file.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            found.update(chunk)
        os.fsync(handle.fileno())
    return found.hexdigest()
