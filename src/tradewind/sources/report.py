"""What an import did, for people and for the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TableCount:
    """What became of one table's rows.

    Args:
        staged: Rows that the source's SQL gave.
        kept: Rows of these that are in the store now.
        rejected: Rows of these that broke the contract; `staged` is `kept` + `rejected`.
        replaced: Rows of the former snapshot that new ones stand for.
        dropped: Rows of the former snapshot that named a row which is gone; they are in `rejected`.
    """

    staged: int = 0
    kept: int = 0
    rejected: int = 0
    replaced: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class FileCount:
    """What became of one file's rows.

    Args:
        name: The file, inside the data folder.
        kind: The kind of file that it is.
        rows: Rows in it; None where it was not read.
        unreadable: Rows that could not be told apart into fields.
        untaken: Rows that no table took.
        skipped: Rows left out on purpose, by reason.
    """

    name: str
    kind: str
    rows: int | None
    unreadable: int = 0
    untaken: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why rows were rejected, how many, and the first of them.

    Args:
        table: The canonical table; None where no table took them.
        column: The column at fault; None where it is the row.
        reason: What is wrong.
        rows: Number of rows.
        value: The value of the first of them, where a value is at fault.
        allowed: What would have been accepted.
        file: The file of the first of them.
        row: Its row there.
    """

    table: str | None
    column: str | None
    reason: str
    rows: int
    value: str | None = None
    allowed: str | None = None
    file: str | None = None
    row: int | None = None


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Args:
        source: Name of the source.
        snapshot: Name of the snapshot that is now current.
        tables: Counts by canonical table.
        files: Counts by file.
        reasons: Why rows were rejected, the most frequent first.
        days_added: Days of order lines that the store did not have.
        days_replaced: Days of order lines that it had.
        seconds: How long it took.
        unchanged: Whether the same files were imported last time, so that nothing was done.
    """

    source: str
    snapshot: str
    tables: Mapping[str, TableCount]
    files: tuple[FileCount, ...]
    reasons: tuple[Reason, ...]
    days_added: int
    days_replaced: int
    seconds: float
    unchanged: bool = False

    @property
    def rejected(self) -> int:
        """Rows rejected in all: by a table's contract, unreadable, untaken or dropped."""
        in_files = sum(file.unreadable + file.untaken for file in self.files)
        return in_files + sum(table.rejected + table.dropped for table in self.tables.values())
