"""What came back of orders, and what is still to come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np

from tradewind.engines.returns import COHORT_DAYS, given_back
from tradewind.engines.store import Store
from tradewind.methods.ripening import Ripening
from tradewind.period import Period
from tradewind.study import Estimate

FEWEST = 7  # days that the oldest order must have lived before anything is expected


def still_to_come(
    store: Store, days: Sequence[date], gmv: Sequence[float], period: Period, told: date, seed: int
) -> tuple[float, Estimate, int] | None:
    """Return what of a period's orders came back so far, and what more is to be expected.

    Args:
        store: The store.
        days: Days up to the last of the period.
        gmv: [days] GMV of each.
        period: The days of the orders in question.
        told: The last day whose refunds are told.
        seed: Seed of the interval.

    Returns:
        The two amounts, so far being up to the day told, and within how many days of an order what comes back is known
        to come, at most half a year; None where refunds name no orders, or no order
        is a week old by then.
    """
    if not store.has("refunds", "order_id"):
        return None
    count = min(len(days), max(COHORT_DAYS, period.days))
    cohorts = days[-count:]
    amounts, lived = given_back(store, cohorts, told)
    if lived.max() < FEWEST:
        return None
    chosen = np.array([day in period for day in cohorts])
    found = Ripening(seed=seed)(amounts, np.maximum(gmv[-count:], 0.0), lived, chosen)
    more = found.remaining  # nothing that came back goes again
    done = float(amounts[chosen].sum())
    coming = Estimate(max(more.mid, 0.0), max(more.low, 0.0), max(more.high, 0.0), more.level)
    return done, coming, int(lived.max())
