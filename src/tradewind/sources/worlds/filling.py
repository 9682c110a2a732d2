"""Filling a store with a world."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tradewind.engines.snapshot import Draft
from tradewind.errors import BadInputError, FullDiskError, is_full_disk
from tradewind.sources.report import ImportReport, TableCount
from tradewind.sources.worlds import checkpoint
from tradewind.sources.worlds.aftermath import Aftermath, aftermath, check, plan, write
from tradewind.sources.worlds.book import Book, clock_of
from tradewind.sources.worlds.incidents import Incident
from tradewind.sources.worlds.moves import Move
from tradewind.sources.worlds.preset import VERSION, preset
from tradewind.sources.worlds.sheets import TIMEZONE, Sheets
from tradewind.sources.worlds.world import World
from tradewind.study import Provenance

CURRENCY = "USD"
MONTH = 30
MOST = 25_000_000  # rows after which what is done is put by, though the month is not over


def fill(
    name: str, seed: int, store: Path, progress: Callable[[str, int, int], None] | None = None, force: bool = False,
    days: int | None = None, incidents: Sequence[Incident] = (), moves: Sequence[Move] = (),
) -> ImportReport:  # fmt: skip
    """Run a world and write its history into a store of its own, with the truth of its incidents beside it.

    A run that was stopped goes on where it was; one with incidents begins anew.

    Args:
        name: Name of the preset.
        seed: The world's seed.
        store: The store's folder; it must be new, or hold the same world.
        progress: Told what is done, how many days of it, and of how many.
        force: Run it again from its first day although the store holds this very world, or a part of it.
        days: Days to run, from the first; all of the preset's if None. With moves it may be up to a year more.
        incidents: What goes wrong in it; what each truly did is written to `truth/incidents.parquet` in the folder.
        moves: What somebody does to it; days before the first of them are the same as without.

    Returns:
        What was written.

    Raises:
        NotFoundError: If there is no such preset.
        BadInputError: If the store holds something else, there are not so many days, or an incident does not fit.
        FullDiskError: If there is no room left; what was put by stays.
    """
    size, began = preset(name), time.monotonic()
    last = size.days if days is None else days
    most = size.days + (365 if moves else 0)
    if not 1 <= last <= most:
        raise BadInputError(
            f"The history of the world `{name}` is not that long", got=last, allowed=f"1 to {most} days"
        )
    source = f"world_{name}"
    check(incidents, size)
    planted = [asdict(incident) for incident in incidents]
    asked: dict[str, Any] = {
        "preset": name, "seed": seed, "version": VERSION, "days": last, "incidents": planted,
    } | ({"moves": _digest(moves)} if moves else {})  # fmt: skip
    with Draft(store) as draft:
        if draft.base and draft.base.provenance.source != source:
            raise BadInputError(
                f"The store in {store} holds another source", got=source, allowed=draft.base.provenance.source,
                do="give the world a folder of its own",
            )  # fmt: skip
        if draft.base and not force and draft.base.imported.get("world") == asked:
            tables = {table: TableCount(**count) for table, count in draft.base.imported["tables"].items()}
            return ImportReport(source, draft.base.name, tables, (), (), 0, 0, time.monotonic() - began, unchanged=True)
        world = World(size, seed, incidents)
        sheets = Sheets(draft.new_file, clock_of(world))
        book = Book(world, sheets)
        if force or incidents:
            draft.start_over()
        try:
            checkpoint.resume(draft, asked, world, sheets, book)
            truths = _live(draft, asked, (world, sheets, book), last, moves, progress)
        except OSError as error:
            if not is_full_disk(error):
                raise
            raise FullDiskError(
                "There is no room left where the store is", got=store,
                do=f"make room and run the same command: it goes on from day {world.state.day + 1} at the latest",
            ) from error  # fmt: skip
        notice = (
            f"Simulated by Tradewind: the world {name}, version {VERSION}, seed {seed}. No shop, product, creator or "
            "customer in it exists."
        )
        provenance = Provenance(source, "CC0-1.0", notice, CURRENCY, TIMEZONE, simulated=True, whole_marketplace=True)
        tables = {table: TableCount(rows, rows) for table, rows in sorted(sheets.rows.items())}
        remembered = {"world": asked, "tables": {table: asdict(count) for table, count in tables.items()}}
        write(store, truths)
        had = draft.base.span() if draft.base else None
        manifest = draft.commit(provenance, sheets.files, remembered)
    known = min(had.days, last) if had else 0
    counted = (last - known, known)
    return ImportReport(source, manifest.name, tables, (), (), *counted, time.monotonic() - began)


def _digest(moves: Sequence[Move]) -> str:
    """Return a short name for moves: another run does not go on from where one with these stood."""
    found = hashlib.sha256()
    for move in moves:
        dose = {key: value.tolist() if hasattr(value, "tolist") else value for key, value in move.dose.items()}
        found.update(json.dumps([move.lever, move.start, move.days, dose], sort_keys=True).encode())
    return found.hexdigest()[:16]


def _live(
    draft: Draft, asked: Mapping[str, Any], run: tuple[World, Sheets, Book], last: int, moves: Sequence[Move],
    progress: Callable[[str, int, int], None] | None,
) -> list[Aftermath]:  # fmt: skip
    """Run the days that are left, and close the book; from time to time put by what is done.

    Returns:
        What each incident truly did.
    """
    world, sheets, book = run
    before, truths = sum(sheets.rows.values()), []
    while world.state.day < last:
        truths += aftermath(world, [one for one in world.incidents if one.start == world.state.day])
        world.advance(1, moves, watch=book)
        day, rows = world.state.day, sum(sheets.rows.values())
        if day % MONTH == 0 or rows - before >= MOST:
            sheets.turn()
            checkpoint.save(draft, asked, world, sheets, book)
            before = rows
        if progress:
            progress(f"living through the world `{asked['preset']}`", day, last)
    book.close(world.state)
    sheets.turn()
    return truths


def planned_incidents(name: str, seed: int, count: int) -> tuple[Incident, ...]:
    """Plan incidents at random for a world: kinds in turn, days apart, on something that matters.

    Args:
        name: Name of the preset.
        seed: The world's seed: the same one plans the same incidents.
        count: How many.

    Raises:
        NotFoundError: If there is no such preset.
        BadInputError: If so many do not fit into its days.
    """
    return plan(preset(name), seed, count)
