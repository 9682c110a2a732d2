"""Campaigns: which days are unlike others, and which are to come."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import market
from tradewind.engines.campaigns import Rush, marketplace_days, rush
from tradewind.engines.store import Store, open_store
from tradewind.period import Period

FIRST, LAST = date(2024, 1, 1), date(2024, 4, 30)  # the zone of the market made by hand lies three hours behind
MIDNIGHT = timedelta(hours=3)


def row(first: date, days: int = 1, shop: str | None = None, ends: bool = True) -> dict[str, Any]:
    begins = datetime(first.year, first.month, first.day) + MIDNIGHT
    return {
        "campaign_id": f"{first} {days} {shop}", "shop_id": shop, "starts_at": begins,
        "ends_at": begins + timedelta(days=days, seconds=-1) if ends else None,
    }  # fmt: skip


def store_of(folder: Path, rows: list[dict[str, Any]]) -> Store:
    line = {
        "order_id": "o", "line": 0, "ordered_at": datetime(2024, 1, 1, 12), "known_at": datetime(2024, 1, 1, 12),
        "day": FIRST, "hour": datetime(2024, 1, 1, 12), "shop_id": "s", "product_id": "p", "quantity": 1,
    }  # fmt: skip
    market.write(folder / "store", {"order_lines": [line], "campaigns": rows} if rows else {"order_lines": [line]})
    return open_store(str(folder / "store"))


def found(folder: Path, rows: list[dict[str, Any]], ahead: int = 40) -> list[date]:
    return sorted(marketplace_days(store_of(folder, rows), Period(FIRST, LAST), ahead))


def test_days_of_the_marketplace(tmp_path: Path):
    rows = [
        row(date(2024, 2, 13), 2), row(date(2024, 3, 10), 1, "s"), row(date(2024, 4, 1), 30),
        row(date(2024, 4, 20), ends=False), row(date(2024, 5, 6)), row(date(2023, 12, 12)), row(date(2024, 7, 1)),
    ]  # fmt: skip
    # A shop's own, a season, one without an end, and what lies out of the days asked for do not count.
    assert found(tmp_path, rows) == [date(2024, 2, 13), date(2024, 2, 14), date(2024, 5, 6)]


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ((1, 2, 3, 4), [date(2024, 5, 5), date(2024, 6, 6)]),
        ((3, 4), [date(2024, 5, 5), date(2024, 6, 6)]),
        ((1, 2, 4), []),
        ((1, 2, 3), []),
    ],
)
def test_double_days_come_again_where_the_last_two_were_kept(
    tmp_path: Path, kept: tuple[int, ...], expected: list[date]
):
    days = found(tmp_path, [row(date(2024, n, n)) for n in kept])
    assert [day for day in days if day > LAST] == expected
    assert [day for day in days if day <= LAST] == [date(2024, n, n) for n in kept]


@pytest.mark.parametrize("days", [1, 7])
def test_one_that_ends_at_midnight_ends_with_the_day_before(tmp_path: Path, days: int):
    first = date(2024, 2, 12)
    told = {**row(first), "ends_at": datetime(2024, 2, 12 + days) + MIDNIGHT}
    assert found(tmp_path, [told]) == [first + timedelta(days=n) for n in range(days)]


def test_a_store_without_campaigns_has_none(tmp_path: Path):
    assert found(tmp_path, []) == []


def test_how_busy_days_of_campaigns_are(tmp_path: Path):
    """Three times as much as on ordinary days within two weeks, though all grows through the year."""
    store, period = store_of(tmp_path, [row(date(2024, n, n)) for n in (2, 3, 4)]), Period(FIRST, LAST)
    days = [FIRST + timedelta(days=n) for n in range(period.days)]
    counts = [(1_000 + 20 * n) * (3 if day.month == day.day and day > FIRST else 1) for n, day in enumerate(days)]
    told = rush(store, period, counts)
    assert told.times == pytest.approx(3, rel=0.01)
    ahead = Period(date(2024, 5, 1), date(2024, 5, 14))
    assert told.ordinary(ahead) == pytest.approx(13 + told.times)
    assert told.ordinary(Period(date(2024, 5, 6), date(2024, 5, 19))) == 14
    assert "2024-05-05" in told.due(ahead)
    assert "3.0 times" in told.due(ahead)
    assert rush(store, period, [0.0] * period.days).times is None
    assert rush(store, period, [1.0] * period.days).times == 1


def test_campaigns_of_which_none_was_yet_or_that_never_end_tell_nothing(tmp_path: Path):
    ahead, counts = Period(date(2024, 5, 1), date(2024, 5, 14)), [10.0] * Period(FIRST, LAST).days
    first = rush(store_of(tmp_path / "a", [row(date(2024, 5, 6))]), Period(FIRST, LAST), counts)
    assert first.times is None
    assert first.ordinary(ahead) == 14
    assert "None is known from before" in first.due(ahead)
    weekly = [row(FIRST + timedelta(days=7 * n), 6) for n in range(20)]
    assert rush(store_of(tmp_path / "b", weekly), Period(FIRST, LAST), counts) == Rush()
