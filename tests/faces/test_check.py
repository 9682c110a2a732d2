"""What a store is said to hold, to whoever may see only a part of it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

import market
from tradewind.engines.store import Store, open_store
from tradewind.errors import MissingDataError
from tradewind.faces.check import check
from tradewind.faces.studies import WINGS
from tradewind.measures.assume import Assumptions
from tradewind.scope import Scope


def test_a_creator_is_told_of_their_sessions_and_offers(market_store: Store) -> None:
    told: list[str] = []
    found = check(market_store.scoped(Scope.of_creators(("k1",))), told.append)
    names = {table.name for table in found.tables}
    assert {"live_sessions", "commissions"} <= names
    assert not {"order_lines", "customers"} & names
    assert found.days_without_sales == ()
    assert told


def test_what_does_not_fit_together_is_told(tmp_path: Path) -> None:
    """Lines that were paid and cancelled without a refund count as sold; costs of whole lines are above prices."""
    at = datetime(2024, 5, 1, 12)
    rows: market.Rows = {"order_lines": [], "order_status": [], "refunds": []}
    for n in range(10):
        order = f"o{n}"
        rows["order_lines"].append({
            "order_id": order, "line": 0, "ordered_at": at, "known_at": at, "day": at.date(), "hour": at,
            "shop_id": "s", "product_id": "p", "quantity": 3, "unit_price": Decimal(10),
            "unit_cost": Decimal(18 if n < 2 else 6),
        })  # fmt: skip
        for status in ["placed", "paid"] * (n != 4) + ["cancelled"] * (n in (1, 2, 3, 4, 5)):
            rows["order_status"].append({"order_id": order, "line": 0, "at": at, "known_at": at, "status": status})
    for n, line in ((1, 0), (2, None), (3, 7)):  # of the line, of the order, of another line
        rows["refunds"].append({
            "refund_id": f"r{n}", "order_id": f"o{n}", "line": line, "amount": Decimal(30), "refunded_at": at,
            "known_at": at, "shop_id": "s",
        })  # fmt: skip
    market.write(tmp_path / "store", rows)
    cancelled, costs = check(open_store(str(tmp_path / "store"))).doubts
    assert cancelled.startswith("2 order lines worth R$60.00 (before discounts) were paid and then cancelled")
    rows["order_status"] = [row for row in rows["order_status"] if row["order_id"] not in ("o3", "o5")]
    rows["order_lines"][0]["unit_cost"] = Decimal(10)
    market.write(tmp_path / "sound", rows)
    assert check(open_store(str(tmp_path / "sound"))).doubts == ()
    assert costs.startswith("20.0% of the order lines with a unit cost cost more than they sell for")


def test_a_study_that_would_refuse_is_not_said_to_be_ready(tmp_path: Path, market_rows: market.Rows) -> None:
    """Of some order lines nobody says what the goods cost: studies that act on profit refuse them."""
    lines = [row | {"unit_cost": row.get("unit_cost") or Decimal(1)} for row in market_rows["order_lines"]]
    market.write(tmp_path / "known", {**market_rows, "order_lines": lines})
    partly = [row | {"unit_cost": None if n % 10 == 0 else row["unit_cost"]} for n, row in enumerate(lines)]
    market.write(tmp_path / "partly", {**market_rows, "order_lines": partly})
    known, some = (open_store(str(tmp_path / name)) for name in ("known", "partly"))
    before, after = ({study.name: study for study in check(store).studies} for store in (known, some))
    acting = [name for name in ("commissions", "coupons") if before[name].ready]
    assert acting
    for name in acting:
        assert not after[name].ready
        assert not after[name].missing
        assert "no unit cost" in after[name].why
        with pytest.raises(MissingDataError) as refused:
            WINGS[name].load().study(some, some.span, WINGS[name].load().settings())
        assert str(refused.value) == after[name].why
    supposed = {study.name: study for study in check(some.assuming(Assumptions(0.3))).studies}
    assert all(supposed[name].ready for name in acting)
    assert after["performance"].ready
