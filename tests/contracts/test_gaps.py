"""Days that a store probably lacks are told from days on which few sell anything anyway."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import market
from tradewind.engines.gaps import gaps_said, missing_days
from tradewind.engines.store import Store, open_store
from tradewind.period import Period
from tradewind.scope import Scope

FIRST = date(2024, 1, 1)
LOST = tuple(FIRST + timedelta(days=n) for n in (20, 21, 22, 40))


def sold(folder: Path, pieces: int, lost: tuple[date, ...]) -> Store:
    """Return a store that sells some pieces on each of 60 days, but for those that are lost."""
    days = [FIRST + timedelta(days=n) for n in range(60)]
    found = market.bare(market.rows())
    lines = found["order_lines"][: len(days)]
    for day, line in zip(days, lines, strict=True):
        line |= {"day": day, "quantity": pieces}
    market.write(folder, found | {"order_lines": [line for line in lines if line["day"] not in lost]})
    return open_store(str(folder))


def test_days_that_are_lost_are_named(tmp_path: Path) -> None:
    store = sold(tmp_path / "busy", 30, LOST)
    assert missing_days(store, store.span) == LOST
    assert missing_days(store, Period(FIRST + timedelta(days=21), FIRST + timedelta(days=30))) == LOST[1:3]
    [said] = gaps_said(store, store.span)
    assert "4 of the days looked at (21 Jan 2024, 22 Jan 2024, 23 Jan 2024, 10 Feb 2024)" in said
    assert gaps_said(store, Period(FIRST, FIRST + timedelta(days=10))) == ()
    assert missing_days(store, Period(date(2030, 1, 1), date(2030, 2, 1))) == ()


def test_a_month_that_is_lost_is_named_as_well(tmp_path: Path) -> None:
    """However long a silence is, and where one stray order makes the store's days go on after the last import."""
    for first, last in ((10, 40), (15, 58)):
        lost = tuple(FIRST + timedelta(days=n) for n in range(first, last + 1))
        store = sold(tmp_path / f"{last}", 30, lost)
        assert missing_days(store, store.span) == lost
        assert missing_days(store, Period(lost[3], lost[-4])) == lost[3:-3]
        assert missing_days(store, Period(FIRST, lost[0])) == lost[:1]


def test_where_little_is_sold_a_day_without_a_sale_is_no_gap(tmp_path: Path) -> None:
    store = sold(tmp_path / "quiet", 3, LOST)
    assert missing_days(store, store.span) == ()


def test_a_creator_is_told_of_none(market_store: Store) -> None:
    assert missing_days(market_store.scoped(Scope.of_creators(("k1",))), market_store.span) == ()
