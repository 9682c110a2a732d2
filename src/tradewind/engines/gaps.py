"""Gaps: days without any sale where sales never pause by chance, so that all was closed or they were not imported."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from tradewind.engines.store import Store
from tradewind.measures.metrics import ITEMS
from tradewind.measures.query import Query
from tradewind.period import Period

BUSY = 10.0  # pieces of a usual day from which on a day without any hardly comes by chance (1 in 22,000)
NEAR, FAR = 28, 112  # days on either side of a silence that tell a usual one; days around a period that are looked at
SHOWN = 5  # days that a sentence names


def missing_days(store: Store, period: Period) -> tuple[date, ...]:
    """Return the days of a period on which nothing was sold though a usual day of the weeks around sells a lot.

    Args:
        store: The store, as the caller may see it; a creator, who sees no sales, is told of none.
        period: The days in question; only those inside the store's count.

    Returns:
        The days, in order. A usual day is the median of the four weeks before and after a silence, however long that
        is: were its own days among them, a month that is missing would look like a month without sales.
    """
    if store.scope.creators is not None or (inside := period.clipped(store.span)) is None:
        return ()
    around = Period(inside.first - timedelta(days=FAR), inside.last + timedelta(days=FAR)).clipped(store.span)
    if around is None:
        return ()
    rows = store.metrics(Query((ITEMS,), around, every="day")).to_pylist()
    sold = np.zeros(around.days)
    for row in rows:
        sold[(row["day"] - around.first).days] = float(row["items"] or 0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], sold == 0, [False]])))
    found: list[date] = []
    for start, end in edges.reshape(-1, 2).tolist():  # silences, each to the day after its last
        near = np.concatenate([sold[max(start - NEAR, 0) : start], sold[end : end + NEAR]])
        if near.size and np.median(near) >= BUSY:
            found += [around.first + timedelta(days=n) for n in range(start, end)]
    return tuple(day for day in found if inside.first <= day <= inside.last)


def gaps_said(store: Store, period: Period) -> tuple[str, ...]:
    """Return a sentence about the days that are probably missing, nothing where there are none."""
    days = missing_days(store, period)
    if not days:
        return ()
    named = ", ".join(f"{day:%-d %b %Y}" for day in days[:SHOWN]) + (" …" if len(days) > SHOWN else "")
    return (
        f"Nothing at all was sold on {len(days)} of the days looked at ({named}), where other days sell a lot: "
        "unless all was closed, they were not imported, and count as days without sales until they are.",
    )


__all__ = ["gaps_said", "missing_days"]
