"""Importing: one source's files become one new snapshot of a store, or nothing changes."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import pyarrow.parquet as pq

from tradewind.engines.duckdb import staging
from tradewind.engines.snapshot import REJECTED, DataFile, Draft, Manifest
from tradewind.errors import BadInputError, CorruptStoreError, FullDiskError, TradewindError, is_full_disk
from tradewind.sources.landing import Landed, Landing
from tradewind.sources.merging import Merging, ordered
from tradewind.sources.report import FileCount, ImportReport, Reason, TableCount
from tradewind.sources.source import Source
from tradewind.sources.staging import Staged, find_files, stage
from tradewind.study import Provenance

Progress = Callable[[str, int, int], None]
PIVOT = re.compile(r"\bpivot\b", re.IGNORECASE)


def run_import(
    source: Source, data: Path | None, store: Path, progress: Progress | None = None, force: bool = False
) -> ImportReport:
    """Import a source's files into a store, as one new snapshot.

    Args:
        source: The source.
        data: The folder that holds its files, or None where the source's package carries them.
        store: The store's folder, created if need be.
        progress: Called with the step, how many steps are done, and how many there are.
        force: Import even where the same files were imported last time.

    Returns:
        What the import did.

    Raises:
        BadInputError: If the files or the source cannot be used, or the store holds another source, currency or
            timezone.
        FullDiskError: If there is no room left where the store is; nothing was changed.
        BusyError: If somebody else is writing to the store.
    """
    try:
        return _Import(source, data, store, progress).run(force)
    except TradewindError:
        raise
    except Exception as error:
        if is_full_disk(error):
            raise FullDiskError(
                "There is no room left to import into the store; nothing was changed", got=store, do="make room"
            ) from error
        raise


class _Import:
    def __init__(self, source: Source, data: Path | None, store: Path, progress: Progress | None):
        self.source = source
        self.data = source.data_folder(data)
        self.store = store
        self.progress = progress
        self.found = find_files(source, self.data)
        self.started = time.monotonic()
        self.imported_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        read = sum(len(self.found[kind.name]) for kind in source.files if not kind.skip)
        self.done, self.total = 0, read + 2 * len(source.tables) + 1

    def run(self, force: bool) -> ImportReport:
        with Draft(self.store) as draft:
            if draft.base:
                self._belongs(draft.base)
            digest = self._digest()
            if draft.base and not force and draft.base.imported.get("digest") == digest:
                return self._unchanged(draft.base)
            return self._imported(draft, digest)

    def _imported(self, draft: Draft, digest: str) -> ImportReport:
        self._rehearse(draft.scratch)
        staged = self._stage(draft.scratch)
        con = staging(draft.scratch)
        try:
            landing = Landing(con, self.source, staged, self.imported_at)
            landing.prepare()
            merging = Merging(con, draft, self.source, self.imported_at)
            based = {name for name in (draft.base.tables if draft.base else {}) if name != REJECTED}
            files: dict[str, tuple[Path | DataFile, ...]] = {}
            counts: dict[str, TableCount] = {}
            days = (0, 0)
            for table in ordered(sorted({*self.source.tables, *based})):
                landed = self._land(landing, table.name, set(files)) if table.name in self.source.tables else None
                fresh = bool(landed and landed.staged)
                told = landed is not None and all(self.found[kind] for kind in self.source.reads(table.name))
                replaced, dropped = merging.replace(table, fresh or told)
                self._step(f"writing {table.name}", landed is not None)
                files[table.name] = merging.write(table, fresh)
                if landed:
                    kept = landed.staged - landed.rejected
                    counts[table.name] = TableCount(landed.staged, kept, landed.rejected, replaced, dropped)
                elif dropped:
                    counts[table.name] = TableCount(dropped=dropped)
                if not files[table.name]:
                    del files[table.name]
                if table.name == "order_lines" and fresh:
                    days = merging.days(table)
            file_counts = (*landing.account(list(self.source.tables)), *self._unread())
            reasons = landing.reasons()
            if "order_lines" not in files:
                self._nothing(counts, reasons)
            files[REJECTED] = merging.write_rejected([file.name for file in staged])
            self._check(files, counts)
            self._step("committing")
            manifest = draft.commit(self._provenance(), files, self._remembered(digest, counts, file_counts, reasons))
        finally:
            con.close()
        seconds = time.monotonic() - self.started
        return ImportReport(self.source.name, manifest.name, counts, file_counts, reasons, *days, seconds)

    def _rehearse(self, scratch: Path) -> None:
        said = (*self.source.steps.values(), *self.source.tables.values(), self.source.skipped)
        if any(PIVOT.search(sql) for sql in said):
            return  # its columns are known once the rows are
        (scratch / "rehearsal").mkdir()
        con = staging(scratch / "rehearsal")
        try:
            Landing(con, self.source, (), self.imported_at).rehearse()
        finally:
            con.close()

    def _stage(self, scratch: Path) -> list[Staged]:
        staged: list[Staged] = []
        for kind in self.source.files:
            for path in [] if kind.skip else self.found[kind.name]:
                name = str(path.relative_to(self.data))
                self._step(f"reading {name}")
                staged.append(stage(kind, path, name, scratch / f"{len(staged)}.parquet"))
        return staged

    def _land(self, landing: Landing, name: str, filled: set[str]) -> Landed:
        self._step(f"checking {name}")
        landed = landing.land(name)
        for reference in landed.table.references:
            if reference.table in filled:
                landing.reject_orphans(landed, reference)
        landing.reject_duplicates(landed)
        landing.settle(landed, self.source.timezone)
        return landed

    def _unread(self) -> list[FileCount]:
        unread = []
        for kind in self.source.files:
            for path in self.found[kind.name] if kind.skip else []:
                unread.append(FileCount(str(path.relative_to(self.data)), kind.name, None, skipped={kind.skip: 0}))
        return unread

    def _belongs(self, base: Manifest) -> None:
        """Raise where the store holds something else than this source."""
        held, own = base.provenance, self.source
        for what, there, here in (
            ("source", held.source, own.name),
            ("currency", held.currency, own.currency),
            ("timezone", held.timezone, own.timezone),
        ):
            if there != here:
                raise BadInputError(
                    f"The store in {self.store} holds another {what}",
                    got=here,
                    allowed=there,
                    do="import into another folder: one store holds one source in one currency and timezone",
                )

    def _digest(self) -> str:
        """Digest of all that decides what the import makes: files, source and version."""
        digest = hashlib.sha256(metadata.version("tradewind").encode())
        for path in sorted([*self.source.folder.glob("*.sql"), self.source.folder / "source.toml"]):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        for kind in self.source.files:
            for path in [] if kind.skip else self.found[kind.name]:
                digest.update(str(path.relative_to(self.data)).encode() + b"\0")
                with path.open("rb") as handle:
                    digest.update(hashlib.file_digest(handle, "sha256").digest())
        return digest.hexdigest()

    def _provenance(self) -> Provenance:
        own = self.source
        return Provenance(
            own.name, own.licence, own.notice, own.currency, own.timezone, own.simulated, country=own.country,
            whole_marketplace=own.whole_marketplace,
        )  # fmt: skip

    def _remembered(
        self,
        digest: str,
        counts: Mapping[str, TableCount],
        files: tuple[FileCount, ...],
        reasons: tuple[Reason, ...],
    ) -> dict[str, object]:
        return {
            "digest": digest,
            "at": self.imported_at,
            "tables": {name: asdict(count) for name, count in counts.items()},
            "files": [{**asdict(file), "skipped": dict(file.skipped)} for file in files],
            "reasons": [asdict(reason) for reason in reasons],
        }

    def _unchanged(self, base: Manifest) -> ImportReport:
        kept = base.imported
        return ImportReport(
            self.source.name,
            base.name,
            {name: TableCount(**count) for name, count in kept["tables"].items()},
            tuple(FileCount(**file) for file in kept["files"]),
            tuple(Reason(**reason) for reason in kept["reasons"]),
            0,
            0,
            time.monotonic() - self.started,
            unchanged=True,
        )

    def _nothing(self, counts: Mapping[str, TableCount], reasons: tuple[Reason, ...]) -> None:
        staged = counts["order_lines"].staged if "order_lines" in counts else 0
        why = "; ".join(
            f"{r.rows} × {r.table or 'file'}.{r.column or 'row'} {r.reason}"
            + (f" ({r.value[:60]!r})" if r.value else "")
            for r in reasons[:3]
        )
        raise BadInputError(
            "No order line could be imported",
            got=f"{staged} staged{', all rejected: ' + why if staged else ''}",
            allowed="at least one row of order_lines",
            do="mend the files or order_lines.sql; nothing was changed",
        )

    def _check(self, files: Mapping[str, tuple[Path | DataFile, ...]], counts: Mapping[str, TableCount]) -> None:
        """Raise where a table has fewer rows on disk than were counted, before it is made current."""
        for name, count in counts.items():
            parts = files.get(name, ())
            rows = sum(part.rows if isinstance(part, DataFile) else pq.read_metadata(part).num_rows for part in parts)
            if rows < count.kept:
                raise CorruptStoreError(
                    f"The table {name} lost rows while it was written",
                    got=rows,
                    allowed=str(count.kept),
                    do="import again",
                )

    def _step(self, step: str, counted: bool = True) -> None:
        if self.progress:
            self.progress(step, self.done, self.total)
        self.done += counted
