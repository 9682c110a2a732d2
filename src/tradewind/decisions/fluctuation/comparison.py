"""What a period is compared with: another period, or what was expected of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from tradewind.engines.campaigns import campaign_days
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, MissingDataError
from tradewind.holidays import holidays_as_known
from tradewind.measures.metric import Additive, Metric, Ratio, Total
from tradewind.measures.query import Query
from tradewind.methods.expect import Expect, Expectation
from tradewind.methods.thin import is_thin, thin_ratio, thin_total
from tradewind.period import Period
from tradewind.study import Estimate

AGAINST = ("previous", "last-year", "expected")
BEFORE = 4  # comparable periods that make up the usual level and tell how noisy each slice is
NONE = "(none)"
FEWEST = 28  # days of history before anything is expected
LONGEST = 3 * 364  # days of history that expectations are learnt from
FAR = 2.326 / 1.645  # half of the range of 49 in 50 quiet periods over that of nine in ten
FEWEST_MOVES, FURTHER = 3, 1.2  # earlier periods that tell how far slices move, and how much further is news
WEIGHS = 1 / 8  # of the width of the normal range, from which a part of the change can be unusual by itself
ASTRAY = 0.02  # part by which a ratio of days together may miss that of the period, and still be made of them
OFTEN = 2  # campaigns of a kind, each whole and before the period, from which it is known what they bring


@dataclass(frozen=True)
class Leaves:
    """Metrics by every combination of dimensions, in several periods.

    Args:
        attributes: [leaves] value of each dimension; `NONE` where a row has none.
        values: [leaves, periods] of each metric: now, then the days compared with, then earlier ones.
        bases: Number of periods compared with.
        scale: Factor on their mean.
    """

    attributes: dict[str, np.ndarray[Any, Any]]
    values: dict[str, np.ndarray[Any, Any]]
    bases: int
    scale: float

    def now(self, name: str) -> np.ndarray[Any, Any]:
        """A metric in the period in question, [leaves]."""
        now: np.ndarray[Any, Any] = self.values[name][:, 0]
        return now

    def before(self, name: str) -> np.ndarray[Any, Any]:
        """The level that an additive metric is compared with, [leaves]."""
        level: np.ndarray[Any, Any] = self.values[name][:, 1 : 1 + self.bases].mean(axis=1) * self.scale
        return level

    def earlier(self, name: str) -> np.ndarray[Any, Any] | None:
        """A metric in the earlier periods, [leaves, periods]; None where there are none."""
        past = self.values[name][:, 1 + self.bases :]
        return past if past.shape[1] else None

    def is_news(self, name: str, where: Mapping[str, Any]) -> bool:
        """Return whether a slice's share of a metric moved further than that of any slice of its kind did before.

        Creators, shops and brands sell in bursts (a live room, a video that travels), so that the noise of single
        orders says too little of how far each may go from one period to the next; the periods before say it.
        """
        kinds = np.stack([self.attributes[dimension] for dimension in where], axis=1)
        groups, code = np.unique(kinds, axis=0, return_inverse=True)
        sums = np.stack([np.bincount(code.ravel(), column, len(groups)) for column in self.values[name].T], axis=1)
        total = sums.sum(axis=0)
        if len(groups) < 2 or (total <= 0).any():
            return False  # the whole is no slice
        if sums.shape[1] - 1 < FEWEST_MOVES:
            return True
        shares = sums / total
        usual = [np.delete(shares, [0, n], axis=1).mean(axis=1) for n in range(1, shares.shape[1])]
        moves = [float(np.abs(shares[:, n] - mean).max()) for n, mean in enumerate(usual, start=1)]
        mine = (groups == np.array([str(value) for value in where.values()])).all(axis=1)
        return bool(np.abs(shares[mine, 0] - shares[mine, 1:].mean(axis=1)).sum() > FURTHER * max(moves) + 1e-9)


@dataclass(frozen=True)
class Comparison:
    """A metric in a period, what it is compared with, and what was expected of it.

    Args:
        metric: The metric.
        period: The days in question, as far as the data reaches.
        actual: The metric over the period.
        against: `previous`, `last-year` or `expected`.
        bases: Periods whose mean is the level compared with: one, or for `expected` up to four before the period.
        scale: Factor on that mean: 1, or for `expected` what season and trend alone would do to it.
        days: The days of the history and the period.
        values: The metric on each of them.
        expectation: What was expected of each day of the period, or None where history is too short.
        band: The interval of the whole period, in the metric's unit, or None.
    """

    metric: Metric
    period: Period
    actual: float
    against: str
    bases: tuple[Period, ...]
    scale: float
    days: list[date]
    values: list[float]
    expectation: Expectation | None
    band: Estimate | None

    @property
    def base(self) -> Period:
        """The nearest period compared with."""
        return self.bases[0]

    @property
    def said(self) -> str:
        """The comparison in words."""
        if self.against != "expected":
            return self.base.during
        return "in the comparable periods before" if isinstance(self.metric, Ratio) else "expected"

    @property
    def is_outside(self) -> bool:
        """Whether the metric lies outside its normal range."""
        band = self.band
        return band is not None and not band.low <= self.actual <= band.high

    @property
    def is_far(self) -> bool:
        """Whether it lies so far outside that hardly a quiet period would: one in fifty."""
        band = self.band
        if band is None:
            return False
        side = band.mid - band.low if self.actual < band.mid else band.high - band.mid
        return abs(self.actual - band.mid) > FAR * side

    def weighs(self, amount: float) -> bool:
        """Return whether an amount is large enough, beside the normal range, to be called unusual by itself."""
        band = self.band
        return band is None or abs(amount) > (band.high - band.low) * WEIGHS

    def is_short(self, amount: float) -> bool:
        """Return whether the metric misses at least a third of an amount: else others made good for it."""
        band = self.band
        return band is None or self.actual <= band.mid - amount / 3

    def leaves(
        self, store: Store, metrics: tuple[Metric, ...], by: tuple[str, ...], earlier: tuple[Period, ...] = ()
    ) -> Leaves:
        """Return metrics by every combination of dimensions: now, in the days compared with, and earlier still."""
        slots = (self.period, *self.bases, *earlier)
        table = store.metrics(Query(metrics, self.period, by, slots=slots)).to_pydict()
        cells: dict[tuple[str, ...], np.ndarray[Any, Any]] = {}
        for row, key in enumerate(zip(*(table[name] for name in by), strict=True)):
            name = tuple(NONE if value is None else str(value) for value in key)
            cell = cells.setdefault(name, np.zeros((len(metrics), len(slots))))
            cell[:, table["slot"][row]] += [float(table[metric.name][row] or 0) for metric in metrics]
        ordered = sorted(cells)
        stacked = np.stack([cells[key] for key in ordered]) if ordered else np.zeros((0, len(metrics), len(slots)))
        attributes = {name: np.array([key[i] for key in ordered]) for i, name in enumerate(by)}
        values = {metric.name: stacked[:, i, :] for i, metric in enumerate(metrics)}
        return Leaves(attributes, values, len(self.bases), self.scale)


def compare(store: Store, metric: Metric, period: Period, against: str, seed: int) -> Comparison:
    """Return what a metric in a period is to be compared with.

    Raises:
        BadInputError: If the comparison is not known.
        MissingDataError: If the store does not reach back far enough, or holds no day of the period.
    """
    if against not in AGAINST:
        raise BadInputError("There is no such comparison", got=against, allowed=AGAINST)
    span = store.span
    asked, period = period, period.within(span)
    history = Period(max(span.first, period.first - timedelta(days=LONGEST)), period.last)
    days, columns = store.series((metric,), history)
    values = columns[metric.name]
    actual = _level(store, metric, (period,))
    expectation, band = _expected(store, metric, days, values, period, seed)
    if against == "expected":
        bases = _usual(period, span)
        if expectation is None or band is None or not bases:
            raise MissingDataError(
                "There is too little history to expect anything",
                got=f"{(period.first - span.first).days} days before the period", allowed="at least 28 days",
                do="compare with --against previous, or import earlier days",
            )  # fmt: skip
        usual = _level(store, metric, bases)
        # a ratio's usual level is a sum over a sum; its parts are not scaled, so that they agree with it
        scale = band.mid / usual if usual > 0 and not isinstance(metric, Ratio) else 1.0
        return Comparison(metric, period, actual, against, bases, scale, days, values, expectation, band)
    base = asked.previous if against == "previous" else asked.last_year
    if period != asked:
        base = base.starting(period.days)  # a running period is compared with as many days of the other
    if base.clipped(span) != base:
        raise MissingDataError(
            "The data does not reach back to the period compared with", got=base,
            allowed=f"days from {span.first} to {span.last}", do="choose a later period, or another --against",
        )  # fmt: skip
    return Comparison(metric, period, actual, against, (base,), 1.0, days, values, expectation, band)


def _usual(period: Period, span: Period) -> tuple[Period, ...]:
    """The comparable periods before: as many days, whole weeks back, so that weekdays align."""
    back = timedelta(days=7 * -(-period.days // 7))
    earlier = [Period(period.first - n * back, period.last - n * back) for n in range(1, BEFORE + 1)]
    return tuple(other for other in earlier if other.clipped(span) == other)


def _level(store: Store, metric: Metric, bases: tuple[Period, ...]) -> float:
    found = [store.metrics(Query((metric,), base)).to_pydict()[metric.name][0] for base in bases]
    return float(np.mean([float(value or 0) for value in found]))


def _expected(
    store: Store, metric: Metric, days: list[date], values: list[float], period: Period, seed: int
) -> tuple[Expectation | None, Estimate | None]:
    """Return what was expected of each day, and of the whole period in the metric's own unit.

    Days are expected one by one and summed. Where a period's value is not the sum of its days (different buyers, a
    ratio), the sum is brought to the period's unit by how the two were related in the comparable period before. Where
    many days have nothing, the sum is what was usual, and a ratio a sum over a sum.
    """
    cut = (period.first - days[0]).days
    past = np.array(values[:cut])
    begun = np.flatnonzero(np.nan_to_num(past) != 0)
    start = int(begun[0]) if len(begun) else cut  # what had not begun yet says nothing of what is normal
    past = past[start:]
    if np.isfinite(past).sum() < FEWEST:
        return None, None
    ordinals = np.array([day.toordinal() for day in days[start:cut]])
    known = {
        **holidays_as_known(store.provenance.country, days[start], len(past) + period.days),
        **_campaigns_as_known(store, Period(days[start], days[cut - 1]), period),
    }
    found = Expect(seed=seed)(past, period.days, days=ordinals, known=known)
    thin = _thin(store, metric, Period(days[start], period.last), period) if isinstance(metric, Ratio) else None
    found = found if isinstance(metric, Ratio) else thin_total(found, past)
    band = thin or found.total
    if thin is None and not isinstance(metric, Additive | Total):
        factor = _factor(store, metric, days, values, period)
        if factor is None:
            return found, None
        wide = band.mid * (factor.high - factor.mid)
        mid, below, above = (factor.mid * part for part in (band.mid, band.mid - band.low, band.high - band.mid))
        band = Estimate(mid, mid - float(np.hypot(below, wide)), mid + float(np.hypot(above, wide)), band.level)
    least = 0.0 if np.nanmin(past) >= 0 else -np.inf
    most = 1.0 if metric.unit == "share" else np.inf
    mid, low, high = (min(max(end, least), most) for end in (band.mid, band.low, band.high))
    return found, Estimate(mid, low, high, band.level)


def _factor(store: Store, metric: Metric, days: list[date], values: list[float], period: Period) -> Estimate | None:
    """How a period's value was related to the sum of its days in comparable periods before; None if unknown.

    Its own interval is told by how far these periods differ: how often buyers of a day come again on another is not
    seen in days.
    """
    bases = _usual(period, Period(days[0], days[-1]))
    found = []
    for base, whole in zip(bases, (_level(store, metric, (base,)) for base in bases), strict=True):
        at = (base.first - days[0]).days
        inside = np.array(values[at : at + base.days])
        if isinstance(metric, Ratio):  # a day without a denominator has no ratio, and is none of nought
            together = float(np.nanmean(inside)) * base.days if np.isfinite(inside).any() else 0.0
        else:
            together = float(np.nansum(inside))
        if together > 0 and whole > 0:
            found.append(whole / together)
    if not found:
        return None
    mid, count, wide = float(np.mean(found)), len(found), 0.0
    if count > 1:
        wide = float(stdtrit(max(count - 1, 2), 0.95) * np.std(found, ddof=1) * np.sqrt(1 + 1 / count))
    return Estimate(mid, mid - wide, mid + wide)


def _thin(store: Store, metric: Ratio, history: Period, period: Period) -> Estimate | None:
    """Return the normal range of a ratio whose days are thin; None where they are not, or do not add up to a period.

    Different buyers of days do not add up to those of a month: whether parts do is seen in the days before.
    """
    parts = (metric.over, metric.under)
    if any(isinstance(part, Ratio) for part in parts):
        return None
    _, columns = store.series(parts, history)
    over, under = (np.array(columns[part.name]) for part in parts)
    cut = (period.first - history.first).days
    if not is_thin((over[:cut] != 0) & (under[:cut] != 0)) or not under[:cut].any() or (under[:cut] < 0).any():
        return None
    whole = _level(store, metric, (Period(history.first, period.first - timedelta(days=1)),))
    if abs(whole - over[:cut].sum() / under[:cut].sum() * metric.times) > ASTRAY * abs(whole):
        return None
    found = thin_ratio(over[:cut], under[:cut], float(under[cut:].sum()), period.days)
    return None if found is None else found.scaled(metric.times)


def _campaigns_as_known(store: Store, past: Period, period: Period) -> dict[str, NDArray[np.float64]]:
    """Return the days of campaigns whose kind came often enough before for its effect to be known, by kind.

    A campaign of a shop is not told apart from what that shop does anyway; one of the whole marketplace is.
    """
    if not store.has("campaigns"):
        return {}
    length = past.days + period.days
    known: dict[str, NDArray[np.float64]] = {}
    whole: dict[str, int] = {}
    for row in campaign_days(store, period.last):
        if row["shop_id"] is not None or row["ends_at"] is None:
            continue
        name = f"campaign {row['kind'] or ''}"
        flags = known.setdefault(name, np.zeros(length))
        since, until = ((day - past.first).days for day in (row["days"].first, row["days"].last))
        flags[max(since, 0) : max(until + 1, 0)] = 1.0
        whole[name] = whole.get(name, 0) + (past.first <= row["days"].first and row["days"].last <= past.last)
    return {name: flags for name, flags in known.items() if whole[name] >= OFTEN and flags[past.days :].any()}
