"""What came back of orders, and what is still to come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import ibis
import numpy as np

from tradewind.engines.store import Store
from tradewind.measures.facts import REFUNDS_BY_ORDER
from tradewind.methods.ripening import Ripening
from tradewind.period import Period
from tradewind.study import Estimate

COHORT_DAYS = 182  # days of orders whose refunds teach how later ones come back, and days in which they do
FEWEST = 7  # days that the oldest order must have lived before anything is expected


def still_to_come(
    store: Store, days: Sequence[date], gmv: Sequence[float], period: Period, seed: int
) -> tuple[float, Estimate] | None:
    """Return what of a period's orders came back so far, and what more is to be expected.

    Args:
        store: The store.
        days: Days up to the last of the period.
        gmv: [days] GMV of each.
        period: The days of the orders in question.
        seed: Seed of the interval.

    Returns:
        The two amounts; None where refunds name no orders, or no order is a week old.
    """
    if not store.has("refunds", "order_id"):
        return None
    count = min(len(days), max(COHORT_DAYS, period.days))
    cohorts, first, end = days[-count:], days[-count], store.span.last
    values = (lambda row: row.day, lambda row: row.booked, lambda row: row.gmv_back)
    relation, row = REFUNDS_BY_ORDER.rows(store, *values)
    rows = relation.select(sold=row.day, booked=row.booked, amount=row.gmv_back)
    rows = rows.filter(rows.sold.between(ibis.literal(first), ibis.literal(period.last)))
    sums = rows.group_by("sold", "booked").aggregate(amount=rows.amount.sum())
    amounts, done = np.zeros((count, min(count, COHORT_DAYS))), 0.0
    for back in store.run(sums).to_pylist():
        age = max(0, (back["booked"] - back["sold"]).days)
        if age < amounts.shape[1]:
            amounts[(back["sold"] - first).days, age] += float(back["amount"])
        done += float(back["amount"]) if back["sold"] in period else 0.0
    lived = np.minimum([(end - day).days + 1 for day in cohorts], amounts.shape[1])
    if lived.max() < FEWEST:
        return None
    chosen = np.array([day in period for day in cohorts])
    found = Ripening(seed=seed)(amounts, np.maximum(gmv[-count:], 0.0), lived, chosen)
    more = found.remaining  # nothing that came back goes again
    return done, Estimate(max(more.mid, 0.0), max(more.low, 0.0), max(more.high, 0.0), more.level)
