"""Returns: what orders of each day gave back, by how many days later."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import date

import ibis
import numpy as np
from numpy.typing import NDArray

from tradewind.engines.store import Store
from tradewind.measures.facts import REFUNDS_BY_ORDER
from tradewind.measures.query import COSTED
from tradewind.methods.silence import silent

SILENT = 7  # days without any refund that are nothing unusual
COHORT_DAYS = 182  # days of orders whose refunds teach how later ones come back, and days in which they do

Array = NDArray[np.float64]


def names_orders(store: Store) -> bool:
    """Whether refunds say which order line they undo, hardly any excepted."""
    return all(
        store.has("refunds", name) and store.coverage("refunds", name) >= COSTED for name in ("order_id", "line")
    )


def told_until(store: Store) -> date:
    """Return the last day whose refunds are told: the store's, unless they fell silent.

    They did where they have been silent for longer than ever before, and chance would hardly leave out so many days: of
    few refunds the last wait is the longest often enough.
    """
    refunds, last = store.table("refunds"), store.span.last
    rows = store.run(refunds.filter(refunds.day <= ibis.literal(last)).select("day").distinct().order_by("day"))
    days = [*rows["day"].to_pylist()]
    if not days:
        return last
    usual = max([SILENT, *((after - day).days for day, after in itertools.pairwise(days))])
    told = np.zeros((1, (last - days[0]).days + 1), bool)
    told[0, [(day - days[0]).days for day in days]] = True
    since = int(silent(told, np.ones_like(told))[0])
    return days[-1] if since > usual else last


def given_back(store: Store, days: Sequence[date], end: date) -> tuple[Array, NDArray[np.int64]]:
    """Return what orders of each day gave back at each age.

    Args:
        store: The store; its refunds name orders.
        days: Days of orders, one after another.
        end: The last day whose refunds are known.

    Returns:
        [days, ages] GMV given back so many days after the order, at most 182 of them; [days] number of whole ages that
        each has lived through.
    """
    first = days[0]
    values = (lambda row: row.day, lambda row: row.booked, lambda row: row.gmv_back)
    relation, row = REFUNDS_BY_ORDER.rows(store, *values)
    rows = relation.select(sold=row.day, booked=row.booked, amount=row.gmv_back)
    inside = rows.sold.between(ibis.literal(first), ibis.literal(days[-1])) & (rows.booked <= ibis.literal(end))
    rows = rows.filter(inside)
    sums = rows.group_by("sold", "booked").aggregate(amount=rows.amount.sum())
    amounts = np.zeros((len(days), min((end - first).days + 1, COHORT_DAYS)))
    for back in store.run(sums).to_pylist():
        age = max(0, (back["booked"] - back["sold"]).days)
        if age < amounts.shape[1]:
            amounts[(back["sold"] - first).days, age] += float(back["amount"])
    lived = np.clip([(end - day).days + 1 for day in days], 0, amounts.shape[1])
    return amounts, np.asarray(lived, np.int64)
