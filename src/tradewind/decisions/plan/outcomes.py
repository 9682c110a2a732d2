"""Outcomes: contribution profit of single customers or products, by party, over some days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tradewind.engines.returns import COHORT_DAYS, SILENT, given_back, names_orders
from tradewind.engines.store import Store
from tradewind.errors import MissingDataError
from tradewind.measures import metrics as m
from tradewind.measures.fact import MONEY, WHOLE
from tradewind.measures.facts import REFUNDS, REFUNDS_BY_ORDER, SALES
from tradewind.measures.metric import Additive, Metric, Total
from tradewind.measures.query import COSTED, Query, lights_up, require_costs
from tradewind.methods.ripening import Ripening
from tradewind.money import human
from tradewind.period import Period
from tradewind.study import Party, Subject

Array = NDArray[np.float64]


def _as_far_as_told(profit: Total) -> Total:
    """Return a party's profit that does not wait for what it earns to be told: what it pays is lost to it anyway."""
    return replace(profit, parts=tuple(replace(part, required=False) for part in profit.parts))


PROFITS = {
    Party.MERCHANT: m.MERCHANT_PROFIT,
    Party.PLATFORM: _as_far_as_told(m.PLATFORM_PROFIT),
    Party.CREATOR: _as_far_as_told(m.CREATOR_PROFIT),
    Party.BRAND: _as_far_as_told(m.BRAND_PROFIT),
}
"""GMV counts discounts that others fund as the merchant's: were one of these left out, its money would be a gain."""
SOLD_COST = replace(
    m.COST, name="sold_cost", value=lambda row: (row.unit_cost_or_assumed * row.quantity.cast(WHOLE)).cast(MONEY),
    doc="Unit cost of what was sold, whatever came back.",
)  # fmt: skip
UNDONE = {
    m.REFUND_AMOUNT: m.GMV, m.COMMISSION_BACK: m.COMMISSION, m.PLATFORM_COMMISSION_BACK: m.PLATFORM_COMMISSION,
    m.FEE_BACK: m.PLATFORM_FEE, m.SUBSIDY_BACK: m.PLATFORM_DISCOUNT, m.RETURN_SHIPPING: m.GMV, m.COST: SOLD_COST,
}  # fmt: skip
"""What a refund changes, by what it undoes of an order; of the cost of goods, that of those put on sale again."""


def _of_orders(profit: Total) -> Total:
    """Return a party's profit with refunds on the day of the order that they undo, however late they come."""
    return replace(profit, parts=tuple(replace(part, metric=_undoing(part.metric)) for part in profit.parts))


def _undoing(metric: Metric) -> Metric:
    return replace(metric, fact=REFUNDS_BY_ORDER) if isinstance(metric, Additive) and metric.fact is REFUNDS else metric


FEW = 0.01  # share of an amount, as if that much of it had been refunded, by which what is undone of it is steadied
SLOPED = 10
"""Units held out from which a slope on the days before takes off more than it costs."""
LINES = Additive(
    name="lines", title="Order lines", unit="count", better=1, fact=SALES, value=lambda _: ibis.literal(1, "int64"),
    doc="Paid lines.",
)  # fmt: skip
COSTED_LINES = Additive(
    name="costed_lines", title="Order lines with a cost", unit="count", better=1, fact=SALES,
    value=lambda row: row.unit_cost_or_assumed.notnull().cast("int64"), doc="Paid lines whose unit cost is known.",
)  # fmt: skip
FORTNIGHT = 14
UNITS = {"customer": "customer_id", "product": "product_id", "shop": "shop_id"}


def outcomes(store: Store, unit: str, ids: Sequence[str], days: Period) -> Mapping[Party, Array]:
    """Return the contribution profit of each unit by party.

    Where refunds name orders, those of the orders of these days count, as far as the store knows them; else those
    booked in these days.

    Args:
        store: The store.
        unit: `customer`, `product` or `shop`.
        ids: [n] their ids.
        days: The days, all within the store's.

    Returns:
        By party, [n] money, 0 where nothing was sold, and for a party of which the store tells nothing.

    Raises:
        MissingDataError: If the days are not all there, nothing tells the merchant's profit, or of customers too many
            order lines have no unit cost.
    """
    span = store.span
    if days.clipped(span) != days:
        raise MissingDataError(
            "The store does not hold all days that count", got=days, allowed=f"{span.first} to {span.last}",
            do="import the days that are missing",
        )  # fmt: skip
    if not lights_up(m.MERCHANT_PROFIT, store):
        raise MissingDataError("Profit rests on a unit cost, and the store has none", do="add --assume margin=0.3")
    if unit == "customer":  # who buy anything; products and shops are acted on where their own costs are known
        require_costs(m.COST, store)
    late = names_orders(store)
    profits = {party: _of_orders(profit) if late else profit for party, profit in PROFITS.items()}
    rows = store.metrics(Query(tuple(profits.values()), days, (UNITS[unit],)))
    place = {name: n for n, name in enumerate(ids)}
    at = np.array([place.get(name, -1) for name in rows[UNITS[unit]].to_pylist()], np.int64)
    found = {}
    for party, metric in profits.items():
        column = np.zeros(len(ids))
        values = np.array([float(value or 0) for value in rows[metric.name].to_pylist()])
        column[at[at >= 0]] = values[at >= 0]
        found[party] = column
    return found


def foretelling(store: Store, unit: str, ids: Sequence[str], days: Period) -> list[Mapping[Party, Array]]:
    """Return the profit of each unit in the days that foretell what it will be in some days.

    These are as many days before, as many before these, and the last fortnight: what sold of late foretells more than
    what sold long ago, and both together more than either. What the store does not hold whole is left out.

    Args:
        store: The store.
        unit: `customer`, `product` or `shop`.
        ids: [n] their ids.
        days: The days.

    Returns:
        For each of them as `outcomes` returns it; none where the store does not hold as many days before.
    """
    same = before(days)
    windows = [same, before(same), *([before(days, FORTNIGHT)] if days.days > FORTNIGHT else [])]
    there = [window for window in windows if window.clipped(store.span) == window]
    return [outcomes(store, unit, ids, window) for window in there] if same in there else []


@dataclass(frozen=True)
class Coming:
    """What orders are still expected to give back.

    Args:
        less: By party, [n] money that the refunds to come are expected to take from the profit of each unit.
        share: Of all that these orders give back in the end, the share that is still to come.
    """

    less: Mapping[Party, Array]
    share: float


def coming(store: Store, unit: str, ids: Sequence[str], days: Period, end: date) -> Coming | None:
    """Return what the orders of some days are still expected to give back, as older orders did at the same ages.

    Args:
        store: The store, with what is known at the end of `end`.
        unit: `customer`, `product` or `shop`.
        ids: [n] their ids.
        days: The days of the orders.
        end: The last day whose refunds are known.

    Returns:
        None where refunds do not name orders, or nothing is known to have come back.
    """
    if not names_orders(store):
        return None
    first = max(store.span.first, days.last - timedelta(days=max(COHORT_DAYS, days.days) - 1))
    whole = Period(first, days.last)
    cohorts = [first + timedelta(days=n) for n in range(whole.days)]
    amounts, lived = given_back(store, cohorts, end)
    if not amounts.any():
        return None
    there = [(back, flow) for back, flow in UNDONE.items() if lights_up(_undoing(back), store, (UNITS[unit],))]
    there = [(back, flow) for back, flow in there if lights_up(flow, store, (UNITS[unit],))]
    asked = tuple(dict.fromkeys((m.GMV, *(flow for _, flow in there), *(_undoing(back) for back, _ in there))))
    daily = _numbers(store, Query(asked, whole, every="day"))
    at = np.array([(day - first).days for day in daily.days], np.int64)
    sums = {name: np.bincount(at, values, whole.days) for name, values in daily.of.items()}
    sold = np.maximum(sums[m.GMV.name], 0.0)
    chosen = np.array([day in days for day in cohorts])
    rates = Ripening()(amounts, sold, lived, chosen).pattern
    left = np.append(np.cumsum(rates[::-1])[::-1], 0.0)[lived]  # [days] share of GMV still to be given back
    gone = np.divide(amounts.sum(axis=1), sold, out=np.zeros(whole.days), where=sold > 0)
    here = _numbers(store, Query(tuple(dict.fromkeys(flow for _, flow in there)), days, (UNITS[unit],), every="day"))
    place = {name: n for n, name in enumerate(ids)}
    of = np.array([place.get(name, -1) for name in here.names], np.int64)
    weight = np.array([left[(day - first).days] for day in here.days], float)
    less = {party: np.zeros(len(ids)) for party in PROFITS}
    for back, flow in there:
        kept = sums[back.name] if back is m.COST else None
        reversed_ = float((sums[flow.name] - kept if kept is not None else sums[back.name]).sum())
        few = FEW * float(sums[flow.name].sum())  # where next to nothing came back yet, all of it is taken to be undone
        share = min((reversed_ + few) / max(float(sums[flow.name] @ gone) + few, 1e-9), 1.0)
        undone = np.bincount(of[of >= 0], (here.of[flow.name] * weight)[of >= 0], len(ids)) * max(share, 0.0)
        for party, profit in PROFITS.items():
            for part in profit.parts:
                if part.metric is back:
                    less[party] += undone * (part.sign if back is m.COST else -part.sign)
    to_come, came = float((left * sold)[chosen].sum()), float(amounts[chosen].sum())
    return Coming(less, to_come / (to_come + came) if to_come > 0 else 0.0)


@dataclass(frozen=True)
class _Numbers:
    """What a query by day answers: the day and the unit of each row, and its metrics by name, nothing counted as 0."""

    days: Sequence[date]
    names: Sequence[str]
    of: Mapping[str, Array]


def _numbers(store: Store, query: Query) -> _Numbers:
    rows = store.metrics(query)
    of = {
        metric.name: np.array([float(value or 0) for value in rows[metric.name].to_pylist()])
        for metric in query.metrics
    }
    return _Numbers(rows["day"].to_pylist(), rows[query.by[0]].to_pylist() if query.by else [], of)


def require_costed(store: Store, unit: str, ids: Sequence[str], days: Period) -> None:
    """Refuse to read what units brought in days whose unit costs are not there: what they sold would count as free.

    Costs of the days before do not tell: those of an experiment's own days may come later than its orders.

    Args:
        store: The store.
        unit: `customer`, `product` or `shop`.
        ids: [n] their ids.
        days: The days.

    Raises:
        MissingDataError: If too many of their order lines in these days have no unit cost.
    """
    if not lights_up(m.COST, store):
        return  # `outcomes` says so
    rows = store.metrics(Query((LINES, COSTED_LINES), days, (UNITS[unit],)))
    theirs = rows.filter(pc.is_in(rows[UNITS[unit]], pa.array(ids, pa.string())))
    lines, costed = (sum(theirs[metric.name].to_pylist()) for metric in (LINES, COSTED_LINES))
    if costed < COSTED * lines:
        raise MissingDataError(
            "Too many order lines of these days have no unit cost: they would count as sold for nothing",
            got=f"{days}: a unit cost on {human(costed / lines, 'share')} of {lines:,}",
            allowed=f"{human(COSTED, 'share')} or more", do="import their unit costs, and read again",
        )  # fmt: skip


def require_discounts(store: Store, days: Period) -> None:
    """Refuse to read days whose discounts are not there: what coupons and prices cost would count as nothing.

    Args:
        store: The store.
        days: The days.

    Raises:
        MissingDataError: If discounts were told on most days before, and on none from some day of these to their end.
    """
    whole = Period(store.span.first, days.last)
    if not lights_up(m.DISCOUNT, store):
        return
    rows = store.metrics(Query((m.DISCOUNT,), whole, every="day"))
    given = np.zeros(whole.days, bool)
    for day, value in zip(rows["day"].to_pylist(), rows["discount"].to_pylist(), strict=True):
        given[(day - whole.first).days] = bool(value)
    there = np.flatnonzero(given)
    if not len(there):
        return
    gaps = np.diff(np.append(there, whole.days))
    last = whole.first + timedelta(days=int(there[-1]))
    if gaps[-1] - 1 > max(SILENT, gaps[:-1].max(initial=1) - 1):
        raise MissingDataError(
            "Discounts stop before the days that count are over: what was taken off would count as nothing",
            got=f"{days}: none after {last}", allowed="discounts to the last day",
            do="import the discounts of these days, and read again",
        )  # fmt: skip


def known_before(store: Store, unit: str, ids: Sequence[str], first: date) -> NDArray[np.bool_]:
    """Return which units sold or bought something before a day.

    Args:
        store: The store.
        unit: `customer`, `product` or `shop`.
        ids: [n] their ids.
        first: The day.

    Returns:
        [n] whether there is a paid line of theirs.
    """
    span = store.span
    if first <= span.first:
        return np.zeros(len(ids), bool)
    rows = store.metrics(Query((LINES,), Period(span.first, first - timedelta(days=1)), (UNITS[unit],)))
    known = set(rows[UNITS[unit]].to_pylist())
    return np.array([name in known for name in ids])


def promised_from(store: Store, subject: Subject) -> Store:
    """Return the store as far as a promise reaches, whoever looks: of one shop's customers, what they buy in it.

    Raises:
        ForbiddenError: If the caller may not see the shop.
    """
    if subject.kind != "customers" or subject.shop is None:
        return store
    return store.scoped(store.scope.narrowed([subject.shop]))


def before(days: Period, length: int | None = None) -> Period:
    """Return the days right before some, as many or so many."""
    last = days.first - timedelta(days=1)
    return Period(last - timedelta(days=(length or days.days) - 1), last)
