"""Facts: what metrics and features count over: a table, what can be looked up for its rows, and derived columns.

A column of a fact is a column of its table, a derived one, or one that is looked up in another table. Only what an
expression touches is joined, so a metric pays for what it uses, and what it touches is also what it needs to be there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import ibis
import ibis.expr.types as ir

from tradewind.errors import MissingDataError
from tradewind.measures.assume import Assumptions
from tradewind.period import Period
from tradewind.tables import table as declared
from tradewind.tables.schema import IBIS_TYPES

MONEY = "decimal(38, 4)"
WIDE = "decimal(19, 4)"  # of what is multiplied, one side has 19 digits: products are then reckoned in 38, not 18
WHOLE = "decimal(18, 0)"
FEW = 4  # a period is short if the store's span is at least this many times as long


def whole_seconds(at: ir.TimestampValue) -> ir.IntegerValue:
    """Return a moment in whole seconds since 1970, of any year.

    A source may tell it to the microsecond, which DuckDB would count and Spark would not; and Ibis holds seconds to be
    numbers of 32 bits, which end in 2038.
    """
    return at.truncate("s").epoch_seconds().cast("int64")


class Tables(Protocol):
    """Where expressions find tables; the `Store` is one."""

    @property
    def assumptions(self) -> Assumptions:
        """What the caller supposes where the source says nothing."""
        ...

    def has(self, table: str, column: str | None = None) -> bool:
        """Whether a table, or a column of it, holds anything at all."""
        ...

    def coverage(self, table: str, column: str) -> float:
        """Share of the rows of a table whose column holds a value."""
        ...

    @property
    def span(self) -> Period:
        """The days from the first to the last order line."""
        ...

    def table(self, name: str) -> ibis.Table:
        """Return a canonical table as the caller may see it."""
        ...


@dataclass(frozen=True, eq=False)
class Lookup:
    """Columns found for each row of a fact in another table.

    Args:
        on: Columns of the fact and of the table that make the key.
        provides: Type of each column that it adds.
        needs: The canonical table, or `table.column`, without which a column that it adds has nothing to say.
        table: The canonical table that they are found in.
        build: Makes of the table's rows one row a key: the key columns and those in `provides`.
        gathers: Whether it makes one row of many. Then a fact of few days gathers for its own keys only.
        missing: Value for rows of the fact that it does not find; null where None.
    """

    on: tuple[str, ...]
    provides: Mapping[str, str]
    needs: Mapping[str, str]
    table: str
    build: Callable[[Tables, ibis.Table], ibis.Table]
    gathers: bool = False
    missing: float | None = None


@dataclass(frozen=True, eq=False)
class Fact:
    """What metrics and features count over.

    Args:
        name: Name of the fact.
        doc: What one row is.
        table: Canonical table of its rows.
        derived: Expressions over a row, by name; they may use each other and what is looked up.
        lookups: Columns found in other relations.
        where: Keeps the rows that count, such as those that were paid.
        time: Moment at which a row happened, for features.
        known: Moment at which a row became visible, for features.
    """

    name: str
    doc: str
    table: str
    derived: Mapping[str, Callable[[Row], ir.Value]] = field(default_factory=dict)
    lookups: tuple[Lookup, ...] = ()
    where: Callable[[Tables, ibis.Table], ibis.Table] | None = None
    time: str = ""
    known: str = ""

    def columns(self) -> frozenset[str]:
        """Names of all columns that the fact can give."""
        own = {column.name for column in declared(self.table).stored}
        return frozenset(own | set(self.derived) | {name for lookup in self.lookups for name in lookup.provides})

    def missing(self, tables: Tables, *values: Callable[[Row], object]) -> tuple[str, ...]:
        """Return what the tables lack for these values, as `table` or `table.column`; empty where nothing."""
        row = self._probe(tables)
        for value in values:
            value(row)
        needs = {self.table} | {f"{self.table}.{name}" for name in row.touched}
        needs |= row.needs
        return tuple(sorted(need for need in needs if not tables.has(*need.split(".", 1))))

    def summed(self, tables: Tables, value: Callable[[Row], object]) -> tuple[str, ...]:
        """Return the amounts and counts of the fact's own table that a value touches, as `table.column`."""
        row = self._probe(tables)
        value(row)
        kinds = {column.name: column.kind for column in declared(self.table).stored}
        return tuple(sorted(f"{self.table}.{n}" for n in row.touched if kinds[n] in ("money", "integer", "real")))

    def rows(
        self, tables: Tables, *values: Callable[[Row], object], within: Sequence[Period] = ()
    ) -> tuple[ibis.Table, Row]:
        """Return the fact's relation with what these values touch joined on, and the row to evaluate them over.

        Args:
            tables: Where the rows are.
            values: Expressions over a row: what they touch is joined.
            within: Only rows of these days, if any are given and the fact's table itself tells the day.

        Raises:
            MissingDataError: If the tables lack something that a value touches.
        """
        if lacking := self.missing(tables, *values):
            raise MissingDataError(
                "The source lacks what this needs", got=", ".join(lacking), do="see `tradewind check`"
            )
        row = self._probe(tables)
        for value in values:
            value(row)
        relation = own = tables.table(self.table)
        few = False
        if within and "day" in own.columns and "day" not in self.derived:
            relation = own = own.filter(ibis.or_(*(during(own.day, period) for period in within)))
            few = sum(period.days for period in within) * FEW <= tables.span.days
        if self.where is not None:
            relation = self.where(tables, relation)
        # Only what is touched is carried along: the time that a query takes to become SQL grows with its columns.
        relation = relation.select(*(name for name in relation.columns if name in row.touched))
        for n, lookup in enumerate(row.used):
            rows = tables.table(lookup.table)
            if few and lookup.gathers and set(lookup.on) <= set(own.columns):
                rows = rows.semi_join(own, list(lookup.on))
            relation = _joined(relation, lookup, lookup.build(tables, rows), row.found, n)
        return relation, Row(self, relation, tables)

    def _probe(self, tables: Tables) -> Row:
        return Row(self, self._any, tables)

    @cached_property
    def _any(self) -> ibis.Table:
        """A relation without rows, to learn what a value touches."""
        types = {column.name: IBIS_TYPES[column.kind] for column in declared(self.table).stored}
        for lookup in self.lookups:
            types.update(lookup.provides)
        return ibis.table(types, name=f"any_{self.name}")


class Row:
    """One row of a fact: attributes are its columns. It notes which are touched.

    Args:
        fact: The fact that it is a row of.
        relation: Where the columns are.
        tables: The tables, for what they assume and whether they have a column at all.
    """

    def __init__(self, fact: Fact, relation: ibis.Table, tables: Tables):
        self._fact = fact
        self._relation = relation
        self.tables = tables
        self.touched: set[str] = set()
        self.found: set[str] = set()
        self.needs: set[str] = set()
        self.used: list[Lookup] = []

    def __getattr__(self, name: str) -> ir.Value:
        if name in self._fact.derived:
            return self._fact.derived[name](self)
        for lookup in self._fact.lookups:
            if name in lookup.provides:
                if lookup not in self.used:
                    for key in lookup.on:
                        getattr(self, key)  # a key may itself be looked up, and must then be joined first
                    self.used.append(lookup)
                self.found.add(name)
                if name in lookup.needs:
                    self.needs.add(lookup.needs[name])
                return self._relation[name]
        return self.own(name)

    def own(self, name: str) -> ir.Value:
        """Return a column of the fact's own table, though the fact may give something else by that name."""
        if name not in self._relation.columns:
            raise AttributeError(f"{self._fact.name} has no column {name}")
        self.touched.add(name)
        return self._relation[name]

    def has(self, table: str, column: str | None = None) -> bool:
        """Whether the source fills a table or a column, for expressions that can do without."""
        return self.tables.has(table, column)


def during(day: ir.Value, period: Period) -> ir.BooleanValue:
    """Whether a day lies in a period."""
    return day.between(ibis.literal(period.first), ibis.literal(period.last))


def _joined(relation: ibis.Table, lookup: Lookup, rows: ibis.Table, wanted: set[str], n: int) -> ibis.Table:
    """Return the relation with the wanted columns of a lookup's rows beside its own."""
    names = [name for name in lookup.provides if name in wanted]
    keys = {f"__key{n}_{name}": rows[name] for name in lookup.on}
    rows = rows.select(*names, **keys)
    joined = relation.left_join(rows, [relation[name] == rows[f"__key{n}_{name}"] for name in lookup.on])
    columns = {name: joined[name] for name in (*relation.columns, *names)}
    if lookup.missing is not None:
        for name in names:
            columns[name] = columns[name].fill_null(ibis.literal(lookup.missing).cast(lookup.provides[name]))
    return joined.select(**columns)


def plain(table: str, key: str, **columns: str) -> Lookup:
    """Return a lookup of columns of a canonical table by its key.

    Args:
        table: The table.
        key: Its key column, of the same name in the fact.
        columns: Column of the table by the name that it gets in the fact.
    """
    kinds = {column.name: IBIS_TYPES[column.kind] for column in declared(table).stored}

    def build(_: Tables, rows: ibis.Table) -> ibis.Table:
        return rows.select(key, **{name: rows[column] for name, column in columns.items()})

    provides = {name: kinds[column] for name, column in columns.items()}
    return Lookup((key,), provides, {name: f"{table}.{column}" for name, column in columns.items()}, table, build)
