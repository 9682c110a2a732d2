"""What a store is said to hold, to whoever may see only a part of it."""

from __future__ import annotations

from tradewind.engines.store import Store
from tradewind.faces.check import check
from tradewind.scope import Scope


def test_a_creator_is_told_of_their_sessions_and_offers(market_store: Store) -> None:
    told: list[str] = []
    found = check(market_store.scoped(Scope.of_creators(("k1",))), told.append)
    names = {table.name for table in found.tables}
    assert {"live_sessions", "commissions"} <= names
    assert not {"order_lines", "customers"} & names
    assert found.days_without_sales == ()
    assert told
