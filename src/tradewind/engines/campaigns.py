"""Campaigns: when they ran, and the days on which the marketplace's own ran or are to be expected."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tradewind.engines.store import Store
from tradewind.period import Period

SHORT = 7  # days that a campaign lasts at most for its days to be unlike those around: a longer one is a season
KEPT = 2  # of the last double days, on each of which there was a campaign, from which on the next are expected


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


def marketplace_days(store: Store, period: Period, ahead: int) -> frozenset[date]:
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
