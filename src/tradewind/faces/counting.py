"""Metrics counted over a period, as every face gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tradewind.engines.store import Store
from tradewind.measures.metric import Metric
from tradewind.measures.metrics import assumed, metric
from tradewind.measures.query import DIMENSIONS, Query, left_out, partly_known, partly_said
from tradewind.period import Period
from tradewind.study import Column, Grid, Provenance


@dataclass(frozen=True)
class CountedMetric:
    """How one metric was counted.

    Args:
        name: Its name.
        title: What the reader sees.
        unit: Its unit.
        doc: What exactly is counted.
        assumed: Whether it rests on something that was assumed.
        without: Titles of the terms that were left out, since the source lacks them.
        partly: Columns that it sums though some rows lack them, with the share of rows that have them.
    """

    name: str
    title: str
    unit: str
    doc: str
    assumed: bool
    without: tuple[str, ...]
    partly: Mapping[str, float]


@dataclass(frozen=True)
class Counted:
    """Metrics over a period, a row for each group.

    Args:
        period: The days that count.
        by: Dimensions that split the rows.
        metrics: How each metric was counted.
        rows: Values by dimension and metric; the first metric's largest come first, or the earliest where time splits.
        rows_total: Number of rows before any were left out.
        provenance: Where the numbers come from.
        gaps: What some rows lack, and what that does to the sums.
    """

    period: Period
    by: tuple[str, ...]
    metrics: tuple[CountedMetric, ...]
    rows: tuple[Mapping[str, Any], ...]
    rows_total: int
    provenance: Provenance
    gaps: tuple[str, ...] = ()

    @property
    def grid(self) -> Grid:
        """The rows as a table with titles and units."""
        groups = (Column(name, DIMENSIONS[name], "day" if name in TIMES else "text") for name in self.by)
        sums = (Column(m.name, m.title + " (assumed)" * m.assumed, m.unit) for m in self.metrics)
        if "month" not in self.by:
            return Grid((*groups, *sums), self.rows)
        return Grid((*groups, *sums), tuple({**row, "month": f"{row['month']:%b %Y}"} for row in self.rows))

    def limited(self, top: int | None) -> Counted:
        """Return the same with the first `top` rows only; all where it is 0 or None."""
        return replace(self, rows=self.rows[:top]) if top else self


TIMES = ("day", "week", "month")


def counted(
    store: Store,
    names: Sequence[str],
    period: Period,
    by: Sequence[str] = (),
    every: str | None = None,
    where: Mapping[str, tuple[str | None, ...]] | None = None,
) -> Counted:
    """Count metrics.

    Args:
        store: The store, as the caller may see it.
        names: Names of the metrics.
        period: The days that count.
        by: Dimensions that split the answer.
        every: `day`, `week` or `month` for a row each.
        where: Values that a dimension may have.

    Raises:
        NotFoundError: If there is no such metric.
        BadInputError: If a dimension or a step is not known.
        MissingDataError: If the source lacks what a metric or a dimension needs.
    """
    metrics = tuple(metric(name) for name in dict.fromkeys(names))
    query = Query(metrics, period, tuple(by), every, where or {})
    rows = store.metrics(query).to_pylist()
    if not any(name in TIMES for name in query.groups):
        first = metrics[0].name
        rows.sort(key=lambda row: (row[first] is None, -(row[first] or 0)))
    described = tuple(_described(store, each, (*query.groups, *query.where)) for each in metrics)
    return Counted(
        period, query.groups, described, tuple(rows), len(rows), store.provenance, partly_said(metrics, store)
    )


def _described(store: Store, each: Metric, splits: tuple[str, ...]) -> CountedMetric:
    without = tuple(part.title for part in left_out(each, store, splits))
    return CountedMetric(
        each.name, each.title, each.unit, each.doc, assumed(each, store), without, partly_known(each, store)
    )
