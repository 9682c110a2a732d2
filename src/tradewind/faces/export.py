"""Export: tables and charts as files that other programs read."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tradewind.study import Column, Estimate, Grid

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_text(grid: Grid) -> str:
    """Return a table as CSV: exact numbers, an interval as two further columns, days in ISO 8601.

    Words that a spreadsheet would take for a formula get an apostrophe before them.
    """
    bands = {c.name for c in grid.columns if any(isinstance(row.get(c.name), Estimate) for row in grid.rows)}
    names: list[str] = []
    for column in grid.columns:
        names += [column.name, f"{column.name}_low", f"{column.name}_high"] if column.name in bands else [column.name]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for row in grid.rows:
        cells: list[str] = []
        for column in grid.columns:
            value = row.get(column.name)
            if column.name not in bands:
                cells.append(_cell(value))
            elif isinstance(value, Estimate):
                cells += [_cell(end) for end in (value.mid, value.low, value.high)]
            else:
                cells += [_cell(value), "", ""]
        writer.writerow(cells)
    return out.getvalue()


def chart_grid(spec: Mapping[str, Any]) -> Grid | None:
    """Return the largest table that a chart is drawn from, or None where it holds none."""
    tables = [rows for rows in spec.get("datasets", {}).values() if rows]
    tables += [data["values"] for data in _inline(spec) if data.get("values")]
    if not tables:
        return None
    rows: Sequence[Mapping[str, Any]] = max(tables, key=lambda rows: (len(rows), len(rows[0])))
    names = list(dict.fromkeys(name for row in rows for name in row))
    return Grid(tuple(Column(name, name) for name in names), tuple(rows))


def _inline(part: Any) -> list[Mapping[str, Any]]:
    """Return every inline table of a chart, wherever in its layers it stands."""
    found: list[Mapping[str, Any]] = []
    if isinstance(part, Mapping):
        if isinstance(part.get("data"), Mapping):
            found.append(part["data"])
        for name in ("layer", "hconcat", "vconcat", "concat"):
            for each in part.get(name, ()):
                found += _inline(each)
        found += _inline(part.get("spec"))
    return found


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
