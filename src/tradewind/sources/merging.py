"""Merging: fresh rows take the place of the base snapshot's, and only the files that change are written anew."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from tradewind.engines.duckdb import literal, parquet_files
from tradewind.engines.snapshot import REJECTED, DataFile, Draft
from tradewind.sources import contract
from tradewind.sources.source import Replace, Source
from tradewind.sources.staging import quoted
from tradewind.tables import TABLES, Column, Reference, Table

if TYPE_CHECKING:
    import duckdb

SMALL = 200_000
FORMAT = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 131072"


class Merging:
    """Merges one import's fresh rows with the base snapshot, table by table, referenced tables first.

    Args:
        con: The staging database.
        draft: The snapshot in the making.
        source: The source, which may say how tables are replaced.
        imported_at: The moment of the import, as SQL text.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, draft: Draft, source: Source, imported_at: str):
        self.con = con
        self.draft = draft
        self.source = source
        self.imported_at = imported_at

    def based(self, name: str) -> tuple[DataFile, ...]:
        """Return the base's files of a table."""
        return self.draft.base.tables.get(name, ()) if self.draft.base else ()

    def replace(self, table: Table, fresh: bool) -> tuple[int, int]:
        """Find the base's rows that give way, and make `final`, the table's rows after the import.

        Args:
            table: The canonical table.
            fresh: Whether this import speaks of it, be it to say that there are no rows.

        Returns:
            How many rows are replaced by fresh ones, and how many are dropped since they name a row that is gone.
        """
        name = table.name
        parts = [f"SELECT * FROM fresh.{name}"] if fresh else []
        replaced = dropped = 0
        if files := self.based(name):
            new = "".join(f", CAST(NULL AS {contract.SQL_TYPES[c.kind]}) AS {quoted(c.name)}" for c in self._new(table))
            self.con.execute(f"CREATE VIEW base.{name} AS SELECT *{new} FROM {self._read(files)}")
            self.con.execute(f"CREATE TABLE gone.{name} (file VARCHAR, place BIGINT)")
            if fresh:
                for condition in self._giving_way(table):
                    self._go(name, condition)
                replaced = self._count(f"gone.{name}")
            for reference in table.references:
                if self._has(f"gone.{reference.table}"):
                    self._drop(table, reference)
            dropped = self._count(f"gone.{name}") - replaced
            parts.append(f"SELECT {_columns(table)} FROM ({self._kept(name)})")
        if parts:
            self.con.execute(f"CREATE VIEW final.{name} AS {' UNION ALL '.join(parts)}")
        return replaced, dropped

    def days(self, table: Table) -> tuple[int, int]:
        """Return how many days of fresh rows the base lacks, and how many it has."""
        fresh = {row[0] for row in self._all(f"SELECT DISTINCT day FROM fresh.{table.name}")}
        if not self.based(table.name):
            return len(fresh), 0
        had = {row[0] for row in self._all(f"SELECT DISTINCT day FROM base.{table.name}")}
        return len(fresh - had), len(fresh & had)

    def write(self, table: Table, fresh: bool) -> tuple[Path | DataFile, ...]:
        """Write the files of a table that change, one for each calendar month where it has days.

        Args:
            table: The canonical table.
            fresh: Whether this import brings rows of it.

        Returns:
            All files of the table: new ones as paths, untouched ones as they stood.
        """
        name, files = table.name, self.based(table.name)
        changed = {row[0] for row in self._all(f"SELECT DISTINCT file FROM gone.{name}")} if files else set()
        months: set[date] = set()
        if fresh and table.replaced_by_day:
            months = {
                row[0] for row in self._all(f"SELECT DISTINCT CAST(date_trunc('month', day) AS DATE) FROM fresh.{name}")
            }
        old = bool(self._new(table))
        touched = [file for file in files if old or self._path(file) in changed or _meets(file, months)]
        if fresh and not table.replaced_by_day:
            touched += [file for file in files if file.rows < SMALL and file not in touched]
        rows = [f"SELECT {_columns(table)} FROM fresh.{name}"] if fresh else []
        if touched:
            places = ", ".join(literal(self._path(file)) for file in touched)
            rows.append(f"SELECT {_columns(table)} FROM ({self._kept(name)}) WHERE filename IN ({places})")
        untouched = [file for file in files if file not in touched]
        if not rows:
            return tuple(untouched)
        union = " UNION ALL ".join(rows)
        if not table.replaced_by_day:
            return (*untouched, self._copy(name, union))
        order = ", ".join(dict.fromkeys(["day", *(quoted(column) for column in table.key)]))
        months |= {
            row[0] for row in self._all(f"SELECT DISTINCT CAST(date_trunc('month', day) AS DATE) FROM ({union})")
        }
        written = [
            self._copy(
                name,
                f"SELECT * FROM ({union}) WHERE day >= DATE '{month}' AND day < DATE '{month}' + INTERVAL 1 MONTH"
                f" ORDER BY {order}",
            )
            for month in sorted(months)
        ]
        return (*untouched, *written)

    def write_rejected(self, read: Sequence[str]) -> tuple[Path | DataFile, ...]:
        """Write the rejected rows: this import's, and the base's of files that it did not read again.

        Args:
            read: Names of the files that this import read.
        """
        rows = ["SELECT * FROM rejected_rows"]
        if files := self.based(REJECTED):
            names = ", ".join(literal(name) for name in read)
            paths = parquet_files([self._path(file) for file in files])
            rows.append(f"SELECT * FROM read_parquet({paths}) WHERE coalesce(file NOT IN ({names}), true)")
        union = " UNION ALL ".join(rows)
        return (self._copy(REJECTED, f'SELECT * FROM ({union}) ORDER BY imported_at, file, "row", "table"'),)

    def _giving_way(self, table: Table) -> list[str]:
        """SQL conditions on rows `b` of the base that fresh rows stand for."""
        name = table.name
        ways = [f"EXISTS (SELECT 1 FROM fresh.{name} AS f WHERE {_same(table, table.key, table.key, 'f', 'b')})"]
        way: Replace = self.source.replace.get(name) or (
            "parents" if table.part_of else "days" if table.replaced_by_day else "keys"
        )
        if way == "days":
            ways.insert(0, f"b.day IN (SELECT DISTINCT day FROM fresh.{name})")
        if way == "parents":
            parents = (table.part_of,) if table.part_of else table.references
            ways += [self._of_gone(parent) for parent in parents if parent and self._has(f"gone.{parent.table}")]
        return ways

    def _of_gone(self, reference: Reference) -> str:
        """SQL condition: row `b` names a row of the referenced table that gave way."""
        pairs = zip(reference.targets, reference.columns, strict=True)
        named = " AND ".join(f"p.{quoted(a)} = b.{quoted(c)}" for a, c in pairs)
        return f"EXISTS (SELECT 1 FROM ({self._gone(reference.table)}) AS p WHERE {named})"

    def _drop(self, table: Table, reference: Reference) -> None:
        """Drop the base's rows whose parent gave way and did not come back, and write them down as rejected."""
        name = table.name
        pairs = zip(reference.targets, reference.columns, strict=True)
        named = " AND ".join(f"p.{quoted(a)} = b.{quoted(c)}" for a, c in pairs)
        back = f"NOT EXISTS (SELECT 1 FROM final.{reference.table} AS p WHERE {named})"
        before = f"SELECT file, place FROM gone.{name}"
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE gone_before AS {before}")
        self._go(name, f"{self._of_gone(reference)} AND {back}")
        value = f"concat_ws(', ', {', '.join(f'CAST(b.{quoted(c)} AS VARCHAR)' for c in reference.columns)})"
        self.con.execute(f"""
            INSERT INTO rejected_rows
            SELECT {literal(name)}, {literal(", ".join(reference.columns))}, {value}, {literal(contract.GONE)},
                {literal("a row of " + reference.table)}, 0, NULL, NULL,
                to_json((SELECT x FROM (SELECT {_columns(table, "b")}) AS x)), TIMESTAMP {literal(self.imported_at)}
            FROM ({self._gone(name)}) AS b
            ANTI JOIN gone_before AS g ON g.file = b.filename AND g.place = b.file_row_number
        """)

    def _go(self, name: str, condition: str) -> None:
        self.con.execute(
            f"INSERT INTO gone.{name} SELECT filename, file_row_number FROM ({self._kept(name)}) AS b WHERE {condition}"
        )

    def _kept(self, name: str) -> str:
        return (
            f"SELECT * FROM base.{name} AS kept"
            f" ANTI JOIN gone.{name} AS g ON g.file = kept.filename AND g.place = kept.file_row_number"
        )

    def _gone(self, name: str) -> str:
        return (
            f"SELECT * FROM base.{name} AS old"
            f" SEMI JOIN gone.{name} AS g ON g.file = old.filename AND g.place = old.file_row_number"
        )

    def _copy(self, name: str, sql: str) -> Path:
        path = self.draft.new_file(name)
        self.con.execute(f"COPY ({sql}) TO {literal(path)} ({FORMAT})")
        return path

    def _read(self, files: Sequence[DataFile]) -> str:
        paths = parquet_files([self._path(file) for file in files])
        return f"read_parquet({paths}, filename = true, file_row_number = true)"

    def _new(self, table: Table) -> list[Column]:
        """Columns that the table did not have when the base was written."""
        files = self.based(table.name)
        had = pq.read_schema(self._path(files[0])).names if files else [column.name for column in table.stored]
        return [column for column in table.stored if column.name not in had]

    def _path(self, file: DataFile) -> str:
        return str(self.draft.folder / file.path)

    def _has(self, name: str) -> bool:
        schema, table = name.split(".")
        rows = self._all(
            f"SELECT 1 FROM duckdb_tables() WHERE schema_name = {literal(schema)} AND table_name = {literal(table)}"
        )
        return bool(rows) and self._count(name) > 0

    def _count(self, name: str) -> int:
        return int(self._all(f"SELECT count(*) FROM {name}")[0][0])

    def _all(self, sql: str) -> list[tuple[Any, ...]]:
        return self.con.execute(sql).fetchall()


def ordered(names: Sequence[str]) -> list[Table]:
    """Return tables with those that are referenced before those that refer to them."""
    left = sorted(names)
    done: list[Table] = []
    while left:
        waiting = set(left)
        ready = [n for n in left if not {r.table for r in TABLES[n].references if r.table != n} & waiting]
        done += [TABLES[name] for name in ready]
        left = [name for name in left if name not in ready]
    return done


def _columns(table: Table, of: str = "") -> str:
    return ", ".join(f"{of}.{quoted(c.name)}" if of else quoted(c.name) for c in table.stored)


def _same(table: Table, columns: Sequence[str], targets: Sequence[str], left: str, right: str) -> str:
    """SQL condition that columns agree, nulls included where they may be null."""
    signs = ["IS NOT DISTINCT FROM" if table.column(column).null else "=" for column in columns]
    pairs = zip(columns, signs, targets, strict=True)
    return " AND ".join(f"{left}.{quoted(a)} {sign} {right}.{quoted(b)}" for a, sign, b in pairs)


def _meets(file: DataFile, months: set[date]) -> bool:
    if not months or file.first_day is None or file.last_day is None:
        return False
    first, last = date.fromisoformat(file.first_day).replace(day=1), date.fromisoformat(file.last_day)
    return any(first <= month <= last for month in months)
