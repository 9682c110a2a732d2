"""Campaigns: when they ran, the days on which the marketplace's own ran or are due, and how busy these are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import ArrayLike

from tradewind.engines.store import Store
from tradewind.period import Period

SHORT = 7  # days that a campaign lasts at most for its days to be unlike those around: a longer one is a season
AHEAD = 366  # days to come of which it is asked whether a campaign of the marketplace is due
AROUND = 14  # days to either side whose ordinary days tell what a day of a campaign would have come to
STEADY = 10.0  # by which few are steadied, so that chance is no rush
KEPT = 2  # of the last double days, on each of which there was a campaign, from which on the next are expected


@dataclass(frozen=True)
class Rush:
    """How busy days of the marketplace's campaigns are.

    Args:
        days: These days, known and to come.
        times: How many times as much comes on one as on an ordinary day; None where none is known.
    """

    days: frozenset[date] = frozenset()
    times: float | None = None

    def ordinary(self, period: Period) -> float:
        """Return how many ordinary days would bring as much as a period."""
        special = sum(day in period for day in self.days)
        return period.days + special * ((self.times or 1.0) - 1.0)

    def due(self, period: Period) -> str:
        """Say which days of a period are of a campaign, and how they are counted; empty where there is none."""
        days = sorted(day for day in self.days if day in period)
        if not days:
            return ""
        told = (
            f"On such days there came {self.times:.1f} times as much as on others, which is counted on."
            if self.times is not None
            else "None is known from before, so that these days are counted as any other."
        )
        return (
            f"From {period.first} to {period.last} the marketplace has a campaign ({', '.join(map(str, days))}), as "
            f"listed or as on the last double days. {told}"
        )


def rush(store: Store, period: Period, counts: ArrayLike) -> Rush:
    """Return how busy days of the marketplace's campaigns are, beside ordinary days within two weeks of each.

    Args:
        store: The store, as the caller may see it.
        period: Days that are known.
        counts: [days] what each of them came to: orders, or pieces.
    """
    days, amounts = marketplace_days(store, period), np.asarray(counts, float)
    special = np.array([period.first + timedelta(days=n) in days for n in range(period.days)])
    if 2 * special.sum() > len(special):
        return Rush()
    came = expected = 0.0
    for at in np.flatnonzero(special):
        near = slice(max(at - AROUND, 0), at + AROUND + 1)
        if not special[near].all():
            came, expected = came + amounts[at], expected + amounts[near][~special[near]].mean()
    return Rush(days, (came + STEADY) / (expected + STEADY) if came + expected > 0 else None)


def campaign_days(store: Store, until: date) -> list[dict[str, Any]]:
    """Return the store's campaigns by id, each with its local days in `days`; one without an end goes on `until`.

    One that ends at midnight ends with the day before.
    """
    rows = store.run(
        store.table("campaigns").select("campaign_id", "shop_id", "name", "kind", "starts_at", "ends_at")
    ).to_pylist()
    zone = ZoneInfo(store.provenance.timezone)
    for row in rows:
        first, last = (
            at.replace(tzinfo=UTC).astimezone(zone).date()
            for at in (row["starts_at"], (row["ends_at"] or row["starts_at"]) - timedelta(microseconds=1))
        )
        row["days"] = Period(first, max(first, last if row["ends_at"] else until))
    return sorted(rows, key=lambda row: str(row["campaign_id"]))


def marketplace_days(store: Store, period: Period, ahead: int = AHEAD) -> frozenset[date]:
    """Return the days on which the whole marketplace had or is to have a campaign of a week at most.

    To come are those that the store holds already, and double days (such as 9.9 and 10.10, which marketplaces keep by
    custom) where there was a campaign on each of the last two. What begins after the period is known only so.

    Args:
        store: The store, as the caller may see it.
        period: Days that are known.
        ahead: Days after them of which it is asked.
    """
    if not store.has("campaigns", "ends_at"):
        return frozenset()
    days = [period.first + timedelta(days=n) for n in range(period.days + ahead)]
    whole = [
        row["days"]
        for row in campaign_days(store, period.last)
        if row["shop_id"] is None and row["ends_at"] is not None and row["days"].days <= SHORT
    ]
    found = {run.first + timedelta(days=n) for run in whole for n in range(run.days)}.intersection(days)
    double = [day for day in days if day.day == day.month]
    past = [day for day in double if day in period][-KEPT:]
    if len(past) == KEPT and found.issuperset(past):
        found.update(day for day in double if day > period.last)
    return frozenset(found)


def meets(campaigns: frozenset[date], first: date, days: int) -> bool:
    """Return whether one of so many days from a first one is of a campaign."""
    return any(first + timedelta(days=n) in campaigns for n in range(days))
