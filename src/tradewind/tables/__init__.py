"""The canonical tables: what a marketplace's data is, each declared once."""

from __future__ import annotations

from tradewind.errors import NotFoundError
from tradewind.tables import content, live, marketing, sales
from tradewind.tables.schema import Column, Hop, Kind, Reference, Table

TABLES: dict[str, Table] = {
    table.name: table for table in (*sales.TABLES, *marketing.TABLES, *live.TABLES, *content.TABLES)
}

__all__ = ["TABLES", "Column", "Hop", "Kind", "Reference", "Table", "table"]


def table(name: str) -> Table:
    """Return the canonical table of that name.

    Raises:
        NotFoundError: If there is none.
    """
    if name not in TABLES:
        raise NotFoundError("There is no such table", got=name, allowed=sorted(TABLES))
    return TABLES[name]
