"""The contract of a canonical table as SQL: how a landed value is typed, and what makes a row unfit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tradewind.engines.duckdb import literal
from tradewind.sources.staging import quoted
from tradewind.tables import Column, Table

WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
EARLIEST = "1900-01-01"
OFFSET = r"(?i)\d:\d\d[\d:.\s]*(z|utc|gmt|[+-]\d\d(:?\d\d){0,2})\s*$"
TO_THE_MINUTE = r"(?i)^(\s*[\d-]+[t ]\d\d?:\d\d)(\s*(?:z|utc|gmt|[+-]\d\d(?::?\d\d)?)\s*)$"
OFFSETS = "its offset, if it carries one, as +02:00, Z, UTC or GMT; no other zone by name"

TWO_WAYS = r"^\s*[-+]?[1-9]\d{0,2}\.\d{3}\s*$"
NO_CENTS = (
    'without a point before three digits, which may be thousands: say how amounts are written, as amounts = "1.234"'
)

SQL_TYPES = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "real": "DOUBLE",
    "money": "DECIMAL(18, 4)",
    "moment": "TIMESTAMP",
    "day": "DATE",
    "flag": "BOOLEAN",
    "json": "VARCHAR",
}

PLANNED = ("live_sessions",)
PROSE = ("name", "title", "description", "text", "reason")

UNREADABLE = "cannot be read"
EMPTY = "is empty"
LINE_BREAK = "holds a line break"
NOT_FINITE = "is not a finite number"
OUT_OF_TIME = f"lies before {EARLIEST} or has no end"
LATE = "lies after the import"
NOT_AN_HOUR = "is not the start of an hour"
TOO_LOW = "is too low"
TOO_HIGH = "is too high"
NOT_ALLOWED = "is none of the allowed values"
ORPHAN = "names a row that is not there"
DUPLICATE = "is a second row of the same key"
GONE = "named a row that a later import took away"
UNTAKEN = "is taken by no table of this source"


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a row breaks the contract.

    Args:
        column: The column at fault.
        reason: What is wrong with its value.
        allowed: What would have been accepted.
        test: SQL over the typed row that is true where the row has the fault.
    """

    column: str
    reason: str
    allowed: str
    test: str


def typed(column: Column, raw: str | None, whole: bool = False) -> str:
    """Return SQL that reads a landed column as its canonical type, null where it cannot.

    Args:
        column: The canonical column.
        raw: SQL type of the landed column, or None where the source does not give it.
        whole: Whether the currency has no cents, so that 150.000 may be a hundred and fifty thousand.

    Returns:
        An SQL expression over the landed row.
    """
    kind = SQL_TYPES[column.kind]
    if raw is None:
        return f"CAST(NULL AS {kind})"
    name = quoted(column.name)
    as_text = f"CAST({name} AS VARCHAR)"
    if column.kind == "text":
        trimmed = column.unit == "id" or column.allowed
        return f"nullif(trim({as_text}), '')" if trimmed else f"CASE WHEN trim({as_text}) <> '' THEN {as_text} END"
    if column.kind == "json":
        return f"CASE WHEN json_valid({as_text}) THEN {as_text} END"
    if column.kind == "integer" and raw not in WHOLE:
        # A cast alone would round 3.7 to 4.
        number = f"TRY_CAST({name} AS DOUBLE)"
        return f"CASE WHEN {number} = trunc({number}) THEN TRY_CAST({name} AS BIGINT) END"
    if column.kind == "moment" and column.unit != "local":
        if raw == "VARCHAR":
            return instant(name)
        if raw == "TIMESTAMP WITH TIME ZONE":
            return f"({name} AT TIME ZONE 'UTC')"
    if column.kind == "money" and raw == "VARCHAR":
        return amount(name, whole)
    return f"TRY_CAST({name} AS {kind})"


def instant(text: str) -> str:
    """Return SQL that reads text as a moment in UTC, null where it is none; what carries no offset is UTC already."""
    # A cast to TIMESTAMP drops an offset. One to TIMESTAMPTZ also reads the name of a zone, and then holds the
    # values after it, which name none, to be of that zone too.
    # A moment to the minute, such as 10:00Z, is ISO 8601 as well, but not to a cast.
    whole = f"regexp_replace({text}, {literal(TO_THE_MINUTE)}, '\\1:00\\2')"
    with_offset = f"TRY_CAST({whole} AS TIMESTAMPTZ) AT TIME ZONE 'UTC'"
    return f"CASE WHEN {has_offset(text)} THEN {with_offset} ELSE TRY_CAST({text} AS TIMESTAMP) END"


def has_offset(text: str) -> str:
    """Return SQL that is true where text that is a moment carries its offset."""
    return f"regexp_matches({text}, {literal(OFFSET)})"


def amount(text: str, whole: bool = False) -> str:
    """Return SQL that reads text as money, null where it is none, or is 150.000 in a currency without cents."""
    # DuckDB reads 8.8e-16 as 0.0001 when it casts straight to a decimal.
    money = SQL_TYPES["money"]
    small = f"TRY_CAST(TRY_CAST({text} AS DOUBLE) AS {money})"
    doubtful = f"WHEN regexp_matches({text}, {literal(TWO_WAYS)}) THEN NULL " if whole else ""
    return f"CASE {doubtful}WHEN contains(lower({text}), 'e') THEN {small} ELSE TRY_CAST({text} AS {money}) END"


def given(column: Column, raw: str) -> str:
    """Return SQL that is true where the landed column holds anything."""
    name = quoted(column.name)
    return f"coalesce(trim({name}) <> '', false)" if raw == "VARCHAR" else f"{name} IS NOT NULL"


def filled(column: Column, table: Table) -> str:
    """Return SQL over the typed row for the column's value, its default where the source leaves it null."""
    name = quoted(column.name)
    if column.default is None:
        return name
    names = {other.name for other in table.columns}
    return f"coalesce({name}, {quoted(column.default) if column.default in names else column.default})"


def typed_rows(table: Table, landed: str, raw: Mapping[str, str], whole: bool = False) -> str:
    """Return SQL for the rows of a landed table with every column typed, and `given …` beside those that may fail.

    Args:
        table: The canonical table.
        landed: The landed table in SQL.
        raw: SQL types of its columns by name.
        whole: Whether the currency has no cents.

    Returns:
        A query with `_id`, `_file`, `_row`, the table's columns, and one flag per column that a cast may empty.
    """
    parts = ["rowid AS _id", "_file", "_row"]
    for column in table.columns:
        parts.append(f"{typed(column, raw.get(column.name), whole)} AS {quoted(column.name)}")
        if column.name in raw and column.kind != "text":
            parts.append(f"{given(column, raw[column.name])} AS {quoted('given ' + column.name)}")
    return f"SELECT {', '.join(parts)} FROM {landed}"


def faults(
    table: Table, raw: Mapping[str, str], moments: Sequence[str], imported_at: str | None, whole: bool = False
) -> list[Fault]:
    """Return every way in which a typed row may break the table's contract, in the order in which they are named.

    Args:
        table: The canonical table.
        raw: SQL types of the landed columns by name.
        moments: Formats of moments that the source allows besides ISO 8601.
        imported_at: After which nothing can have happened, give or take two days; None where the days are simulated.
        whole: Whether the currency has no cents.

    Returns:
        Faults of single rows; duplicate keys and orphans are told by comparing rows.
    """
    found: list[Fault] = []
    for column in table.columns:
        name, spelled = quoted(column.name), _spelled(column, moments, whole)

        def add(reason: str, test: str, column: Column = column, spelled: str = spelled) -> None:
            found.append(Fault(column.name, reason, spelled, test))

        if column.name in raw and column.kind != "text":
            add(UNREADABLE, f"{quoted('given ' + column.name)} AND {name} IS NULL")
        if not column.null:
            add(EMPTY, f"{filled(column, table)} IS NULL")
        if column.name not in raw:
            continue
        if column.kind == "text" and column.name not in PROSE and not column.allowed:
            # A quote that is closed by one of a later row takes the rows between them into one value.
            test = f"contains({name}, chr(10)) OR contains({name}, chr(13))"
            add(LINE_BREAK, test, spelled="text in one line; look for a quote that is never closed")
        if column.kind == "real":
            add(NOT_FINITE, f"NOT isfinite({name})")
        if column.kind in ("moment", "day"):
            # What happened late on the last day that a calendar knows has no local day; an end may lie there.
            last = 9998 if column.name == table.time else 9999
            add(OUT_OF_TIME, f"NOT isfinite({name}) OR {name} < DATE '{EARLIEST}' OR year({name}) > {last}")
        if imported_at and column.name == table.time and table.name not in PLANNED:
            # One slip of the year would make the days of the slip the last ones that every question is about.
            test = f"{name} > TIMESTAMP {literal(imported_at)} + INTERVAL 2 DAY"
            add(LATE, test, spelled=f"at most two days after {imported_at} UTC, when it was imported")
        if column.name == "hour" and column.unit == "local":
            add(NOT_AN_HOUR, f"{name} <> date_trunc('hour', {name})")
        if column.low is not None:
            add(TOO_LOW, f"{name} < {column.low:g}")
        if column.high is not None:
            add(TOO_HIGH, f"{name} > {column.high:g}")
        if column.allowed:
            add(NOT_ALLOWED, f"{name} NOT IN ({', '.join(literal(value) for value in column.allowed)})")
    return found


def _spelled(column: Column, moments: Sequence[str], whole: bool) -> str:
    """Return how a value may be written."""
    spelled = column.spelled
    if moments and column.kind in ("moment", "day"):
        spelled += ", or in " + " or ".join(moments)
    if column.kind == "moment" and column.unit != "local":
        spelled += "; " + OFFSETS
    if column.kind == "money" and whole:
        spelled += "; " + NO_CENTS
    return spelled


def stored_rows(table: Table, rows: str, timezone: str) -> str:
    """Return SQL for typed rows as they are stored: defaults filled in, local `day` and `hour` added.

    Args:
        table: The canonical table.
        rows: The typed rows in SQL.
        timezone: The store's timezone.

    Returns:
        A query with the stored columns in their order.
    """
    names = {column.name for column in table.columns}
    local = quoted(table.time) if table.time else ""
    if table.time and table.column(table.time).unit != "local":
        local = f"timezone({literal(timezone)}, timezone('UTC', {local}))"
    parts = []
    for column in table.stored:
        if column.name in names:
            parts.append(f"{filled(column, table)} AS {quoted(column.name)}")
        elif column.name == "day":
            parts.append(f"CAST({local} AS DATE) AS day")
        else:
            parts.append(f"date_trunc('hour', {local}) AS hour")
    return f"SELECT {', '.join(parts)} FROM {rows}"
