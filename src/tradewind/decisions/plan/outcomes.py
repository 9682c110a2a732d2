"""Outcomes: contribution profit of single customers or products, by party, over some days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tradewind.engines.store import Store
from tradewind.errors import MissingDataError
from tradewind.measures import metrics as m
from tradewind.measures.facts import SALES
from tradewind.measures.metric import Additive, Total
from tradewind.measures.query import COSTED, Query, lights_up, require_costs
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
UNITS = {"customer": "customer_id", "product": "product_id", "shop": "shop_id"}


def outcomes(store: Store, unit: str, ids: Sequence[str], days: Period) -> Mapping[Party, Array]:
    """Return the contribution profit of each unit by party.

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
    rows = store.metrics(Query(tuple(PROFITS.values()), days, (UNITS[unit],)))
    place = {name: n for n, name in enumerate(ids)}
    at = np.array([place.get(name, -1) for name in rows[UNITS[unit]].to_pylist()], np.int64)
    found = {}
    for party, metric in PROFITS.items():
        column = np.zeros(len(ids))
        values = np.array([float(value or 0) for value in rows[metric.name].to_pylist()])
        column[at[at >= 0]] = values[at >= 0]
        found[party] = column
    return found


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
