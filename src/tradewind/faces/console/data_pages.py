"""Data: what is in the store, how fresh it is, what was rejected, and what it can answer."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from tradewind.faces.console.rendering import address, exported, page
from tradewind.faces.server.gate import Asker
from tradewind.faces.server.reading import Limit, Offset
from tradewind.study import Column, Grid
from tradewind.tables import TABLES
from tradewind.tables import table as declared

router = APIRouter()
REJECTED = (
    Column("table", "Table"),
    Column("column", "Column"),
    Column("value", "Value"),
    Column("reason", "Why"),
    Column("allowed", "Allowed"),
    Column("file", "File"),
    Column("row", "Row", "count"),
    Column("record", "The row as it stood"),
)


@router.get("/data")
def data(request: Request, asker: Asker) -> Response:
    """Show tables, freshness, what was rejected, and which studies and metrics light up."""
    checked = asker.office.check(asker.store)
    tables = Grid(
        (
            Column("table", "Table"), Column("rows", "Rows", "count"), Column("first", "First day", "day"),
            Column("last", "Last day", "day"), Column("gaps", "Columns with gaps"),
            Column("empty", "Columns that are empty"),
        ),
        tuple(
            {"table": t.name, "href": f"/data/{t.name}", "rows": t.rows, "first": t.first or "", "last": t.last or "",
             "gaps": ", ".join(t.nulls), "empty": ", ".join(t.empty)}
            for t in checked.tables
        ),
    )  # fmt: skip
    if file := exported(request, "data", tables=tables):
        return file
    late = (asker.office.today - checked.period.last).days
    return page(
        request, "data.html", "Data", checked=checked, tables=tables, origin=checked.provenance, late=late,
        declared=TABLES, here=lambda **more: address("/data", **more),
    )  # fmt: skip


@router.get("/data/rejected")
def rejected(request: Request, asker: Asker, limit: Limit = 100, offset: Offset = 0) -> Response:
    """Show rows that broke a contract, with the reason and where each stood."""
    rows, total = asker.store.rejected(limit, offset)
    grid = Grid(REJECTED, tuple(rows.to_pylist()))
    if file := exported(request, "rejected", rejected=grid):
        return file
    return page(
        request, "rejected.html", "Rejected rows", grid=grid, total=total, limit=limit, offset=offset,
        origin=asker.store.provenance,
        here=lambda **more: address("/data/rejected", limit=limit, offset=offset, **more),
    )  # fmt: skip


@router.get("/data/{name}")
def table(request: Request, asker: Asker, name: str) -> Response:
    """Show how a table is declared, and how far each of its columns is filled in what the caller sees."""
    known, store = declared(name), asker.store
    counts = store.counts(name)
    grid = Grid(
        (
            Column("column", "Column"), Column("kind", "Type"), Column("unit", "Unit"),
            Column("filled", "Filled", "share"), Column("doc", "Meaning"),
        ),
        tuple(
            {"column": c.name, "kind": c.kind, "unit": c.unit, "doc": c.doc,
             "filled": counts.filled.get(c.name, 0) / counts.rows if counts.rows else None}
            for c in known.stored
        ),
    )  # fmt: skip
    if file := exported(request, name, columns=grid):
        return file
    return page(
        request, "table.html", name, known=known, counts=counts, grid=grid, origin=store.provenance,
        here=lambda **more: address(f"/data/{name}", **more),
    )  # fmt: skip
