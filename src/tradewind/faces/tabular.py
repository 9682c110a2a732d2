"""Tables as pages lay them out: what stands in each cell, on which side, and the bars of what they are ranked by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tradewind.faces.order import is_numeric, long_columns, number, ranked_column
from tradewind.study import Column, Grid

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table on a page.

    Args:
        text: What it says.
        numeric: Whether it is set to the right.
        bar: Length of the bar under it, from 0 to 100, or None where it has none.
        falls: Whether the bar stands for a loss.
        href: Page of what it names, or empty.
    """

    text: str
    numeric: bool = False
    bar: float | None = None
    falls: bool = False
    href: str = ""


@dataclass(frozen=True)
class Laid:
    """A table as it is laid out.

    Args:
        heads: Title of each column, and whether it is set to the right.
        rows: The cells of each row.
    """

    heads: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[Cell, ...], ...]


def laid(
    grid: Grid,
    write: Callable[[Row, Column], str],
    skip: int = 0,
    take: int | None = None,
    link: Callable[[Row, str, bool], str] | None = None,
) -> Laid:
    """Return some rows of a table as a page lays them out; columns of long words are left out, to stand below it.

    Args:
        grid: The table.
        write: Writes what a row says in a column.
        skip: First row.
        take: The row before which it ends; the last one's where None.
        link: Page of what a cell names: given the row, the column's name and whether it is the first.
    """
    ranking, left_out = ranked_column(grid), long_columns(grid)
    top = max((abs(number(row.get(ranking.name))) for row in grid.rows), default=0.0) if ranking else 0.0
    shown = [(column, is_numeric(grid, column)) for column in grid.columns if column not in left_out]
    rows = []
    for row in grid.rows[skip:take]:
        cells = []
        for place, (column, numeric) in enumerate(shown):
            size = number(row.get(column.name)) if column is ranking else 0.0
            bar = 100 * abs(size) / top if column is ranking and top else None
            href = link(row, column.name, place == 0) if link else ""
            cells.append(Cell(write(row, column), numeric, bar, size < 0, href))
        rows.append(tuple(cells))
    return Laid(tuple((column.title, numeric) for column, numeric in shown), tuple(rows))
