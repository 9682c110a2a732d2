"""Features as known at a moment: plain loops as the second implementation, and no leak from what arrives late."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import market
from tradewind.engines.store import Store
from tradewind.errors import BadInputError, MissingDataError
from tradewind.measures.feature import feature_table, features

MOMENTS = [datetime(2023, 12, 20, 3), datetime(2024, 1, 15), datetime(2024, 2, 10, 12, 30)]
WANTED = {
    "customer": ("gmv_28d", "orders_91d", "items_7d", "days_since_last_sale", "refunds_91d", "products_91d"),
    "product": ("gmv_28d", "orders_28d", "buyers_28d", "days_since_first_sale", "impressions_28d"),
    "shop": ("gmv_91d", "orders_7d", "products_28d", "refunds_28d", "days_since_last_sale"),
}


def loops(rows: market.Rows, entity: str, at: datetime) -> dict[str, dict[str, Any]]:
    """Compute the features by hand: one pass over plain rows."""
    paid: dict[tuple[str, int], datetime] = {}
    for step in rows["order_status"]:
        if step["status"] == "paid":
            key = (step["order_id"], step["line"])
            paid[key] = min(paid.get(key, step["known_at"]), step["known_at"])
    off: dict[tuple[str, int], Decimal] = {}
    for part in rows["order_discounts"]:
        if part["payer"] == "merchant":
            key = (part["order_id"], part["line"])
            off[key] = off.get(key, Decimal(0)) + part["amount"]
    found: dict[str, dict[str, Any]] = {}

    def of(row: dict[str, Any]) -> dict[str, Any] | None:
        if row[f"{entity}_id"] is None:
            return None
        blank = {"sales": [], "refunds": [], "seen": []}
        return found.setdefault(row[f"{entity}_id"], blank)

    for line in rows["order_lines"]:
        key = (line["order_id"], line["line"])
        if key in paid and max(line["known_at"], paid[key]) <= at and line["ordered_at"] <= at and (cell := of(line)):
            gmv = line["unit_price"] * line["quantity"] - off.get(key, Decimal(0))
            cell["sales"].append((line["ordered_at"], gmv, line))
    for back in rows["refunds"]:
        if back["known_at"] <= at and back["refunded_at"] <= at and (cell := of(back)):
            cell["refunds"].append((back["refunded_at"], back["amount"] + (back["subsidy_reversed"] or Decimal(0))))
    if entity != "customer":
        for hour in rows["traffic"]:
            if hour["hour"] <= at and (cell := of(hour)):
                cell["seen"].append((hour["hour"], hour["impressions"] or 0))
    return {key: {name: value(cell, name, at) for name in WANTED[entity]} for key, cell in found.items()}


def value(cell: dict[str, Any], name: str, at: datetime) -> Any:
    sales = cell["sales"]
    if name.startswith("days_since"):
        moments = [moment for moment, *_ in sales]
        edge = max(moments, default=None) if "last" in name else min(moments, default=None)
        return None if edge is None else (at - edge).total_seconds() / 86_400
    stem, days = name.rsplit("_", 1)
    since = at - timedelta(days=int(days[:-1]))
    inside = [sale for sale in sales if sale[0] > since]
    counted = {"orders": "order_id", "products": "product_id", "buyers": "customer_id"}
    if stem in counted:
        return len({line[counted[stem]] for *_, line in inside} - {None})
    if stem == "items":
        return sum(line["quantity"] for *_, line in inside)
    if stem == "gmv":
        return sum((gmv for _, gmv, _ in inside), Decimal(0))
    rows = cell["refunds"] if stem == "refunds" else cell["seen"]
    return sum((amount for moment, amount in rows if moment > since), Decimal(0) if stem == "refunds" else 0)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("entity", WANTED)
def test_features_agree_with_plain_loops(entity: Any, store: Store, market_rows: market.Rows):
    table = store.run(feature_table(entity, store, MOMENTS, WANTED[entity])).to_pylist()
    for moment in MOMENTS:
        here = {row[f"{entity}_id"]: row for row in table if row["moment"].replace(tzinfo=None) == moment}
        expected = loops(market_rows, entity, moment)
        # an entity with no row in any window of the wanted features is not told
        for key, row in here.items():
            for name in WANTED[entity]:
                truth = expected[key][name]
                if isinstance(truth, float):
                    assert row[name] == pytest.approx(truth, abs=1e-4), (moment, key, name)
                else:
                    assert row[name] == truth, (moment, key, name)
        assert {key for key, row in expected.items() if any(row.values())} <= here.keys()


def test_a_row_that_arrives_late_changes_no_feature_of_the_past(
    opened: Callable[[Path], Store], store: Store, market_rows: market.Rows, tmp_path: Path
):
    late = {name: list(rows) for name, rows in market_rows.items()}
    line = {**market_rows["order_lines"][0], "order_id": "late", "known_at": datetime(2024, 2, 16)}
    late["order_lines"].append(line)
    late["order_status"].append(
        {**market_rows["order_status"][0], "order_id": "late", "line": line["line"], "status": "paid",
         "at": line["ordered_at"], "known_at": line["ordered_at"]}
    )  # fmt: skip
    late["refunds"].append({**market_rows["refunds"][0], "refund_id": "late", "known_at": datetime(2024, 2, 16)})
    market.write(tmp_path / "late", late)
    after = opened(tmp_path / "late")
    assert after.run(feature_table("customer", after, MOMENTS)).equals(
        store.run(feature_table("customer", store, MOMENTS))
    )
    day_after = [datetime(2024, 2, 17)]
    assert not after.run(feature_table("customer", after, day_after)).equals(
        store.run(feature_table("customer", store, day_after))
    )


def test_what_the_source_lacks_is_left_out_or_named(bare_store: Store):
    names = {feature.name for feature in features("product", bare_store)}
    assert "gmv_28d" in names
    assert "impressions_28d" not in names
    with pytest.raises(MissingDataError, match="traffic"):
        features("product", bare_store, ["impressions_28d"])
    with pytest.raises(BadInputError):
        features("product", bare_store, ["no_such_feature"])
    with pytest.raises(BadInputError):
        feature_table("product", bare_store, [])
