"""The hand-written SQL of every metric: one file each, over tables named as the canonical ones.

`{first}` and `{last}` stand for the first and the last day of the period. `python -m oracles.queries`, run in `tests`,
pins the answers anew after a definition was changed on purpose.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

import market
from tradewind.engines.snapshot import existing
from tradewind.period import Period

FOLDER = Path(__file__).parent
EXPECTED = FOLDER / "expected.json"


def names() -> set[str]:
    """Return the metrics that have SQL."""
    return {path.stem for path in FOLDER.glob("*.sql")}


def database(store: Path) -> duckdb.DuckDBPyConnection:
    """Return a connection that sees a store's Parquet files as tables."""
    con = duckdb.connect()
    for name, files in existing(store).tables.items():
        con.read_parquet([str(store / file.path) for file in files]).to_table(name)
    return con


def answers(con: duckdb.DuckDBPyConnection, wanted: Iterable[str], period: Period) -> dict[str, Any]:
    """Return what the SQL of each metric answers."""
    found = {}
    for name in wanted:
        sql = (FOLDER / f"{name}.sql").read_text()
        rows = con.sql(sql.format(first=f"date '{period.first}'", last=f"date '{period.last}'")).fetchall()
        [(found[name],)] = rows
    return found


def expected() -> dict[str, Any]:
    """Return the pinned answers: counts and ratios as numbers, money as text so that no cent is lost."""
    return json.loads(EXPECTED.read_text())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        market.write(Path(scratch), market.rows())
        pinned = answers(database(Path(scratch)), sorted(names()), market.PERIOD)
    EXPECTED.write_text(json.dumps(pinned, indent=1, default=str) + "\n")
