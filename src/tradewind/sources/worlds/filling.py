"""Filling a store with a world."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tradewind.engines.snapshot import Draft
from tradewind.errors import BadInputError
from tradewind.sources.report import ImportReport, TableCount
from tradewind.sources.worlds.book import Book, clock_of
from tradewind.sources.worlds.preset import VERSION, preset
from tradewind.sources.worlds.sheets import TIMEZONE, Sheets
from tradewind.sources.worlds.world import World
from tradewind.study import Provenance

CURRENCY = "USD"
MONTH = 30


def fill(
    name: str, seed: int, store: Path, progress: Callable[[str, int, int], None] | None = None, force: bool = False
) -> ImportReport:
    """Run a world and write its whole history into a store of its own.

    Args:
        name: Name of the preset.
        seed: The world's seed.
        store: The store's folder; it must be new, or hold the same world.
        progress: Told what is done, how many days of it, and of how many.
        force: Run it again although the store holds this very world.

    Returns:
        What was written.

    Raises:
        NotFoundError: If there is no such preset.
        BadInputError: If the store holds something else.
    """
    size, began = preset(name), time.monotonic()
    source = f"world_{name}"
    asked = {"preset": name, "seed": seed, "version": VERSION}
    with Draft(store) as draft:
        if draft.base and draft.base.provenance.source != source:
            raise BadInputError(
                f"The store in {store} holds another source", got=source, allowed=draft.base.provenance.source,
                do="give the world a folder of its own",
            )  # fmt: skip
        if draft.base and not force and draft.base.imported.get("world") == asked:
            tables = {table: TableCount(**count) for table, count in draft.base.imported["tables"].items()}
            return ImportReport(source, draft.base.name, tables, (), (), 0, 0, time.monotonic() - began, unchanged=True)
        world = World(size, seed)
        sheets = Sheets(draft.new_file, clock_of(world))
        book = Book(world, sheets)
        for day in range(size.days):
            world.advance(1, watch=book)
            if (day + 1) % MONTH == 0:
                sheets.turn()
            if progress:
                progress(f"living through the world `{name}`", day + 1, size.days)
        book.close(world.state)
        sheets.turn()
        notice = (
            f"Simulated by Tradewind: the world {name}, version {VERSION}, seed {seed}. No shop, product, creator or "
            "customer in it exists."
        )
        provenance = Provenance(source, "CC0-1.0", notice, CURRENCY, TIMEZONE, simulated=True)
        tables = {table: TableCount(rows, rows) for table, rows in sorted(sheets.rows.items())}
        remembered = {"world": asked, "tables": {table: asdict(count) for table, count in tables.items()}}
        had = draft.base.span() if draft.base else None
        manifest = draft.commit(provenance, sheets.files, remembered)
    days = (0, size.days) if had else (size.days, 0)
    return ImportReport(source, manifest.name, tables, (), (), *days, time.monotonic() - began)
