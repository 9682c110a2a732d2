"""What single customers and products bring all parties, whoever pays and whatever a store does not tell."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import market
from tradewind.decisions.plan.outcomes import outcomes, require_costed
from tradewind.engines.store import Store, open_store
from tradewind.errors import MissingDataError
from tradewind.measures.assume import Assumptions
from tradewind.period import Period
from tradewind.study import Party

DAY = date(2024, 3, 4)
DAYS = Period(DAY, DAY)


def sold(folder: Path, payer: str, *, ads: bool = False, **more: Any) -> Store:
    """One piece for 100 that cost 60, of which somebody funds 30."""
    noon = datetime.combine(DAY, time(12))
    line = {
        "order_id": "o", "line": 0, "ordered_at": noon, "known_at": noon, "day": DAY, "hour": noon, "customer_id": "c",
        "shop_id": "s", "product_id": "p", "quantity": 1, "unit_price": Decimal(100), "unit_cost": Decimal(60), **more,
    }  # fmt: skip
    off = {"order_id": "o", "line": 0, "n": 0, "payer": payer, "kind": "coupon", "amount": Decimal(30)}
    ad = {"ad_id": "a", "hour": noon, "day": DAY, "payer": payer, "product_id": "p", "spend": Decimal(7)}
    market.write(folder, {"order_lines": [line], "order_discounts": [off], **({"ads": [ad]} if ads else {})})
    return open_store(str(folder))


@pytest.mark.parametrize("payer", ["merchant", "platform", "creator", "brand"])
@pytest.mark.parametrize("told", [{}, {"platform_fee": Decimal(0), "commission": Decimal(0)}])
def test_whoever_funds_a_discount_loses_it(tmp_path: Path, payer: str, told: dict[str, Decimal]) -> None:
    """A buyer paid 70 for what cost 60: all gain 10 together, also where nothing tells what others earn."""
    found = outcomes(sold(tmp_path, payer, **told), "customer", ["c", "nobody"], DAYS)
    assert sum(found.values()).tolist() == [10.0, 0.0]
    assert found[Party(payer)][0] == (10.0 if payer == "merchant" else -30.0)


@pytest.mark.parametrize("payer", ["merchant", "creator", "brand"])
def test_what_is_spent_on_advertising_only_changes_hands(tmp_path: Path, payer: str) -> None:
    found = outcomes(sold(tmp_path, payer, ads=True), "product", ["p"], DAYS)
    assert found[Party.PLATFORM].tolist() == [7.0]
    assert sum(found.values()).tolist() == [10.0]


def test_what_was_sold_before_its_cost_is_known_is_not_read(tmp_path: Path) -> None:
    """Nine of ten days' costs are known, and those of the last day come later: it would seem to sell for nothing."""
    lines = []
    for n in range(100):
        day = DAY - timedelta(days=n)
        noon = datetime.combine(day, time(12))
        lines.append({
            "order_id": f"o{n}", "line": 0, "ordered_at": noon, "known_at": noon, "day": day, "hour": noon,
            "customer_id": "c", "shop_id": "s", "product_id": "p", "quantity": 1, "unit_price": Decimal(100),
            "unit_cost": Decimal(60) if n else None,
        })  # fmt: skip
    market.write(tmp_path, {"order_lines": lines})
    store = open_store(str(tmp_path))
    for unit, name in (("customer", "c"), ("product", "p"), ("shop", "s")):
        with pytest.raises(
            MissingDataError, match=r"no unit cost.*a unit cost on 0\.0+% of 1.*import their unit costs"
        ):
            require_costed(store, unit, [name], DAYS)
        require_costed(store, unit, [name], Period(DAY - timedelta(days=9), DAY - timedelta(days=1)))
        require_costed(store, unit, ["another"], DAYS)
        require_costed(store.assuming(Assumptions(margin=0.3)), unit, [name], DAYS)
