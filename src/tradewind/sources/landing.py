"""Landing: a source's SQL is run over its staged files, and each table's rows are held to the contract."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tradewind.engines.duckdb import literal
from tradewind.errors import BadInputError, is_full_disk
from tradewind.money import SYMBOLS
from tradewind.sources import contract
from tradewind.sources.contract import Fault
from tradewind.sources.report import FileCount, Reason
from tradewind.sources.source import BLANKS, SKIPPED, Source, marks
from tradewind.sources.staging import NO_ROWS, Staged, Unreadable, as_record, quoted
from tradewind.tables import TABLES, Reference, Table

if TYPE_CHECKING:
    import duckdb

SPACES = " \t\r\n\u00a0\u202f"
CASTS = "; values are text, so read numbers with TRY_CAST"
SCHEMAS = ("landed", "typed", "bad", "fresh", "base", "gone", "final")
REJECTED = """
    CREATE TABLE rejected_rows (
        "table" VARCHAR, "column" VARCHAR, value VARCHAR, reason VARCHAR, allowed VARCHAR, further BIGINT,
        file VARCHAR, "row" BIGINT, record VARCHAR, imported_at TIMESTAMP
    )
"""


@dataclass
class Landed:
    """One table's rows as the source gave them, held to the contract.

    Args:
        table: The canonical table.
        raw: SQL types of the columns that the source gives.
        faults: What may be wrong with a row; `bad` rows name a fault by its place here.
        staged: Number of rows that the source gave.
        rejected: Number of these that broke the contract.
    """

    table: Table
    raw: Mapping[str, str]
    faults: list[Fault] = field(default_factory=list)
    staged: int = 0
    rejected: int = 0


class Landing:
    """Runs one source's SQL.

    Args:
        con: A connection to a staging database.
        source: The source.
        staged: Its files.
        imported_at: The moment of the import, as SQL text, written beside rejected rows.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, source: Source, staged: Sequence[Staged], imported_at: str):
        self.con = con
        self.source = source
        self.staged = staged
        self.imported_at = imported_at
        for schema in SCHEMAS:
            con.execute(f"CREATE SCHEMA {schema}")
        con.execute(REJECTED)
        for form in source.moments:
            self._try(form)
        for macro in _macros(source):
            con.execute(macro)
        for kind in source.files:
            if not kind.skip:
                selects = [file.select() for file in staged if file.kind is kind]
                columns = ", ".join(f"CAST(NULL AS VARCHAR) AS {quoted(c)}" for c in (*kind.columns, *kind.optional))
                nothing = f"SELECT {columns}, CAST(NULL AS VARCHAR) AS _file, CAST(NULL AS BIGINT) AS _row WHERE false"
                con.execute(f"CREATE VIEW {quoted(kind.name)} AS {' UNION ALL '.join(selects) or nothing}")

    def rehearse(self) -> None:
        """Run all of the source's SQL, as over its files before they are read: what is wrong with it is told at once.

        Raises:
            BadInputError: If a part of it cannot run, or does not give what it must.
        """
        self.prepare()
        for name in self.source.tables:
            self.land(name)

    def prepare(self) -> None:
        """Run the source's steps, which its tables select from."""
        for name, sql in self.source.steps.items():
            self._run(name, quoted(name), sql)
        if self.source.skipped:
            self._run(SKIPPED, f"landed.{SKIPPED}", self.source.skipped)
            if missing := {"_file", "_row", "reason"} - set(self._columns(f"landed.{SKIPPED}")):
                raise BadInputError(
                    f"{SKIPPED}.sql of {self.source.name} lacks columns", got=", ".join(sorted(missing))
                )

    def land(self, name: str) -> Landed:
        """Run the SQL of one table and find the rows whose own values break the contract.

        Raises:
            BadInputError: If the SQL cannot run, or does not give the table's columns.
        """
        table = TABLES[name]
        self._run(name, f"landed.{name}", self.source.tables[name])
        raw = self._columns(f"landed.{name}")
        self._fits(table, raw)
        now = None if self.source.simulated else self.imported_at
        faults = contract.faults(table, raw, self.source.moments, now, self.source.whole)
        landed = Landed(table, raw, faults, self._count(f"landed.{name}"))
        self.con.execute(
            f"CREATE VIEW typed.{name} AS {contract.typed_rows(table, f'landed.{name}', raw, self.source.whole)}"
        )
        self.con.execute(f"CREATE TABLE bad.{name} (_id BIGINT, fault INTEGER, further BIGINT)")
        tests = [f"coalesce({fault.test}, false)" for fault in landed.faults]
        if landed.staged and tests:
            first = " ".join(f"WHEN {test} THEN {n}" for n, test in enumerate(tests))
            others = " + ".join(f"CAST({test} AS BIGINT)" for test in tests)
            self.con.execute(
                f"INSERT INTO bad.{name} SELECT _id, CASE {first} END, {others} - 1 FROM typed.{name}"
                f" WHERE {' OR '.join(tests)}"
            )
        return landed

    def reject_orphans(self, landed: Landed, reference: Reference) -> None:
        """Reject rows that name a row of `reference.table` that neither this import nor the base has."""
        name, columns = landed.table.name, reference.columns
        if not all(column in landed.raw for column in columns):
            return
        named = " AND ".join(f"rows.{quoted(column)} IS NOT NULL" for column in columns)
        pairs = zip(columns, reference.targets, strict=True)
        found = " AND ".join(f"rows.{quoted(a)} = parents.{quoted(b)}" for a, b in pairs)
        self._reject(
            landed,
            Fault(", ".join(columns), contract.ORPHAN, f"a row of {reference.table}", ""),
            f"SELECT _id FROM typed.{name} AS rows"
            f" ANTI JOIN final.{reference.table} AS parents ON {found} WHERE {named}",
        )

    def reject_duplicates(self, landed: Landed) -> None:
        """Keep the first row of each key by file and row; reject the others."""
        name, key = landed.table.name, ", ".join(quoted(column) for column in landed.table.key)
        sound = f"SELECT _id, _file, _row, {key} FROM {self._sound(name)}"
        # Hashes first: to sort tens of millions of keys for a handful of duplicates would take minutes.
        again = f"SELECT hash({key}) FROM ({sound}) GROUP BY 1 HAVING count(*) > 1"
        self._reject(
            landed,
            Fault(", ".join(landed.table.key), contract.DUPLICATE, "one row of each key; the first one was kept", ""),
            f"SELECT _id FROM ({sound}) WHERE hash({key}) IN ({again})"
            f" QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY _file, _row, _id) > 1",
        )

    def settle(self, landed: Landed, timezone: str) -> None:
        """Make `fresh`, the rows that keep the contract, and write down the others."""
        table = landed.table
        landed.rejected = self._count(f"bad.{table.name}")
        what = "TABLE" if table.replaced_by_day else "VIEW"
        rows = contract.stored_rows(table, self._sound(table.name), timezone)
        self.con.execute(f"CREATE {what} fresh.{table.name} AS {rows}")
        if not landed.rejected:
            return
        faults = pa.table(
            {
                "fault": pa.array(range(len(landed.faults)), pa.int32()),
                "column": [fault.column for fault in landed.faults],
                "reason": [fault.reason for fault in landed.faults],
                "allowed": [fault.allowed for fault in landed.faults],
            }
        )
        self.con.register("faults_of_table", faults)
        values = " ".join(
            f"WHEN {literal(column)} THEN concat_ws(', ', {self._raw(landed, column.split(', '))})"
            for column in dict.fromkeys(fault.column for fault in landed.faults)
        )
        record = f"to_json((SELECT x FROM (SELECT {', '.join(f'l.{quoted(c)}' for c in landed.raw)}) AS x))"
        self.con.execute(f"""
            INSERT INTO rejected_rows
            SELECT {literal(table.name)}, f."column", CASE f."column" {values} END, f.reason, f.allowed, b.further,
                l._file, l._row, {record}, TIMESTAMP {literal(self.imported_at)}
            FROM bad.{table.name} AS b JOIN faults_of_table AS f USING (fault) JOIN landed.{table.name} AS l
                ON l.rowid = b._id
        """)
        self.con.unregister("faults_of_table")

    def account(self, names: Sequence[str]) -> list[FileCount]:
        """Reject the file rows that nothing speaks of, and count what became of each file's rows.

        Args:
            names: The canonical tables that were landed.
        """
        self._reject_unreadable([each for file in self.staged for each in file.unreadable])
        named, skipped, counts = self._named(names), self._skipped(), []
        for file, rows in zip(self.staged, named, strict=True):
            why = ({NO_ROWS: file.empty} if file.empty else {}) | skipped.get(file.name, {})
            untaken = self._untaken(file, rows) if file.kind.each and file.rows else 0
            counts.append(FileCount(file.name, file.kind.name, file.rows, len(file.unreadable), untaken, why))
        return counts

    def reasons(self, most: int = 20) -> tuple[Reason, ...]:
        """Return why rows were rejected, the most frequent first, each with the first such row."""
        parts = [
            f"arg_min({{'it': {quoted(name)}}}, (file, \"row\")).it" for name in ("value", "allowed", "file", "row")
        ]
        rows = self.con.execute(
            f'SELECT "table", "column", reason, count(*), {", ".join(parts)} FROM rejected_rows GROUP BY 1, 2, 3'
            " ORDER BY 4 DESC, 1, 2, 3 LIMIT ?",
            [most],
        ).fetchall()
        return tuple(Reason(*row) for row in rows)

    def _run(self, name: str, into: str, sql: str) -> None:
        """Keep what SQL that the source brought selects; whatever it raises is the source's to mend."""
        create = f"CREATE TABLE {into} AS "
        try:
            self.con.execute(create + sql)
        except Exception as error:
            if is_full_disk(error):
                raise
            for file in self.staged:
                file.check()
            raise BadInputError(
                f"{name}.sql of the source {self.source.name} cannot run",
                got=_said(error).replace(create, ""),
                allowed="DuckDB SQL over the names of its files: " + ", ".join(kind.name for kind in self.source.files),
                do=f"mend {self.source.folder / (name + '.sql')}" + (CASTS if _of_types(error) else ""),
            ) from error

    def _try(self, form: str) -> None:
        try:
            self.con.execute(f"SELECT try_strptime('', {literal(form)})")
        except Exception as error:
            raise BadInputError(
                "A format of moments cannot be read",
                got=form,
                allowed="the notation of strptime, such as %d.%m.%Y %H:%M",
                do=f"mend `moments` in {self.source.folder / 'source.toml'}",
            ) from error

    def _fits(self, table: Table, raw: Mapping[str, str]) -> None:
        names = [column.name for column in table.columns]
        path = f"{table.name}.sql of the source {self.source.name}"
        if missing := {"_file", "_row"} - set(raw):
            raise BadInputError(
                f"{path} does not say where its rows come from",
                got=", ".join(sorted(missing)) + " missing",
                do="select _file and _row; where rows are combined, any_value(_file) and min(_row)",
            )
        given = [name for name in raw if name not in ("_file", "_row")]
        if unknown := [name for name in given if name not in names]:
            raise BadInputError(f"{path} gives columns that are not declared", got=", ".join(unknown), allowed=names)
        needed = [column.name for column in table.columns if not column.null and column.default is None]
        if lacking := [name for name in needed if name not in given]:
            raise BadInputError(
                f"{path} lacks columns", got=", ".join(given), allowed=needed, do="add " + ", ".join(lacking)
            )

    def _columns(self, name: str) -> dict[str, str]:
        return {row[0]: row[1] for row in self.con.execute(f"DESCRIBE {name}").fetchall()}

    def _count(self, name: str) -> int:
        return int(self.con.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0])

    def _sound(self, name: str) -> str:
        """SQL for the typed rows without fault so far."""
        if not self._count(f"bad.{name}"):
            return f"typed.{name}"
        return f"(SELECT * FROM typed.{name} ANTI JOIN bad.{name} USING (_id))"

    def _reject(self, landed: Landed, fault: Fault, ids: str) -> None:
        name = landed.table.name
        landed.faults.append(fault)
        self.con.execute(
            f"INSERT INTO bad.{name} SELECT _id, {len(landed.faults) - 1}, 0"
            f" FROM ({ids}) ANTI JOIN bad.{name} USING (_id)"
        )

    def _raw(self, landed: Landed, columns: Sequence[str]) -> str:
        given = [column for column in columns if column in landed.raw]
        return ", ".join(f"CAST(l.{quoted(column)} AS VARCHAR)" for column in given) or "NULL"

    def _skipped(self) -> dict[str, dict[str, int]]:
        """Return by file how many rows are skipped, by reason, the most frequent first."""
        found: dict[str, dict[str, int]] = {}
        if self.source.skipped:
            rows = self.con.execute(
                f"SELECT _file, reason, count(*) FROM landed.{SKIPPED} GROUP BY 1, 2 ORDER BY 3 DESC, 2"
            ).fetchall()
            for file, reason, count in rows:
                found.setdefault(file, {})[str(reason)] = int(count)
        return found

    def _named(self, names: Sequence[str]) -> list[np.ndarray]:
        """Return for each staged file which of its rows a table, a skip or a rejection names, [rows]."""
        sizes = [file.rows if file.kind.each else 0 for file in self.staged]
        ends = np.cumsum(sizes, dtype=np.int64)
        named = np.zeros(int(ends[-1]) if len(ends) else 0, dtype=bool)
        starts = ends - sizes
        # All files lie behind one another in one array, so that each table is read once, however many files there are.
        self.con.register(
            "places_of_files",
            pa.table({
                "_file": pa.array([file.name for file in self.staged], pa.string()),
                "past": pa.array([int(s) - f.first for s, f in zip(starts, self.staged, strict=True)], pa.int64()),
                "first": pa.array([file.first for file in self.staged], pa.int64()),
                "last": pa.array([f.first + n - 1 for f, n in zip(self.staged, sizes, strict=True)], pa.int64()),
            }),
        )  # fmt: skip
        for name in [f"landed.{name}" for name in names] + ([f"landed.{SKIPPED}"] if self.source.skipped else []):
            for places in self._numbers(
                f"SELECT p.past + l._row FROM {name} AS l"
                " JOIN places_of_files AS p ON p._file = l._file AND l._row BETWEEN p.first AND p.last"
            ):
                named[places] = True
        self.con.unregister("places_of_files")
        parts = np.split(named, ends[:-1])
        for file, rows in zip(self.staged, parts, strict=True):
            if file.kind.each:
                rows[[each.row - file.first for each in file.unreadable]] = True
        return parts

    def _untaken(self, file: Staged, named: np.ndarray) -> int:
        """Reject the rows of a file that no table, no rejection and no skip names; return how many they are."""
        if file.empty:
            # Empty rows were never staged: what is neither named nor staged is one of them.
            staged = np.zeros(file.rows, dtype=bool)
            for rows in self._numbers(f"SELECT _row FROM ({file.select()})"):
                staged[rows - file.first] = True
            named = named | ~staged
        left = np.flatnonzero(~named) + file.first
        if len(left):
            self.con.register("untaken_rows", pa.table({"_row": left}))
            columns = ", ".join(quoted(column) for column in (*file.kind.columns, *file.kind.optional))
            self.con.execute(f"""
                INSERT INTO rejected_rows
                SELECT NULL, NULL, NULL, {literal(contract.UNTAKEN)}, NULL, 0, f._file, f._row,
                    to_json((SELECT x FROM (SELECT {columns}) AS x)), TIMESTAMP {literal(self.imported_at)}
                FROM ({file.select()}) AS f JOIN untaken_rows USING (_row)
            """)
            self.con.unregister("untaken_rows")
        return len(left)

    def _numbers(self, sql: str) -> Iterator[np.ndarray]:
        reader = self.con.execute(sql).to_arrow_reader(1_000_000)
        for batch in reader:
            yield batch.column(0).drop_null().to_numpy()

    def _reject_unreadable(self, odd: Sequence[Unreadable]) -> None:
        """Write down the rows that could not be told apart into fields."""
        rows = pa.table({
            "reason": pa.array([each.reason for each in odd], pa.string()),
            "allowed": pa.array([each.allowed for each in odd], pa.string()),
            "file": pa.array([each.file for each in odd], pa.string()),
            "row": pa.array([each.row for each in odd], pa.int64()),
            "record": pa.array([as_record(each.text) for each in odd], pa.string()),
        })  # fmt: skip
        self.con.register("unreadable_rows", rows)
        self.con.execute(f"""
            INSERT INTO rejected_rows
            SELECT NULL, NULL, NULL, reason, allowed, 0, file, "row", record, TIMESTAMP {literal(self.imported_at)}
            FROM unreadable_rows
        """)
        self.con.unregister("unreadable_rows")


def _said(error: Exception) -> str:
    """Return what DuckDB says of SQL, without the functions it might have meant and its drawing of the place."""
    what, _, place = str(error).partition("\n\nLINE ")
    what = " ".join(what.partition("\tCandidate functions")[0].split())
    return f"{what[:500]} In line {' '.join(place.splitlines()[0].split())[:100]}" if place else what[:600]


def _of_types(error: Exception) -> bool:
    return any(said in str(error) for said in ("Conversion Error", "type cast"))


def _macros(source: Source) -> list[str]:
    """Return the macros of a source's SQL; each passes on what it cannot read, so that it is rejected by name."""
    zone, raw, text = literal(source.timezone), "CAST(x AS VARCHAR)", "trim(CAST(x AS VARCHAR))"
    # As text one by one: in a list, moments without an offset would count as UTC beside those that carry theirs.
    parsed = ", ".join(f"CAST(try_strptime({text}, {literal(form)}) AS VARCHAR)" for form in source.moments)
    tries = f"list_distinct([{parsed}])" if parsed else "CAST([] AS VARCHAR[])"
    iso = rf"regexp_matches({raw}, '^\s*\d{{4}}-\d') AND TRY_CAST(x AS TIMESTAMP) IS NOT NULL"
    # 1/2/24 casts to a moment in the year 1: what lies that far back was not written as ISO 8601.
    known = f"BETWEEN '{contract.EARLIEST}' AND '9999-12-31'"
    # Without a digit: `infinity` and `epoch` would be 1900-01-01 in any format.
    one = f"regexp_matches({raw}, '\\d') AND len({tries}) = 1"
    moment, instant = "TRY_CAST(x AS TIMESTAMP)", contract.instant(raw)
    return [
        f"CREATE MACRO money(x) AS {_plain(source, raw) if source.amounts else raw}",
        f"CREATE MACRO number(x) AS {contract.amount('money(x)', source.whole)}",
        f"CREATE MACRO moment(x) AS CASE WHEN {iso} THEN {raw} WHEN {one} THEN {tries}[1] ELSE {raw} END",
        f"CREATE MACRO utc(x) AS CASE WHEN {moment} {known} AND NOT {contract.has_offset(raw)}"
        f" THEN CAST(timezone('UTC', timezone({zone}, {moment})) AS VARCHAR) ELSE {raw} END",
        f"CREATE MACRO local_time(x) AS CASE WHEN {instant} {known}"
        f" THEN CAST(timezone({zone}, timezone('UTC', {instant})) AS VARCHAR) ELSE {raw} END",
    ]


def _plain(source: Source, raw: str) -> str:
    """Return SQL that writes an amount with a point and without marks, as text; what is written otherwise is said so.

    Args:
        source: The source, which says how it writes 1234.56, such as `1.234,56`.
        raw: SQL of the text; the currency's code or sign may stand beside the number.
    """
    between, point = marks(source.amounts) or ("", "")
    blank = f"[{''.join(BLANKS)}]" if between in BLANKS else re.escape(between)
    rest = rf"({re.escape(point)}\d+)?" if point else ""
    grouped = rf"\d{{1,3}}({blank}\d{{3}})+{rest}|" if between else ""
    form = literal(rf"[-+]?({grouped}\d+{rest})")
    sign = re.escape(SYMBOLS[source.currency]) if source.currency in SYMBOLS else r"[A-Z]{0,2}\p{Sc}"
    bare = f"trim(regexp_replace({raw}, {literal(f'{source.currency}|{sign}')}, '', 'g'), {literal(SPACES)})"
    digits = f"regexp_replace({bare}, {literal(blank)}, '', 'g')" if between else bare
    read = f"replace({digits}, {literal(point)}, '.')" if point else digits
    otherwise = literal(f" (not written as {source.amounts}: take money() off a column that never is)")
    return (
        f"CASE WHEN regexp_full_match({bare}, {form}) THEN {read}"
        f" WHEN trim({raw}, {literal(SPACES)}) = '' THEN {raw} ELSE {raw} || {otherwise} END"
    )
