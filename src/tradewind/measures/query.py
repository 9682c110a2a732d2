"""Queries: which metrics, over which days, split how. One expression answers each, on any engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise

import ibis
import ibis.expr.types as ir

from tradewind.errors import BadInputError, MissingDataError
from tradewind.measures.fact import MONEY, Fact, Row, Tables, during
from tradewind.measures.metric import Additive, Distinct, Leaf, Metric, Ratio, Total, leaves
from tradewind.money import human
from tradewind.period import Period

EVERY = ("day", "week", "month")
COSTED = 0.98
"""Share of order lines whose unit cost must be known for profit to be acted upon: the others would count as free."""
_UNIT_COST = "order_lines.unit_cost"

DIMENSIONS: dict[str, str] = {
    "shop_id": "Shop id",
    "shop": "Shop",
    "shop_region": "Region of the shop",
    "shop_category": "Category of the shop",
    "product_id": "Product id",
    "product": "Product",
    "category": "Category",
    "department": "Department",
    "brand": "Brand",
    "customer_type": "New or returning",
    "cohort": "Month of the customer's first order",
    "customer_region": "Region of the customer",
    "customer_id": "Customer id",
    "creator_id": "Creator id",
    "creator": "Creator",
    "live_id": "Live session id",
    "content_id": "Content id",
    "surface": "Surface",
    "form": "Form",
    "relation": "Relation",
    "weekday": "Weekday (0 is Monday)",
    "hour_of_day": "Hour of the day",
    "day": "Day",
    "week": "Week",
    "month": "Month",
}


@dataclass(frozen=True)
class Query:
    """Which metrics, over which days, split how.

    Args:
        metrics: The metrics, each a column of the answer.
        period: The days that count.
        by: Dimensions that split the answer, from `DIMENSIONS`.
        every: `day`, `week` or `month` for a row each, in the column of that name.
        where: Only rows whose dimension has one of these values; None among them stands for a missing value.
        slots: Periods to answer side by side in one pass, instead of `period`: the column `slot` tells which. They
            must not overlap.

    Raises:
        BadInputError: If a dimension or a step is not known, slots overlap, or no metric is asked for.
    """

    metrics: tuple[Metric, ...]
    period: Period
    by: tuple[str, ...] = ()
    every: str | None = None
    where: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    slots: tuple[Period, ...] = ()

    def __post_init__(self) -> None:
        if not self.metrics:
            raise BadInputError("A query needs at least one metric")
        for name in (*self.by, *self.where):
            if name not in DIMENSIONS:
                raise BadInputError("There is no such dimension", got=name, allowed=DIMENSIONS)
        if self.every is not None and self.every not in EVERY:
            raise BadInputError("There is no such step", got=self.every, allowed=EVERY)
        if any(later.first <= earlier.last for earlier, later in pairwise(sorted(self.slots))):
            raise BadInputError("Periods side by side must not overlap", got=", ".join(map(str, self.slots)))

    @property
    def groups(self) -> tuple[str, ...]:
        """The columns that tell the answer's rows apart."""
        return (*self._splits, "slot") if self.slots else self._splits

    @property
    def _splits(self) -> tuple[str, ...]:
        """The dimensions among the groups."""
        return tuple(dict.fromkeys((*self.by, *((self.every,) if self.every else ()))))

    def expression(self, tables: Tables) -> ibis.Table:
        """Return the answer as one expression over the tables.

        A column a group and a column a metric; money as `decimal(38, 4)`, counts as `int64`, ratios as `float64`, null
        where the ratio's denominator is zero. Rows are ordered by group.

        Raises:
            MissingDataError: If the source lacks what a metric or a dimension needs.
        """
        splits = (*self._splits, *self.where)
        terms = {metric.name: present(metric, tables, splits) for metric in self.metrics}
        wanted = tuple(dict.fromkeys(leaf for found in terms.values() for leaf in found))
        facts: dict[str, Fact] = {leaf.fact.name: leaf.fact for leaf in wanted}
        parts = [self._sums(fact, wanted, tables) for fact in facts.values()]
        sums = parts[0]
        if len(parts) > 1:
            together = ibis.union(*parts)
            sums = self._grouped(together).aggregate(**{leaf.name: together[leaf.name].sum() for leaf in wanted})
        sums = sums.mutate(**{leaf.name: sums[leaf.name].fill_null(0).cast(_kind(leaf)) for leaf in wanted})
        there = set(wanted)
        answer = sums.select(*self.groups, **{m.name: _value(m, sums, there) for m in self.metrics})
        return answer.order_by([answer[name].asc(nulls_first=True) for name in self.groups]) if self.groups else answer

    def things(self, tables: Tables) -> ibis.Table:
        """Return what distinct metrics count, uncounted: every combination of groups and things once.

        A column a group, and a column a metric with the thing that it counts, null where it counts none. Whoever keeps
        these rows by day can count over any days, which counts by day cannot tell.

        Raises:
            BadInputError: If a metric is no distinct count, or they do not count over the same fact.
            MissingDataError: If the source lacks what a metric or a dimension needs.
        """
        counted = [metric for metric in self.metrics if isinstance(metric, Distinct)]
        facts = {metric.fact.name: metric.fact for metric in counted}
        if len(counted) < len(self.metrics) or len(facts) != 1:
            raise BadInputError(
                "Things are those of distinct counts over one fact", got=", ".join(x.name for x in self.metrics)
            )
        for metric in counted:
            present(metric, tables, (*self._splits, *self.where))
        [fact] = facts.values()
        return self._rows(fact, counted, tables).distinct()

    def _sums(self, fact: Fact, wanted: tuple[Leaf, ...], tables: Tables) -> ibis.Table:
        own = [leaf for leaf in wanted if leaf.fact is fact]
        rows = self._rows(fact, own, tables)
        sums = {leaf.name: _aggregate(leaf, rows[leaf.name]) for leaf in own}
        found = self._grouped(rows).aggregate(**sums)
        absent = {leaf.name: ibis.null(_kind(leaf)) for leaf in wanted if leaf.fact is not fact}
        return found.mutate(**absent).select(*self.groups, *(leaf.name for leaf in wanted))

    def _rows(self, fact: Fact, own: Sequence[Leaf], tables: Tables) -> ibis.Table:
        """The fact's rows that count: their groups, and what each leaf sums or counts."""
        splits = [_column(name) for name in (*self._splits, *self.where, "day")]
        periods = self.slots or (self.period,)
        relation, row = fact.rows(tables, *(leaf.value for leaf in own), *splits, within=periods)
        inside = [during(row.day, period) for period in periods]
        kept = [ibis.or_(*inside), *(_among(n, getattr(row, n), v) for n, v in self.where.items())]
        columns = {name: getattr(row, name) for name in self._splits}
        if self.slots:
            columns["slot"] = ibis.cases(*((when, ibis.literal(n, "int64")) for n, when in enumerate(inside)))
        values = {leaf.name: leaf.value(row) for leaf in own}
        return relation.filter(*kept).select(**columns, **values)

    def _grouped(self, rows: ibis.Table) -> ibis.Table:
        return rows.group_by(*self.groups) if self.groups else rows


def present(metric: Metric, tables: Tables, splits: tuple[str, ...] = ()) -> tuple[Leaf, ...]:
    """Return the leaves of a metric that the tables can answer.

    Args:
        metric: The metric.
        tables: The tables.
        splits: Dimensions that the answer is split by.

    Returns:
        Its leaves; a total's optional parts only where they are there.

    Raises:
        MissingDataError: If a leaf that the metric cannot do without, or a dimension for it, is missing.
    """
    return present_where(metric, lambda leaf: missing(leaf, tables, splits), splits)


def present_where(
    metric: Metric, lacking: Callable[[Leaf], tuple[str, ...]], splits: tuple[str, ...] = ()
) -> tuple[Leaf, ...]:
    """Return the leaves of a metric that can be answered, as `present` does, where it is known what each leaf lacks.

    Args:
        metric: The metric.
        lacking: What the tables lack for a leaf; nothing where it can be answered.
        splits: Dimensions that the answer is split by, for the message.
    """
    optional = set(leaves(metric)) - set(_required(metric))
    found = []
    for leaf in leaves(metric):
        absent = lacking(leaf)
        if not absent:
            found.append(leaf)
        elif leaf not in optional:
            split = f" by {', '.join(splits)}" if splits else ""
            named = [what for what in absent if what.split(".")[0] not in absent or "." not in what]
            raise MissingDataError(
                f"{metric.title}{split} cannot be computed: the source lacks {', '.join(named)}",
                do="see `tradewind check` for what each metric needs"
                + (", or assume a margin with --assume margin=0.3" if _UNIT_COST in absent else ""),
            )
    alone = {leaf for leaf, beside in _besides(metric) if beside not in found}
    return tuple(leaf for leaf in found if leaf not in alone)


def _besides(metric: Metric) -> list[tuple[Leaf, Metric]]:
    """The leaves of totals that count only beside another metric."""
    if isinstance(metric, Ratio):
        return [*_besides(metric.over), *_besides(metric.under)]
    if isinstance(metric, Total):
        return [(leaf, p.beside) for p in metric.parts if p.beside is not None for leaf in leaves(p.metric)]
    return []


def lights_up(metric: Metric, tables: Tables, splits: tuple[str, ...] = ()) -> bool:
    """Whether the tables can answer a metric, split by these dimensions."""
    try:
        present(metric, tables, splits)
    except MissingDataError:
        return False
    return True


def missing(leaf: Leaf, tables: Tables, splits: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return what the tables lack for a leaf split by dimensions: tables, columns, or `fact:dimension`."""
    unknown = tuple(f"{leaf.fact.name}:{name}" for name in splits if name not in leaf.fact.columns())
    return unknown or leaf.fact.missing(tables, leaf.value, *(_column(name) for name in splits))


def partly_known(metric: Metric, tables: Tables) -> dict[str, float]:
    """Return the columns that a metric sums though some rows lack them, with the share of rows that have them.

    A sum over what is known is less than the truth; whoever shows it says so.
    """
    found: dict[str, float] = {}
    for leaf in present(metric, tables):
        if isinstance(leaf, Additive):
            for column in leaf.fact.summed(tables, leaf.value):
                share = tables.coverage(*column.split(".", 1))
                assumed = column == _UNIT_COST and tables.assumptions.margin is not None
                if share < 1 and not assumed:
                    found[column] = share
    return found


def partly_said(metrics: Iterable[Metric], tables: Tables) -> tuple[str, ...]:
    """Return a sentence for each column that some metrics sum though some rows lack it, and what that does to them."""
    partly = {column: share for metric in metrics for column, share in partly_known(metric, tables).items()}
    return tuple(
        f"Unit costs are known for {human(share, 'share')} of the order lines only. The others count as free, so that "
        "costs are told too low and profits too high; --assume margin=0.3 supposes theirs from their price."
        if column == _UNIT_COST
        else f"{column} is known for {human(share, 'share')} of its rows only; sums over it are of what is known."
        for column, share in sorted(partly.items())
    )


def require_costs(cost: Metric, tables: Tables) -> None:
    """Refuse to act on profit where too many order lines have no unit cost, which would then be sold for nothing.

    Args:
        cost: The metric that counts unit costs.
        tables: The tables.

    Raises:
        MissingDataError: If unit costs are unknown, or known for too few lines, and no margin is assumed.
    """
    present(cost, tables)
    share = partly_known(cost, tables).get(_UNIT_COST, 1.0)
    if share < COSTED:
        raise MissingDataError(
            "Too many order lines have no unit cost: counted as free, they would make sales look better than they are",
            got=f"a unit cost on {human(share, 'share')} of them", allowed=f"{human(COSTED, 'share')} or more",
            do="import the others, or assume a margin for them with --assume margin=0.3; costs that are known stay",
        )  # fmt: skip


def left_out(metric: Metric, tables: Tables, splits: tuple[str, ...] = ()) -> tuple[Metric, ...]:
    """Return the parts of totals that a metric does without: the source lacks them, or they know no such dimension."""
    there = set(present(metric, tables, splits))
    return tuple(leaf for leaf in leaves(metric) if leaf not in there)


def _required(metric: Metric) -> tuple[Leaf, ...]:
    if isinstance(metric, Total):
        return tuple(leaf for part in metric.parts if part.required for leaf in _required(part.metric))
    if isinstance(metric, Ratio):
        return (*_required(metric.over), *_required(metric.under))
    return leaves(metric)


def _column(name: str) -> Callable[[Row], ir.Value]:
    def value(row: Row) -> ir.Value:
        return getattr(row, name)

    return value


def _among(name: str, column: ir.Value, values: tuple[str | None, ...]) -> ir.BooleanValue:
    named = [_typed(name, column, value) for value in values if value is not None]
    if len(named) == len(values):
        return column.isin(named)
    return column.isnull() | column.isin(named) if named else column.isnull()


def _typed(name: str, column: ir.Value, value: str) -> str | int | date:
    """Return a value as the dimension holds it."""
    kind, form = ("a whole number", int) if column.type().is_integer() else ("a day such as 2017-06-01", _day)
    if not (column.type().is_integer() or column.type().is_date()):
        return value
    try:
        read = form(value)
    except ValueError as error:
        raise BadInputError(f"{DIMENSIONS[name]} cannot be limited to this", got=value, allowed=kind) from error
    if isinstance(read, int) and abs(read) >= 2**63:
        raise BadInputError(f"{DIMENSIONS[name]} cannot be limited to this", got=value, allowed="up to 64 bits")
    return read


def _day(value: str | date) -> date:
    return value if isinstance(value, date) else date.fromisoformat(value)


def _aggregate(leaf: Leaf, column: ir.Column) -> ir.Scalar:
    if isinstance(leaf, Distinct):
        return column.nunique().cast("int64")
    return column.sum().cast(_kind(leaf))


def _kind(leaf: Leaf) -> str:
    return MONEY if isinstance(leaf, Additive) and leaf.unit == "money" else "int64"


def _value(metric: Metric, sums: ibis.Table, there: set[Leaf]) -> ir.Value:
    if isinstance(metric, Ratio):
        over = _value(metric.over, sums, there).cast("float64")
        return over * metric.times / _value(metric.under, sums, there).cast("float64").nullif(0.0)
    if isinstance(metric, Total):
        total: ir.Value = ibis.literal(0).cast(MONEY)
        for part in metric.parts:
            alone = part.beside is not None and part.beside not in there
            if part.required or (set(leaves(part.metric)) <= there and not alone):
                term = _value(part.metric, sums, there)
                total = total + term if part.sign > 0 else total - term
        return total.cast(MONEY)
    return sums[metric.name]
