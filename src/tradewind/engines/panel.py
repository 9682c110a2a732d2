"""The panel: the leaves of metrics day by day, from which any period is answered without asking the engine again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tradewind.engines.panel_cells import UNITS, Cells, Codes, Sums, Things, Whole, coded, numbered, whole
from tradewind.errors import BadInputError
from tradewind.measures.fact import Fact
from tradewind.measures.metric import Additive, Distinct, Leaf, Metric, Ratio, Total, leaves
from tradewind.measures.query import Query, missing, present, present_where
from tradewind.period import Period

if TYPE_CHECKING:
    from tradewind.engines.store import Store

KEPT = 256  # answers by metric and length of window that are kept

Array = NDArray[np.float64]
Values = dict[str, Any]


@dataclass(frozen=True)
class Known:
    """What all panels of one reading share.

    Args:
        metrics: The metrics that they answer.
        span: The days that they know; outside them nothing happened.
        names: By dimension, its values in the order of their codes.
        lacking: By leaf and dimension, what the source lacks for it.
    """

    metrics: tuple[Metric, ...]
    span: Period
    names: Mapping[str, tuple[Any, ...]]
    lacking: Mapping[Leaf, Mapping[str, tuple[str, ...]]]
    _there: dict[tuple[str, ...], frozenset[Leaf]] = field(default_factory=dict)

    def there(self, splits: tuple[str, ...]) -> frozenset[Leaf]:
        """Return the leaves that can be answered by these dimensions.

        Raises:
            MissingDataError: If a metric cannot be.
        """
        if splits not in self._there:

            def lacks(leaf: Leaf) -> tuple[str, ...]:
                if leaf not in self.lacking:  # an optional part that the source does not have at all
                    return (leaf.name,)
                return tuple(sorted({need for name in splits for need in self.lacking[leaf][name]}))

            found = (leaf for metric in self.metrics for leaf in present_where(metric, lacks, splits))
            self._there[splits] = frozenset(found)
        return self._there[splits]


class Panel:
    """Metrics of one store, as one caller may see it, over any period: `store.metrics` without the engine.

    It holds amounts and things by day and by all its dimensions together, so that it is as large as the combinations
    that occur; ask for the dimensions that are needed. `Store.panel` makes and keeps them. Threads
    may share it.

    Args:
        known: What it shares with the panels made of it.
        sums: Amounts by day and dimension.
        things: Things met, by day and dimension.
        limits: The dimensions and values that it is limited to.
    """

    def __init__(
        self,
        known: Known,
        sums: tuple[Cells, ...],
        things: tuple[Cells, ...],
        limits: tuple[tuple[str, Any], ...] = (),
    ):
        self.metrics = known.metrics
        self.span = known.span
        self.limits = limits
        self.known = known
        self._sums = sums
        self._things = things
        self._splits: dict[str, Split] = {}
        self._whole = Split(self, None, ())
        self._days: dict[str, Array] = {}
        self._windows: dict[tuple[str, int], Array] = {}

    @classmethod
    def read(cls, store: Store, metrics: Sequence[Metric], by: Sequence[str] = ()) -> Panel:
        """Ask a store for all that a panel holds: a query for what is summed and one a fact for what is counted.

        Raises:
            BadInputError: If there are no metrics, or a dimension is not known.
            MissingDataError: If the source lacks what a metric needs, or none of them knows a dimension.
        """
        asked = tuple(metrics)
        Query(asked, store.span, tuple(by))  # says what is wrong with them
        found = tuple(dict.fromkeys(leaf for metric in asked for leaf in present(metric, store)))
        lacking = {leaf: {name: missing(leaf, store, (name,)) for name in by} for leaf in found}
        for name in by:
            if all(lacking[leaf][name] for leaf in found):
                present(asked[0], store, (name,))  # says what is lacking
        facts: dict[str, Fact] = {leaf.fact.name: leaf.fact for leaf in found}
        spans = [store.span, *(span for fact in facts.values() if (span := store.counts(fact.table).span) is not None)]
        span = Period(min(s.first for s in spans), max(s.last for s in spans))
        known: dict[str, dict[Any, int]] = {name: {} for name in by}
        sums, things = [], []
        alike: dict[tuple[str, ...], list[Leaf]] = {}
        for leaf in found:
            alike.setdefault(tuple(name for name in by if not lacking[leaf][name]), []).append(leaf)
        for dimensions, wanted in alike.items():
            added = tuple(leaf for leaf in wanted if isinstance(leaf, Additive))
            if added:
                table = store.metrics(Query(added, span, dimensions, every="day"))
                columns = [whole(table[leaf.name], leaf.title) for leaf in added]
                sums.append(_cells(table, span, dimensions, known, added, columns))
            for fact in facts.values():
                met = tuple(leaf for leaf in wanted if isinstance(leaf, Distinct) and leaf.fact is fact)
                if met:
                    table = store.run(Query(met, span, dimensions, every="day").things(store))
                    columns = [numbered(table[leaf.name]) for leaf in met]
                    things.append(_cells(table, span, dimensions, known, met, columns))
        names = {name: tuple(codes) for name, codes in known.items()}
        panel = cls(Known(asked, span, names, lacking), tuple(sums), tuple(things))
        if len(by) == 1:
            panel.split(by[0])  # the answer of all is likely to be asked for; prepared once, before threads share it
        return panel

    def values(self, period: Period) -> Values:
        """Return the metrics over a period as `store.metrics` would: money exact, None for a ratio over nothing."""
        return self._whole.values(period, every=True)[None]

    def daily(self, metric: Metric, period: Period | None = None) -> Array:
        """Return a metric day by day as floats.

        Args:
            metric: A metric of the panel, or one that is made of its leaves.
            period: The days; all of the panel's if None.

        Returns:
            [days] its values: 0 where nothing happened, NaN where a ratio has no denominator.
        """
        period = period or self.span
        inside = period.clipped(self.span)
        found = np.full(period.days, np.nan if isinstance(metric, Ratio) else 0.0)
        if inside is not None:
            if metric.name not in self._days:
                self._days[metric.name] = _floats(metric, self._whole.daily(leaves(metric)), self._whole.there)
            days = self._days[metric.name]
            start = (inside.first - self.span.first).days
            at = (inside.first - period.first).days
            found[at : at + inside.days] = days[start : start + inside.days]
        return found

    def windows(self, metric: Metric, length: int) -> Array:
        """Return a metric over every run of `length` days inside the span, by its first day, as floats.

        What is counted different is counted anew in every run, so that it is no sum of days.

        Raises:
            BadInputError: If the panel has fewer days.
        """
        if not 1 <= length <= self.span.days:
            raise BadInputError("The panel has fewer days", got=length, allowed=f"1 to {self.span.days}")
        key = (metric.name, length)
        found = self._windows.get(key)
        if found is None:
            found = _floats(metric, self._whole.windows(leaves(metric), length), self._whole.there)
            found.flags.writeable = False
            if len(self._windows) >= KEPT:
                self._windows.clear()
            self._windows[key] = found
        return found

    def split(self, dimension: str) -> Split:
        """Return the same metrics for each value of a dimension.

        Raises:
            BadInputError: If the panel was not made for the dimension.
            MissingDataError: If the source lacks what a metric needs, split like this.
        """
        if dimension not in self._splits:
            self._splits[dimension] = Split(self, self._checked(dimension), self.known.names[dimension])
        return self._splits[dimension]

    def of(self, dimension: str, value: Any) -> Panel:
        """Return the panel of one value of a dimension alone; None is the value where it is missing.

        Raises:
            BadInputError: If the panel was not made for the dimension.
            MissingDataError: If the source lacks what a metric needs, limited like this.
        """
        names = self.known.names[self._checked(dimension)]
        code = names.index(value) if value in names else -1
        sums = tuple(cells.of(dimension, code) for cells in self._sums if dimension in cells.codes)
        things = tuple(cells.of(dimension, code) for cells in self._things if dimension in cells.codes)
        limits = (*self.limits, (dimension, value))
        return Panel(self.known, sums, things, limits)

    def cells(self, dimension: str | None) -> tuple[tuple[Cells, ...], tuple[Cells, ...]]:
        """Return the amounts and the things that know a dimension; all where it is None."""
        known = [
            tuple(cells for cells in some if dimension is None or dimension in cells.codes)
            for some in (self._sums, self._things)
        ]
        return known[0], known[1]

    def _checked(self, dimension: str) -> str:
        if dimension not in self.known.names:
            allowed = ", ".join(self.known.names) or "none: name dimensions where the panel is made"
            raise BadInputError("The panel was not made for this dimension", got=dimension, allowed=allowed)
        return dimension


class Split:
    """A panel's metrics for each value of a dimension.

    Args:
        panel: The panel.
        dimension: The dimension; None for the whole, as one value.
        keys: Its values, in the order of their codes.
    """

    def __init__(self, panel: Panel, dimension: str | None, keys: tuple[Any, ...]):
        self.keys = keys if dimension else (None,)
        splits = (*((dimension,) if dimension else ()), *(name for name, _ in panel.limits))
        self.there = panel.known.there(splits)
        self._metrics = panel.metrics
        self._span = panel.span
        amounts, met = panel.cells(dimension)
        count, length = len(self.keys), panel.span.days
        groups = [cells.codes[dimension] if dimension else None for cells in (*amounts, *met)]
        self._sums = [Sums(cells, group, count, length) for cells, group in zip(amounts, groups, strict=False)]
        self._things = [
            Things(cells, group, count, length) for cells, group in zip(met, groups[len(amounts) :], strict=True)
        ]
        # missing values first, as the engine orders them
        self._order = sorted(range(count), key=lambda n: (self.keys[n] is not None, self.keys[n]))

    def values(self, period: Period, *, every: bool = False) -> dict[Any, Values]:
        """Return the metrics of each value over a period, as `store.metrics` would, in its order.

        Args:
            period: The days.
            every: Whether values of which nothing is known in the period are given too, as zeros.
        """
        found, there = self._between(period)
        columns = {metric.name: _said(metric, _evaluated(metric, found, self.there)) for metric in self._metrics}
        shown = [n for n in self._order if every or there[n]]
        return {self.keys[n]: {name: column[n] for name, column in columns.items()} for n in shown}

    def column(self, metric: Metric, period: Period) -> Array:
        """Return one metric of each value over a period as floats in the order of `keys`, NaN for a ratio over 0."""
        return _floats(metric, self._between(period)[0], self.there)

    def units(self, metric: Additive, period: Period) -> Whole:
        """Return an additive metric of each value over a period in whole numbers, money in ten-thousandths."""
        return self._between(period)[0][metric.name]

    def daily(self, wanted: Sequence[Leaf]) -> dict[str, Whole]:
        """Return leaves of the first value day by day."""
        every: tuple[Sums | Things, ...] = (*self._sums, *self._things)
        return {leaf.name: part.daily(leaf.name) for leaf in wanted for part in every if leaf.name in part.names}

    def windows(self, wanted: Sequence[Leaf], length: int) -> dict[str, Whole]:
        """Return leaves of the first value over every run of days."""
        found = {}
        for leaf in wanted:
            for part in self._sums:
                if leaf.name in part.names:
                    running = np.concatenate([[0], np.cumsum(part.daily(leaf.name))])
                    found[leaf.name] = running[length:] - running[:-length]
            for counted in self._things:
                if leaf.name in counted.names:
                    found[leaf.name] = counted.windows(leaf.name, length)
        return found

    def _between(self, period: Period) -> tuple[dict[str, Whole], NDArray[np.bool_]]:
        """Return by leaf the numbers of each value, and whether anything is known of it."""
        inside = period.clipped(self._span)
        there = np.zeros(len(self.keys), dtype=bool)
        found: dict[str, Whole] = {}
        parts: tuple[Sums | Things, ...] = (*self._sums, *self._things)
        for part in parts:
            if inside is None:
                numbers = np.zeros((len(self.keys), len(part.names)), dtype=np.int64)
            else:
                first = (inside.first - self._span.first).days
                numbers, seen = part.between(first, first + inside.days - 1)
                there |= seen
            found.update(zip(part.names, numbers.T, strict=True))
        return found, there


def _cells(
    table: Any,
    span: Period,
    dimensions: tuple[str, ...],
    known: dict[str, dict[Any, int]],
    wanted: Sequence[Leaf],
    columns: list[Whole] | list[Codes],
) -> Cells:
    """Return the rows of an answer as cells; dimensions get codes."""
    ordinals = table["day"].combine_chunks().cast("int32").to_numpy().astype(np.int64)
    days = ordinals - (span.first - date(1970, 1, 1)) // timedelta(days=1)
    codes = {name: coded(table[name], known[name]) for name in dimensions}
    return Cells(days, codes, tuple(leaf.name for leaf in wanted), np.column_stack(columns))


def _evaluated(metric: Metric, found: Mapping[str, Whole], there: frozenset[Leaf]) -> Any:
    """Return a metric as arrays: whole numbers as they are kept, a ratio as floats with NaN over nothing."""
    if isinstance(metric, Ratio):
        over, under = _floats(metric.over, found, there), _floats(metric.under, found, there)
        return over * metric.times / np.where(under == 0, np.nan, under)
    if isinstance(metric, Total):
        total: Any = 0
        for part in metric.parts:
            alone = part.beside is not None and part.beside not in there
            if part.required or (set(leaves(part.metric)) <= there and not alone):
                total = total + part.sign * _evaluated(part.metric, found, there)
        return total
    return found[metric.name]


def _floats(metric: Metric, found: Mapping[str, Whole], there: frozenset[Leaf]) -> Array:
    """Return a metric as floats in its own unit, NaN for a ratio over nothing."""
    values = np.asarray(_evaluated(metric, found, there), dtype=np.float64)
    return values / UNITS if metric.unit == "money" and not isinstance(metric, Ratio) else values


def _said(metric: Metric, values: Any) -> list[Any]:
    """Return values in Python's own numbers: money exact."""
    listed: list[Any] = values.tolist()
    if isinstance(metric, Ratio):
        return [None if value != value else value for value in listed]  # noqa: PLR0124  NaN alone is unlike itself
    if metric.unit == "money":
        return [Decimal(value).scaleb(-4) for value in listed]
    return listed
