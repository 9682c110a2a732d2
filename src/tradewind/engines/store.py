"""The store: canonical tables as one caller may see them, on whichever engine runs them."""

from __future__ import annotations

import math
import os
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Protocol

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from tradewind.engines import snapshot
from tradewind.engines.duckdb import DuckDB
from tradewind.engines.panel import Panel
from tradewind.engines.peers import Crowd, Peers
from tradewind.engines.snapshot import Draft, Manifest
from tradewind.engines.spark import Spark
from tradewind.errors import BadInputError, ForbiddenError, MissingDataError
from tradewind.measures.assume import Assumptions
from tradewind.measures.metric import Metric, Ratio
from tradewind.measures.query import Query
from tradewind.period import Period
from tradewind.scope import OPERATOR, Scope
from tradewind.study import Deed, Provenance
from tradewind.tables import table as declared
from tradewind.tables.schema import IBIS_TYPES, Hop, Table

FOLDER = "TRADEWIND_STORE"
NAMED = 3
"""Most shops of a scope that are named one by one."""


class Engine(Protocol):
    """What runs expressions; `gaps` names, as data, what it cannot do."""

    name: str
    gaps: frozenset[str]

    def read(self, name: str, files: Sequence[Path]) -> ibis.Table:
        """Return the rows of Parquet files of one schema as a table named `name`."""
        ...

    def arrow(self, expression: ibis.Expr) -> pa.Table:
        """Run an expression and return all its rows."""
        ...

    def batches(self, expression: ibis.Expr, rows: int) -> Iterator[pa.RecordBatch]:
        """Run an expression and yield its rows in batches of at most `rows`."""
        ...


@dataclass(frozen=True)
class Counts:
    """How much of a table a caller may see.

    Args:
        rows: Number of rows.
        filled: Number of values that are not null, by column.
        span: First to last local day, or None where the table has no day.
    """

    rows: int
    filled: Mapping[str, int]
    span: Period | None


class Store:
    """One snapshot of one source's tables, as one caller may see them.

    Args:
        folder: The store's folder.
        engine: What runs expressions.
        manifest: The snapshot to keep to; whatever is imported later is not seen.
        scope: Which shops the caller may see.
        assumptions: What the caller assumes where the source says nothing.
    """

    def __init__(
        self,
        folder: Path,
        engine: Engine,
        manifest: Manifest,
        scope: Scope = OPERATOR,
        assumptions: Assumptions | None = None,
        deeds: Sequence[Deed] = (),
    ):
        self.folder = folder
        self.engine = engine
        self.manifest = manifest
        self.scope = scope
        self.assumptions = assumptions or Assumptions()
        self.deeds = tuple(deeds)
        self._tables: dict[str, ibis.Table] = {}
        self._counts: dict[str, Counts] = {}
        self._panels: dict[tuple[tuple[Metric, ...], tuple[str, ...]], Panel] = {}
        self._reading = threading.RLock()
        self._reach = scope  # what the caller owns, however far narrowed for now
        self._crowd = Crowd(partial(Store, folder, engine, manifest))

    @property
    def provenance(self) -> Provenance:
        """Source, licence notice, currency, assumptions and shops, to be shown with every number."""
        return replace(
            self.manifest.provenance,
            assumptions=self.assumptions.sentences() if self.coverage("order_lines", "unit_cost") < 1 else (),
            snapshot=self.manifest.name,
            shops=self._shops_said,
            whole_marketplace=self.manifest.provenance.whole_marketplace and self.scope.shops is None,
        )

    @property
    def span(self) -> Period:
        """The days from the first order line that the caller may see to the last of the store.

        A shop that has sold nothing of late has sold nothing: its days go on as long as the store's do. A creator's are
        those from the first of their live sessions to the last.
        """
        span = self.counts("order_lines" if self.scope.creators is None else "live_sessions").span
        whole = self.manifest.span("order_lines") if self.scope.creators is None else span
        if span is None and self.scope.creators is not None:
            raise MissingDataError("These creators have no live sessions", do="ask who signs contracts with you")
        if span is None:
            whose = "The store holds" if self.scope.everything else "These shops have"
            raise MissingDataError(f"{whose} no order lines", do="import a source that has orders")
        return span if whole is None else Period(span.first, whole.last)

    def counts(self, table: str) -> Counts:
        """Return how much of a table the caller may see: nothing, where only operators may see it and they are none."""
        if table not in self._counts:
            self._counts[table] = self._counted(table)
        return self._counts[table]

    def has(self, table: str, column: str | None = None) -> bool:
        """Whether a table, or a column of it, holds anything at all that the caller may see."""
        found = self.counts(table)
        return bool(found.filled.get(column) if column else found.rows)

    def coverage(self, table: str, column: str) -> float:
        """Share of the rows of a table that the caller may see whose column holds a value; 0 where there are none."""
        found = self.counts(table)
        return found.filled.get(column, 0) / found.rows if found.rows else 0.0

    def table(self, name: str) -> ibis.Table:
        """Return a canonical table, limited to the caller's scope.

        Raises:
            NotFoundError: If no canonical table has that name.
            MissingDataError: If the source does not fill it.
            ForbiddenError: If only operators may see it and the caller is not one.
        """
        if name not in self._tables:
            self._tables[name] = self._scoped(name)
        return self._tables[name]

    def rejected(self, most: int, skip: int = 0) -> tuple[pa.Table, int]:
        """Return rows that broke a contract when they were imported, and how many there are in all.

        Args:
            most: Rows to return.
            skip: Rows to leave out before them.

        Raises:
            ForbiddenError: If the caller is not an operator: a rejected row belongs to no shop.
        """
        if not self.scope.everything:
            raise ForbiddenError("Only an operator may see rejected rows")
        count = self.manifest.rows(snapshot.REJECTED)
        if not count:
            return pa.table({}), 0
        files = [self.folder / file.path for file in self.manifest.tables[snapshot.REJECTED]]
        rows = self.engine.read(f"{snapshot.REJECTED}_{uuid.uuid4().hex[:12]}", files)
        return self.run(rows.order_by("imported_at", "file", "row", "table").limit(most, offset=skip)), count

    def run(self, expression: ibis.Expr) -> pa.Table:
        """Run an expression over the store's tables and return its rows."""
        return self.engine.arrow(expression)

    def batches(self, expression: ibis.Expr, rows: int = 100_000) -> Iterator[pa.RecordBatch]:
        """Run an expression and yield its rows in batches of at most `rows`."""
        return self.engine.batches(expression, rows)

    def metrics(self, query: Query) -> pa.Table:
        """Return metrics, one row per group, as `query` asks."""
        return self.run(query.expression(self))

    def series(self, metrics: Sequence[Metric], period: Period) -> tuple[list[date], dict[str, list[float]]]:
        """Return metrics day by day, as floats for the methods.

        Args:
            metrics: The metrics.
            period: The days, first to last.

        Returns:
            All days of the period, and for each metric its value a day: 0 where nothing happened, NaN where a ratio has
            no denominator.
        """
        table = self.metrics(Query(tuple(metrics), period, every="day")).to_pydict()
        days = [period.first + timedelta(days=n) for n in range(period.days)]
        at = {day: n for n, day in enumerate(table["day"])}
        columns: dict[str, list[float]] = {}
        for metric in metrics:
            empty = math.nan if isinstance(metric, Ratio) else 0.0
            found = [table[metric.name][at[day]] if day in at else empty for day in days]
            columns[metric.name] = [math.nan if value is None else float(value) for value in found]
        return days, columns

    def panel(self, metrics: Sequence[Metric], by: Sequence[str] = ()) -> Panel:
        """Return metrics day by day, from which any period is answered in well under a millisecond.

        It is read once, with a few queries over all days, and kept; threads that ask meanwhile wait for it.

        Args:
            metrics: The metrics.
            by: Dimensions by which it can be split, and to whose values it can be limited.

        Raises:
            BadInputError: If there are no metrics, or a dimension is not known.
            MissingDataError: If the source lacks what a metric needs.
        """
        asked = (tuple(metrics), tuple(by))
        if asked not in self._panels:
            with self._reading:
                if asked not in self._panels:
                    self._panels[asked] = Panel.read(self, *asked)
        return self._panels[asked]

    def peers(self, metrics: Sequence[Metric], period: Period, like: str | None = None) -> Peers:
        """Return metrics of a shop beside quartiles of its peers: all that a caller learns of shops outside its scope.

        Peers are the shops of the same category with sales in the period, or those of several categories together; at
        least ten without the caller's own, none of them above a quarter of the group's GMV. Assumptions do not enter.

        Args:
            metrics: Which metrics, from `METRICS`.
            period: A whole calendar month, quarter or year that the data covers.
            like: The shop, one of the caller's; need not be said where there is but one.

        Returns:
            For each metric the shop's own value and the peers' quartiles, or the reason why those are not told.

        Raises:
            ForbiddenError: If the shop is not one of the caller's, or the caller is a creator.
            BadInputError: If a metric cannot be compared, the period is not one of those, or the shop is not said.
            MissingDataError: If the source lacks what a metric needs.
            NotFoundError: If nothing is known of the shop.
        """
        if self.scope.creators is not None:
            raise ForbiddenError("Shops are compared for operators and merchants only")
        mine = self.scope.shops or frozenset()
        if like is None and len(mine) != 1:
            raise BadInputError("The shop to compare is not said", allowed=sorted(mine) or "a shop's id", do="name one")
        shop = next(iter(mine)) if like is None else like
        self.scope.narrowed((shop,))
        return self._crowd.compare(metrics, period, shop, self._reach.shops or frozenset((shop,)))

    def scoped(self, scope: Scope) -> Store:
        """Return the same snapshot as a caller with that scope sees it.

        Raises:
            ForbiddenError: If the scope is wider than this store's.
        """
        other = Store(self.folder, self.engine, self.manifest, self.scope.limited(scope), self.assumptions, self.deeds)
        other._crowd = self._crowd
        if not self.scope.everything:
            other._reach = self._reach
        return other

    def assuming(self, assumptions: Assumptions) -> Store:
        """Return the same store with assumptions where the source says nothing."""
        return self._again(Store(self.folder, self.engine, self.manifest, self.scope, assumptions, self.deeds))

    def acted(self, deeds: Iterable[Deed]) -> Store:
        """Return the same store knowing what launched plans did, so that nobody takes it for what sellers usually do.

        Args:
            deeds: All that they did, as a ledger says.
        """
        return self._again(Store(self.folder, self.engine, self.manifest, self.scope, self.assumptions, tuple(deeds)))

    def _again(self, other: Store) -> Store:
        """Return another view of the same tables, with what was read of them."""
        other._tables, other._counts = self._tables, self._counts
        other._reach, other._crowd = self._reach, self._crowd
        return other

    def known_by(self, moment: datetime) -> Store:
        """Return the same store without refunds and steps of orders that were not known by a moment.

        What is read of days before it is then as it was known, so that nothing later teaches.

        Args:
            moment: Naive, UTC; what was known at it or later is left out.
        """
        other = self._again(Store(self.folder, self.engine, self.manifest, self.scope, self.assumptions, self.deeds))
        other._tables = dict(self._tables)
        for name in ("refunds", "order_status"):
            if self.has(name):
                rows = self.table(name)
                other._tables[name] = rows.filter(rows.known_at < ibis.literal(moment))
        return other

    def write(self, tables: Mapping[str, ibis.Table | pa.Table]) -> Store:
        """Replace whole tables and return the store at the new snapshot.

        Args:
            tables: New contents by canonical table: an expression over this store's tables, or an Arrow table. Columns
                that are left out become null; `day` and `hour` must be there where the table has them.

        Returns:
            The store, pinned to the snapshot that was made.

        Raises:
            ForbiddenError: If the caller is not an operator.
            BadInputError: If a table has columns that are not declared, or lacks one that may not be null.
            BusyError: If somebody else is writing.
        """
        if not self.scope.everything:
            raise ForbiddenError("Only an operator may write to a store")
        with Draft(self.folder) as draft:
            base = draft.base or self.manifest
            files: dict[str, Sequence[Path | snapshot.DataFile]] = dict(base.tables)
            for name, contents in tables.items():
                files[name] = [self._written(draft, name, contents)]
            manifest = draft.commit(base.provenance, files, base.imported)
        return Store(self.folder, self.engine, manifest, self.scope, self.assumptions, self.deeds)

    def _written(self, draft: Draft, name: str, contents: ibis.Table | pa.Table) -> Path:
        table = declared(name)
        given = set(contents.column_names if isinstance(contents, pa.Table) else contents.columns)
        names = [column.name for column in table.stored]
        missing = {c.name for c in table.stored if not c.null} - given
        if missing or given - set(names):
            raise BadInputError(
                f"The columns do not fit the table {name}", got=", ".join(sorted(given)), allowed=", ".join(names)
            )
        schema = ibis.schema({column.name: IBIS_TYPES[column.kind] for column in table.stored}).to_pyarrow()
        path = draft.new_file(name)
        batches = contents.to_batches() if isinstance(contents, pa.Table) else self.batches(contents)
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in batches:
                part = pa.Table.from_batches([batch])
                columns = [
                    part[c.name].cast(c.type) if c.name in given else pa.nulls(len(part), c.type) for c in schema
                ]
                writer.write_table(pa.table(columns, schema=schema))
        return path

    def _counted(self, name: str) -> Counts:
        table = declared(name)
        columns = [column.name for column in table.stored]
        rows = self.manifest.rows(name)
        if not rows or (not self.scope.everything and not self._ways(table)):
            return Counts(0, {}, None)
        if self.scope.everything:
            return Counts(rows, {c: self.manifest.filled(name, c) for c in columns}, self.manifest.span(name))
        seen = self.table(name)
        asked = {f"n_{column}": seen[column].count() for column in columns}
        days = {"first": seen.day.min(), "last": seen.day.max()} if "day" in columns else {}
        [found] = self.run(seen.aggregate(rows=seen.count(), **asked, **days)).to_pylist()
        span = Period(found["first"], found["last"]) if found.get("first") else None
        return Counts(found["rows"], {column: found[f"n_{column}"] for column in columns}, span)

    @cached_property
    def _shops_said(self) -> str:
        """The shops or creators of the scope, by name where there are few and they have names."""
        if self.scope.shops is None:
            return ""
        kind = "shop" if self.scope.creators is None else "creator"
        ids = sorted(self.scope.shops if self.scope.creators is None else self.scope.creators)
        if len(ids) > NAMED:
            return f"{len(ids)} {kind}s"
        names: dict[str, str | None] = {}
        if self.has(f"{kind}s", "name"):
            rows = self.run(self.table(f"{kind}s").select(f"{kind}_id", "name")).to_pylist()
            names = {row[f"{kind}_id"]: row["name"] for row in rows}
        said = [f"{name} ({key})" if (name := names.get(key)) else key for key in ids]
        return f"{kind if len(said) == 1 else kind + 's'} {', '.join(said)}" if said else f"no {kind}"

    def _scoped(self, name: str) -> ibis.Table:
        table = declared(name)
        if not self.manifest.rows(name):
            raise MissingDataError(
                f"The source has no {name.replace('_', ' ')}",
                got=self.manifest.provenance.source,
                do="see `tradewind check`",
            )
        files = [self.folder / file.path for file in self.manifest.tables[name]]
        rows = self.engine.read(f"{name}_{uuid.uuid4().hex[:12]}", files)
        if new := [column for column in table.stored if column.name not in rows.columns]:  # written before it had them
            rows = rows.mutate(**{column.name: ibis.null(IBIS_TYPES[column.kind]) for column in new})
            rows = rows.select(*(column.name for column in table.stored))
        if self.scope.shops is None:
            return rows
        if not self._ways(table):
            whose = "operators" if self.scope.creators is None else "operators and merchants"
            raise ForbiddenError(f"Only {whose} may see the table {name}")
        return self._visible(rows, self._ways(table))

    def _ways(self, table: Table) -> Sequence[Hop]:
        return table.shop if self.scope.creators is None else table.creator

    def _visible(self, rows: ibis.Table, hops: Sequence[Hop]) -> ibis.Table:
        columns = rows.columns
        led = []
        for hop in hops:
            rows, name = self._led(rows, hop)
            led.append(name)
        return rows.filter(ibis.or_(*(rows[name] for name in led))).select(*columns)

    def _led(self, rows: ibis.Table, hop: Hop) -> tuple[ibis.Table, str]:
        """Return the rows with a further column that says whether a hop leads to what is the caller's, and its name."""
        name = f"__led{len(rows.columns)}"
        if hop.table is None:
            own = self._own(rows).fill_null(False)
            rows = rows.mutate(**{name: own | rows.shop_id.isnull() if hop.or_null else own})
        elif self.manifest.rows(hop.table):
            seen = self.table(hop.table)
            seen = (seen.filter(self._own(seen)) if hop.own else seen).select(*hop.on).distinct()
            seen = seen.rename({f"{name}_{column}": column for column in hop.on}).mutate(**{f"{name}_seen": True})
            rows = rows.left_join(seen, [rows[column] == seen[f"{name}_{column}"] for column in hop.on])
            rows = rows.mutate(**{name: rows[f"{name}_seen"].fill_null(False)})
        else:
            rows = rows.mutate(**{name: ibis.literal(False)})
        if hop.also is None:
            return rows, name
        rows, also = self._led(rows, hop.also)
        return rows.mutate(**{name: rows[name] & rows[also]}), name

    def _own(self, rows: ibis.Table) -> ibis.expr.types.BooleanColumn:
        if self.scope.creators is None:
            return rows.shop_id.isin(sorted(self.scope.shops or ()))
        return rows.creator_id.isin(sorted(self.scope.creators))


def open_store(address: str | None = None, scope: Scope = OPERATOR) -> Store:
    """Open the current snapshot of a store.

    Args:
        address: `FOLDER` for DuckDB; `spark+MASTER:FOLDER` for Spark, where MASTER is `local[2]`, `spark://host:port`
            or the Spark Connect address `sc://host:port`. By default the environment variable `TRADEWIND_STORE`.
        scope: Which shops the caller may see.

    Returns:
        The store, pinned to the snapshot that is current now.

    Raises:
        BadInputError: If the address cannot be read or none is given.
        NotFoundError: If nothing was imported into the folder.
        UnsupportedError: If the engine is not installed.
    """
    master, folder = split_address(address)
    manifest = snapshot.existing(folder)
    engine: Engine = _running(master) if master else DuckDB()
    return Store(folder, engine, manifest, scope)


def split_address(address: str | None = None) -> tuple[str | None, Path]:
    """Return Spark's master, or None for DuckDB, and the store's folder.

    Raises:
        BadInputError: If the address cannot be read or none is given.
    """
    address = address or os.environ.get(FOLDER, "")
    allowed = "FOLDER, spark+local[2]:FOLDER, spark+spark://host:port:FOLDER or spark+sc://host:port:FOLDER"
    if not address:
        raise BadInputError("No store was named", allowed=allowed, do=f"set {FOLDER} or give --store")
    if not address.startswith("spark+"):
        return None, Path(address)
    master, _, folder = address.removeprefix("spark+").rpartition(":")
    if not master or not folder or folder.startswith("//") or not master.startswith(("local", "spark://", "sc://")):
        raise BadInputError("The address of the store cannot be read", got=address, allowed=allowed)
    return master, Path(folder)


def _running(master: str) -> Spark:
    """The process's Spark, started again where somebody stopped it."""
    if _spark(master).stopped:
        _spark.cache_clear()
    return _spark(master)


@cache
def _spark(master: str) -> Spark:
    """One Spark session serves every store of the process: starting one takes seconds."""
    return Spark(master)
