"""Cuts: the same rows grouped several ways in one pass, for pages that show one entity from many sides.

A query groups one way. A page of one shop wants its totals, its days, its products and its creators at once, and most
of what each costs is finding the shop's rows; here they are found once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from tradewind.errors import BadInputError, MissingDataError
from tradewind.measures.fact import MONEY, Fact, Row, Tables, during
from tradewind.measures.metric import Additive, Leaf, Metric, Ratio, Total, leaves
from tradewind.measures.query import DIMENSIONS, present
from tradewind.period import Period

Number = Decimal | float | int | None


@dataclass(frozen=True)
class Cut:
    """One way to group.

    Args:
        by: Dimensions that tell its rows apart, from `DIMENSIONS`; `day` for a row a day; none for the whole.
        metrics: What is counted in each group.
    """

    by: tuple[str, ...]
    metrics: tuple[Metric, ...]

    def __post_init__(self) -> None:
        for name in self.by:
            if name not in DIMENSIONS and name != "day":
                raise BadInputError("There is no such dimension", got=name, allowed=("day", *DIMENSIONS))


@dataclass(frozen=True)
class Cuts:
    """Several ways to group the same rows.

    Args:
        cuts: The ways, by name.
        slots: Periods side by side, which must not overlap; the column `slot` tells which.
        where: The value that each of these dimensions has in the rows that count.
        among: Customers whose rows count, in a column `customer_id`; all where None.
    """

    cuts: Mapping[str, Cut]
    slots: tuple[Period, ...]
    where: Mapping[str, str]
    among: ibis.Table | None = None

    def expression(self, tables: Tables) -> ibis.Table | None:
        """Return all cuts as one expression of leaf sums, or None where no metric lights up."""
        shown = {name: found for name, terms in self.terms(tables).items() if (found := _leaves(terms))}
        if not shown:
            return None
        wanted = tuple(dict.fromkeys(leaf for found in shown.values() for leaf in found))
        by = tuple(dict.fromkeys(name for cut in shown for name in self.cuts[cut].by))
        facts = {leaf.fact.name: leaf.fact for leaf in wanted}
        parts = [self._rows(fact, wanted, by, tables) for fact in facts.values()]
        rows = ibis.union(*parts) if len(parts) > 1 else parts[0]
        rows = rows.join(_ways(shown), "fact")  # a row counts once in each way to group
        keys: dict[str, ir.Value] = {"cut": rows.cut, "slot": rows.slot}
        for n in range(max(len(self.cuts[name].by) for name in shown)):
            told = [(rows.cut == name, rows[f"by_{self.cuts[name].by[n]}"]) for name in shown if self._wide(name, n)]
            keys[f"key{n}"] = ibis.cases(*told)
        return rows.group_by(**keys).aggregate(**{leaf.name: _sum(leaf, rows[leaf.name]) for leaf in wanted})

    def _wide(self, name: str, n: int) -> bool:
        return n < len(self.cuts[name].by)

    def read(self, tables: Tables, found: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        """Return each cut's rows of the expression's answer: its dimensions, `slot`, and its metrics that light up.

        Additive metrics are 0 where nothing happened; a ratio over nothing is None. Rows are ordered by group.
        """
        answer: dict[str, list[dict[str, Any]]] = {name: [] for name in self.cuts}
        there = self.terms(tables)
        for sums in found:
            name = sums["cut"]
            row: dict[str, Any] = {
                key: date.fromisoformat(sums[f"key{n}"]) if key == "day" else sums[f"key{n}"]
                for n, key in enumerate(self.cuts[name].by)
            }
            row["slot"] = sums["slot"]
            for metric, terms in there[name].items():
                row[metric.name] = worth(metric, sums, terms)
            answer[name].append(row)
        for name, rows in answer.items():
            rows.sort(key=_order(*self.cuts[name].by))
        return answer

    def splits(self, cut: Cut) -> tuple[str, ...]:
        """Dimensions that a fact must know for its metrics to count in a cut."""
        whose = ("customer_id",) if self.among is not None else ()
        return tuple(dict.fromkeys((*(name for name in cut.by if name != "day"), *self.where, *whose)))

    def terms(self, tables: Tables) -> dict[str, dict[Metric, tuple[Leaf, ...]]]:
        """Return for each cut the metrics that light up in it, each with the leaves that the source has."""
        found: dict[str, dict[Metric, tuple[Leaf, ...]]] = {}
        for name, cut in self.cuts.items():
            splits = self.splits(cut)
            found[name] = {}
            for metric in cut.metrics:
                with suppress(MissingDataError):
                    found[name][metric] = present(metric, tables, splits)
        return found

    def _rows(self, fact: Fact, wanted: Sequence[Leaf], by: Sequence[str], tables: Tables) -> ibis.Table:
        """The rows of a fact that count, with what is wanted of it; null for what only other facts have."""
        own = [leaf for leaf in wanted if leaf.fact is fact]
        known = [name for name in by if name in fact.columns() and not fact.missing(tables, _column(name))]
        whose = ("customer_id",) if self.among is not None else ()
        names = dict.fromkeys((*known, *self.where, *whose, "day"))
        reads = [*(leaf.value for leaf in own), *(_column(name) for name in names)]
        relation, row = fact.rows(tables, *reads, within=self.slots)
        inside = [during(row.day, period) for period in self.slots]
        alike = [getattr(row, name) == value for name, value in self.where.items()]
        slot = ibis.cases(*((when, ibis.literal(n, "int64")) for n, when in enumerate(inside)))
        columns: dict[str, ir.Value] = {"fact": ibis.literal(fact.name), "slot": slot}
        for name in by:
            columns[f"by_{name}"] = getattr(row, name).cast("string") if name in known else ibis.null("string")
        for leaf in wanted:
            columns[leaf.name] = leaf.value(row).cast(_kind(leaf)) if leaf in own else ibis.null(_kind(leaf))
        relation = relation.filter(ibis.or_(*inside), *alike)
        if self.among is None:
            return relation.select(**columns)
        found = relation.select(**columns, __customer=row.customer_id)
        people = self.among.select(__member="customer_id").distinct()
        return found.semi_join(people, found["__customer"] == people["__member"]).drop("__customer")


def worth(metric: Metric, sums: Mapping[str, Any], there: Sequence[Leaf]) -> Number:
    """Return a metric from sums of its leaves, as a query would.

    Args:
        metric: The metric.
        sums: Value of each leaf by its name; None counts as nothing.
        there: The leaves that the source has.

    Returns:
        Decimals and counts exactly; a ratio as a float, None over nothing.
    """
    if isinstance(metric, Ratio):
        over, under = worth(metric.over, sums, there), worth(metric.under, sums, there)
        return float(over or 0) * metric.times / float(under) if under else None
    if isinstance(metric, Total):
        total = Decimal(0)
        for part in metric.parts:
            alone = part.beside is not None and not set(leaves(part.beside)) <= set(there)
            if part.required or (set(leaves(part.metric)) <= set(there) and not alone):
                total += part.sign * Decimal(worth(part.metric, sums, there) or 0)
        return total
    value: Number = sums.get(metric.name)
    return value if value is not None else Decimal(0) if metric.unit == "money" else 0


def _column(name: str) -> Callable[[Row], ir.Value]:
    def value(row: Row) -> ir.Value:
        return getattr(row, name)

    return value


def _order(*by: str) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    return lambda row: (*((row[name] is not None, str(row[name])) for name in by), row["slot"])


def _kind(leaf: Leaf) -> str:
    """Type of a row's value: what is counted distinct is told apart as text."""
    return _summed(leaf) if isinstance(leaf, Additive) else "string"


def _summed(leaf: Leaf) -> str:
    return MONEY if isinstance(leaf, Additive) and leaf.unit == "money" else "int64"


def _leaves(terms: Mapping[Metric, Sequence[Leaf]]) -> tuple[Leaf, ...]:
    return tuple(dict.fromkeys(leaf for found in terms.values() for leaf in found))


def _ways(shown: Mapping[str, Sequence[Leaf]]) -> ibis.Table:
    """Which facts count in which cut."""
    pairs = sorted({(name, leaf.fact.name) for name, found in shown.items() for leaf in found})
    return ibis.memtable(pa.table({"cut": [name for name, _ in pairs], "fact": [fact for _, fact in pairs]}))


def _sum(leaf: Leaf, column: ir.Column) -> ir.Scalar:
    return (column.sum() if isinstance(leaf, Additive) else column.nunique()).cast(_summed(leaf))
