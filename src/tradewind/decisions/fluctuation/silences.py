"""What fell silent: products and creators that are no longer shown, and products that ran out, beyond what is usual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import ibis
import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from tradewind.decisions.fluctuation.comparison import Comparison
from tradewind.engines.store import Store
from tradewind.measures.fact import during
from tradewind.measures.metric import Additive
from tradewind.measures.query import Query, lights_up
from tradewind.period import Period

WINDOW = 4  # comparable periods from which the usual pace is taken
EARLIER = 8  # comparable periods before that tell how much silence is usual
FEWEST = 3  # of them, without which nothing is called unusual
SHOWN = 20.0  # impressions a period from which silence cannot be chance
PRIOR = 5.0  # periods that the noise of single silences counts for
CHANCE = 0.002  # that so much silence comes by chance, one in five hundred

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Silence:
    """What fell silent in a period.

    Args:
        dimension: `product_id` or `creator_id`.
        names: Who fell silent, the one with the largest usual amount first.
        days: Days of silence, summed over them.
        missed: What they would have brought at their own usual pace, in the metric's unit.
        usual: What silence of the kind cost in an earlier period, on average.
        beyond: Whether that is more than chance would give: one case in five hundred.
    """

    dimension: str
    names: tuple[str, ...]
    days: int
    missed: float
    usual: float
    beyond: bool


def unshown(store: Store, comparison: Comparison, dimension: str) -> Silence | None:
    """Return products or creators without an impression that are usually shown; None where there are none.

    Products that are out of stock are left to `sold_out`.
    """
    metric = comparison.metric
    if not store.has("traffic") or not isinstance(metric, Additive) or not lights_up(metric, store, (dimension,)):
        return None
    periods = _periods(store, comparison)
    rows = store.table("traffic")
    shown = _counted(store, rows.filter(rows[dimension].notnull()), dimension, periods, rows.impressions.sum())
    worth = _worth(store, comparison, dimension, periods)
    names = sorted(shown)
    if not names or len(periods) < 2:
        return None
    seen = np.stack([shown[name] for name in names])
    brought = np.stack([worth.get(name, np.zeros(len(periods))) for name in names])
    out = np.zeros(seen.shape)
    if dimension == "product_id" and store.has("inventory"):
        empty = _empty(store, periods)
        out = np.stack([empty.get(name, np.zeros(len(periods))) for name in names])
    silent = (seen == 0) & (out == 0) & (_usual(seen) >= SHOWN)
    return _silence(dimension, names, silent * comparison.period.days, brought, comparison)


def sold_out(store: Store, comparison: Comparison) -> Silence | None:
    """Return products on days without stock, against their own usual pace; None where there are none."""
    metric = comparison.metric
    if not isinstance(metric, Additive) or not lights_up(metric, store, ("product_id",)):
        return None
    periods = _periods(store, comparison)
    empty = _empty(store, periods)
    worth = _worth(store, comparison, "product_id", periods)
    names = sorted(name for name in empty if name in worth)
    if not names or len(periods) < 2:
        return None
    days = np.stack([empty[name] for name in names])
    return _silence("product_id", names, days, np.stack([worth[name] for name in names]), comparison)


def _silence(dimension: str, names: list[str], days: Floats, brought: Floats, comparison: Comparison) -> Silence | None:
    """Return what days of silence cost now, beside what they cost in earlier periods: arrays are [names, periods]."""
    pace = _usual(brought) / comparison.period.days
    missed = np.maximum(pace, 0.0) * days
    order = np.argsort(-missed[:, 0], kind="stable")
    those = [n for n in order if missed[n, 0] > 0]
    if not those:
        return None
    told = missed[:, 1 : days.shape[1] - WINDOW + 1] if days.shape[1] > WINDOW else missed[:, :0]
    before = told.sum(axis=0)
    total, usual = float(missed[:, 0].sum()), float(before.mean()) if len(before) else 0.0
    beyond = False
    if len(before) >= FEWEST:
        # silences come one by one, each as large as what it silences: the variance of a sum is the sum of squares
        single = max(float((told**2).sum(axis=0).mean()), float((missed[those, 0] ** 2).mean()))
        spread = (PRIOR * single + float(((before - usual) ** 2).sum())) / (PRIOR + len(before) - 1)
        score = (total - usual) / max(np.sqrt(spread * (1 + 1 / len(before))), 1e-12)
        beyond = bool(stdtr(PRIOR + len(before) - 1, -score) < CHANCE)
    return Silence(
        dimension, tuple(names[n] for n in those), round(float(days[those, 0].sum())), total, usual, beyond
    )  # fmt: skip


def _usual(values: Floats) -> Floats:
    """Return the mean of the periods before each, [names, periods]; the newest period comes first."""
    found = np.zeros(values.shape)
    for period in range(values.shape[1] - 1):
        found[:, period] = values[:, period + 1 : period + 1 + WINDOW].mean(axis=1)
    return found


def _periods(store: Store, comparison: Comparison) -> tuple[Period, ...]:
    """Return the period and comparable ones before it, whole weeks back, the newest first."""
    period = comparison.period
    back = timedelta(days=7 * -(-period.days // 7))
    earlier = [Period(period.first - n * back, period.last - n * back) for n in range(1, EARLIER + 1)]
    return (period, *(other for other in earlier if other.clipped(store.span) == other))


def _worth(store: Store, comparison: Comparison, dimension: str, periods: tuple[Period, ...]) -> Mapping[str, Floats]:
    metric = comparison.metric
    table = store.metrics(Query((metric,), comparison.period, (dimension,), slots=periods)).to_pydict()
    found: dict[str, Floats] = {}
    for name, slot, value in zip(table[dimension], table["slot"], table[metric.name], strict=True):
        if name is not None:
            found.setdefault(name, np.zeros(len(periods)))[slot] += float(value or 0)
    return found


def _empty(store: Store, periods: tuple[Period, ...]) -> Mapping[str, Floats]:
    """Return days without stock of each product, [periods]."""
    rows = store.table("inventory")
    return _counted(store, rows.filter(rows.on_hand == 0), "product_id", periods, ibis._.count())


def _counted(store: Store, rows: Any, dimension: str, periods: tuple[Period, ...], value: Any) -> Mapping[str, Floats]:
    """Return a count by what is named and period."""
    inside = [during(rows.day, period) for period in periods]
    slot = ibis.cases(*((test, n) for n, test in enumerate(inside)), else_=-1)
    sums = rows.mutate(slot=slot).filter(ibis._.slot >= 0).group_by(dimension, "slot").aggregate(value=value)
    found: dict[str, Floats] = {}
    for row in store.run(sums).to_pylist():
        found.setdefault(row[dimension], np.zeros(len(periods)))[row["slot"]] += float(row["value"])
    return found
