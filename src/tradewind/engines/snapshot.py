"""Snapshots: immutable Parquet files, a manifest for each state of the store, and a pointer swapped atomically.

Layout of a store's folder::

    CURRENT                     the name of the current snapshot, replaced by rename
    snapshots/000007.json       a manifest: which files make up each table, and where they came from
    data/order_lines/….parquet  data files, never changed once named by a manifest; snapshots share them
    UNFINISHED                  what a long import has finished so far, replaced by rename
    LOCK                        held while somebody writes

A reader reads CURRENT once and keeps to that manifest; a writer adds files and a manifest, then swaps CURRENT. A writer
that dies leaves files that neither a manifest nor UNFINISHED names; the next writer removes them.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow.parquet as pq

from tradewind.errors import BusyError, CorruptStoreError, NotFoundError
from tradewind.period import Period
from tradewind.study import Provenance
from tradewind.writing import put, sync

FORMAT = 1
REJECTED = "rejected"
_MEND = "write the name of an earlier manifest in `snapshots` into the file CURRENT, or import into a new folder"


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table.

    Args:
        path: Path inside the store's folder.
        rows: Number of rows.
        filled: Number of values that are not null, by column.
        first_day: First local day in it, where the table has days.
        last_day: Last local day in it.
    """

    path: str
    rows: int
    filled: Mapping[str, int]
    first_day: str | None = None
    last_day: str | None = None

    @classmethod
    def read(cls, folder: Path, path: Path) -> DataFile:
        """Describe a finished file from its Parquet footer, without reading its rows."""
        meta = pq.read_metadata(path)
        filled: dict[str, int] = {}
        days: list[date] = []
        for group in (meta.row_group(i) for i in range(meta.num_row_groups)):
            for column in (group.column(j) for j in range(group.num_columns)):
                stats = column.statistics
                nulls = stats.null_count if stats is not None and stats.has_null_count else 0
                name = column.path_in_schema
                filled[name] = filled.get(name, 0) + group.num_rows - nulls
                if name == "day" and stats is not None and stats.has_min_max:
                    days += [stats.min, stats.max]
        first, last = (str(min(days)), str(max(days))) if days else (None, None)
        return cls(str(path.relative_to(folder)), meta.num_rows, filled, first, last)


@dataclass(frozen=True)
class Manifest:
    """One state of the store.

    Args:
        name: Snapshot name, such as `000007`; names sort by age.
        provenance: Source, licence, notice, currency and timezone.
        tables: Data files by table; `rejected` holds the rows that broke a contract.
        imported: What the last import read: its digest, and counts by table of rows staged, kept and rejected.
        created_at: When it was committed, ISO 8601, UTC.
    """

    name: str
    provenance: Provenance
    tables: Mapping[str, tuple[DataFile, ...]]
    imported: Mapping[str, Any] = field(default_factory=dict)
    created_at: str = ""

    def rows(self, table: str) -> int:
        """Number of rows of a table; 0 where it is not filled."""
        return sum(file.rows for file in self.tables.get(table, ()))

    def filled(self, table: str, column: str) -> int:
        """Number of values of a column that are not null."""
        return sum(file.filled.get(column, 0) for file in self.tables.get(table, ()))

    def span(self, table: str = "order_lines") -> Period | None:
        """The days from the first to the last row of a table, or None where it has none."""
        files = [file for file in self.tables.get(table, ()) if file.first_day and file.last_day]
        if not files:
            return None
        first = min(date.fromisoformat(file.first_day) for file in files if file.first_day)
        last = max(date.fromisoformat(file.last_day) for file in files if file.last_day)
        return Period(first, last)

    def to_json(self) -> str:
        """Return the manifest as it stands on disk."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read a manifest; raise `CorruptStoreError` where it is not one."""
        try:
            body = json.loads(text)
            if body["format"] != FORMAT:
                raise CorruptStoreError(
                    "The store was written in another format",
                    got=body["format"],
                    allowed=str(FORMAT),
                    do="import again",
                )
            provenance = {**body["provenance"], "assumptions": tuple(body["provenance"]["assumptions"])}
            # Of the manifests that do not say so, a world's is of a whole marketplace.
            provenance.setdefault("whole_marketplace", provenance["simulated"])
            tables = {name: tuple(DataFile(**file) for file in files) for name, files in body["tables"].items()}
            return cls(body["name"], Provenance(**provenance), tables, body["imported"], body["created_at"])
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptStoreError("The snapshot's manifest cannot be read", got=error, do=_MEND) from error


@dataclass(frozen=True)
class Unfinished:
    """What a long import had finished when it was last written down; the same import can go on from there.

    Args:
        asked: What the import was asked for.
        state: Path inside the store's folder of the file that says where it stood.
        tables: Its finished data files by table.
    """

    asked: Mapping[str, Any]
    state: str
    tables: Mapping[str, tuple[DataFile, ...]]

    @classmethod
    def read(cls, folder: Path) -> Unfinished | None:
        """Return what is unfinished in a folder, or None where nothing is, or nothing that can be read."""
        try:
            body = json.loads((folder / "UNFINISHED").read_text())
            if body["format"] != FORMAT:
                return None
            tables = {name: tuple(DataFile(**file) for file in files) for name, files in body["tables"].items()}
            return cls(dict(body["asked"]), str(body["state"]), tables)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def paths(self) -> set[str]:
        """Return the paths of all its files."""
        return {self.state, *(file.path for files in self.tables.values() for file in files)}

    def sound(self, folder: Path) -> bool:
        """Whether all its data files are still what they were."""
        try:
            return all(
                DataFile.read(folder, folder / file.path) == file for files in self.tables.values() for file in files
            )
        except (OSError, ValueError):  # a file is missing, or cut short
            return False


def current(folder: Path) -> Manifest | None:
    """Return the current snapshot of a folder, or None where nothing was ever imported.

    Raises:
        CorruptStoreError: If the pointer names a manifest that is missing or unreadable.
    """
    pointer = folder / "CURRENT"
    if not pointer.exists():
        return None
    path = folder / "snapshots" / f"{pointer.read_text().strip()}.json"
    if not path.exists():
        raise CorruptStoreError("The store's current snapshot is missing", got=path.name, do=_MEND)
    return Manifest.from_json(path.read_text())


def existing(folder: Path) -> Manifest:
    """Return the current snapshot of a folder that must have one.

    Raises:
        NotFoundError: If the folder holds no store.
    """
    manifest = current(folder)
    if manifest is None:
        raise NotFoundError(
            "There is no store in this folder",
            got=folder,
            do="run `tradewind import` first, or set TRADEWIND_STORE to the folder of your store",
        )
    return manifest


class Draft:
    """A snapshot in the making, under the store's write lock; leaving it without `commit` changes nothing.

    Args:
        folder: The store's folder, created if need be.

    Raises:
        BusyError: On entering, if another process is writing.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.base: Manifest | None = None
        self.unfinished: Unfinished | None = None
        self._lock: int | None = None
        self._finished: dict[Path, DataFile] = {}
        self.scratch = folder / "scratch"

    def __enter__(self) -> Draft:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.folder / "LOCK", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise BusyError(
                "Somebody else is writing to this store", got=self.folder, do="wait until the other import has ended"
            ) from error
        try:
            self.base = current(self.folder)
            self.unfinished = Unfinished.read(self.folder)
            self._sweep()
            self.scratch.mkdir()
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._sweep()
        finally:
            if self._lock is not None:
                os.close(self._lock)

    def new_file(self, table: str, ending: str = "parquet") -> Path:
        """Return a path for a new data file of `table`."""
        place = self.folder / "data" / table
        place.mkdir(parents=True, exist_ok=True)
        return place / f"{uuid.uuid4().hex}.{ending}"

    def put_by(self, asked: Mapping[str, Any], state: Path, tables: Mapping[str, Iterable[Path]]) -> None:
        """Write down what is finished so far, in place of what was put by before; a commit ends it.

        Args:
            asked: What the import was asked for, as JSON holds it.
            state: A new file that says where it stands.
            tables: All its finished data files by table.
        """
        before = self.unfinished
        finished = {table: tuple(self._described(file) for file in files) for table, files in tables.items()}
        sync(state)
        for place in (self.folder / "data" / table for table in (state.parent.name, *finished)):
            sync(place)
        sync(self.folder / "data")
        unfinished = Unfinished(asked, str(state.relative_to(self.folder)), finished)
        put(self.folder / "UNFINISHED", json.dumps({"format": FORMAT, **asdict(unfinished)}))
        self.unfinished = unfinished
        for path in before.paths() - unfinished.paths() if before else ():
            (self.folder / path).unlink(missing_ok=True)

    def start_over(self) -> None:
        """Forget what is unfinished, and remove its files."""
        self.unfinished = None
        (self.folder / "UNFINISHED").unlink(missing_ok=True)
        self._sweep()
        self.scratch.mkdir()

    def commit(
        self, provenance: Provenance, tables: Mapping[str, Iterable[Path | DataFile]], imported: Mapping[str, Any]
    ) -> Manifest:
        """Make the new state current: files to disk, then the manifest, then the pointer.

        Args:
            provenance: Where the store's numbers come from.
            tables: All files of each table: finished new ones as paths, kept ones as they stood in the base.
            imported: What to remember of the import.

        Returns:
            The manifest that is now current.
        """
        name = f"{int(self.base.name) + 1 if self.base else 1:06d}"
        described = {table: tuple(self._described(file) for file in files) for table, files in tables.items()}
        kept = {table: tuple(f for f in files if f.rows) for table, files in described.items()}
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        manifest = Manifest(name, provenance, {t: f for t, f in kept.items() if f}, dict(imported), now)
        snapshots = self.folder / "snapshots"
        snapshots.mkdir(exist_ok=True)
        for place in (self.folder / "data" / table for table in manifest.tables):
            sync(place)
        sync(self.folder / "data")
        put(snapshots / f"{name}.json", manifest.to_json())
        put(self.folder / "CURRENT", name + "\n")
        self.base, self.unfinished = manifest, None
        (self.folder / "UNFINISHED").unlink(missing_ok=True)
        return manifest

    def _described(self, file: Path | DataFile) -> DataFile:
        if isinstance(file, DataFile):
            return file
        if file not in self._finished:
            sync(file)
            self._finished[file] = DataFile.read(self.folder, file)
        return self._finished[file]

    def _sweep(self) -> None:
        """Remove what a writer that died left behind: scratch, and data files that nothing names."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        manifests = (Manifest.from_json(path.read_text()) for path in (self.folder / "snapshots").glob("*.json"))
        named = {file.path for manifest in manifests for files in manifest.tables.values() for file in files}
        named |= self.unfinished.paths() if self.unfinished else set()
        for path in (self.folder / "data").glob("*/*"):
            if str(path.relative_to(self.folder)) not in named:
                path.unlink()
