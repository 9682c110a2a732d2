"""History: what anybody can see of a marketplace's last weeks, product by product and customer by customer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import ibis
import numpy as np
from numpy.typing import NDArray

from tradewind.engines.store import Store

Array = NDArray[np.float64]

RECENT = 28  # days that policies look back on


@dataclass(frozen=True)
class Known:
    """What is known of products or customers: ids, and columns of one number each.

    Args:
        ids: Their ids.
        shops: The shop of each; empty for customers.
        columns: [n] numbers by name; not a number where nothing is known.
    """

    ids: tuple[str, ...]
    shops: tuple[str, ...]
    columns: Mapping[str, Array]

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    def __len__(self) -> int:
        return len(self.ids)

    def matrix(self) -> Array:
        """Return all columns side by side: [n, columns]."""
        return np.stack(list(self.columns.values()), axis=1)


def _paid(store: Store, since: date) -> ibis.Table:
    """Order lines since a day that were not cancelled."""
    lines, status = store.table("order_lines"), store.table("order_status")
    cancelled = status.filter(status.status == "cancelled").select("order_id", "line").distinct()
    return lines.filter(lines.day >= since).anti_join(cancelled, ["order_id", "line"])


def _aligned(store: Store, expression: ibis.Table, key: str, place: Mapping[str, int]) -> dict[str, Array]:
    """Run an expression of one row for each id; return its numbers in the order of the ids, 0 where there is no row."""
    rows = store.run(expression)
    at = np.array([place.get(name, -1) for name in rows[key].to_pylist()], np.int64)
    found: dict[str, Array] = {}
    for name in rows.column_names:
        if name != key:
            column = np.zeros(len(place))
            values = np.array([np.nan if v is None else float(v) for v in rows[name].to_pylist()])
            column[at[at >= 0]] = values[at >= 0]
            found[name] = column
    return found


def products(store: Store) -> Known:
    """Return what is known of every product that is on sale: prices, sales, exposure, advertising, contracts."""
    last = store.span.last
    since, now = last - timedelta(days=RECENT - 1), datetime.combine(last + timedelta(days=1), time())
    history, goods = store.table("product_history"), store.table("products")
    current = history.filter(history.valid_to.isnull() & history.active)
    number = current.select(
        "product_id", "shop_id", list_price=current.list_price.cast("float64"),
        price=current.sale_price.cast("float64"), cost=current.unit_cost.cast("float64"),
    ).join(
        goods.select("product_id", "category", "launched_at", "attributes", "images", "title"), "product_id"
    ).order_by("product_id")  # fmt: skip
    rows = store.run(number).to_pydict()
    ids = tuple(rows["product_id"])
    place = {name: n for n, name in enumerate(ids)}
    sorts = {name: n for n, name in enumerate(sorted(set(rows["category"])))}
    lines = _paid(store, since)
    gross = (lines.unit_price.cast("float64") * lines.quantity).sum()
    off = store.table("order_discounts").group_by(["order_id", "line"]).aggregate(off=lambda t: t.amount.sum())
    discounts = lines.join(off, ["order_id", "line"]).group_by("product_id")
    by_creators = lines.filter(lines.creator_id.notnull())
    traffic, ads, contracts = store.table("traffic"), store.table("ads"), store.table("commissions")
    recent, bought = traffic.filter(traffic.day >= since), ads.filter((ads.day >= since) & ads.product_id.notnull())
    standing = contracts.filter((contracts.ends_at.isnull()) | (contracts.ends_at >= now))
    parts = (
        lines.group_by("product_id").aggregate(units=lines.quantity.sum(), orders=lines.count(), gross=gross),
        discounts.aggregate(discount=lambda t: t.off.cast("float64").sum()),
        by_creators.group_by("product_id").aggregate(
            creator_gross=(by_creators.unit_price.cast("float64") * by_creators.quantity).sum(),
            commission=by_creators.commission.cast("float64").sum(),
        ),
        recent.group_by("product_id").aggregate(impressions=recent.impressions.sum(), clicks=recent.clicks.sum()),
        bought.group_by("product_id").aggregate(
            spend=bought.spend.cast("float64").sum(), credited=bought.attributed_gmv.cast("float64").sum()
        ),
        standing.group_by("product_id").aggregate(contracts=standing.count(), rate=standing.rate.mean()),
    )
    columns: dict[str, Array] = {name: np.array(rows[name], float) for name in ("list_price", "price", "cost")}
    columns["sort"] = np.array([float(sorts[name]) for name in rows["category"]])
    columns["department"] = np.array([float(sorts[name] // 5) for name in rows["category"]])
    columns["age"] = np.array([(now - moment).days for moment in rows["launched_at"]], float)
    columns["pictures"] = np.array([float(text.count("world:")) for text in rows["images"]])
    columns["words"] = np.array([float(len(text)) for text in rows["title"]])
    for part in parts:
        columns |= _aligned(store, part, "product_id", place)
    return Known(ids, tuple(rows["shop_id"]), columns)


def customers(store: Store) -> Known:
    """Return what is known of every customer: orders, when the last was, coupons given and used, messages."""
    last = store.span.last
    people, grants, contacts = store.table("customers"), store.table("coupon_grants"), store.table("contacts")
    rows = store.run(people.select("customer_id", "region", "first_seen_at").order_by("customer_id")).to_pydict()
    ids = tuple(rows["customer_id"])
    place = {name: n for n, name in enumerate(ids)}
    regions = {name: float(n) for n, name in enumerate(sorted(set(rows["region"])))}
    lines = _paid(store, store.span.first)
    value = lines.unit_price.cast("float64") * lines.quantity
    events = store.table("events")
    seen = events.filter((events.day >= last - timedelta(days=RECENT - 1)) & (events.kind == "click"))
    redeemed = grants.filter(grants.redeemed_order_id.notnull())
    parts: tuple[Any, ...] = (
        lines.group_by("customer_id").aggregate(
            orders=lines.order_id.nunique(), gross=value.sum(),
            away=(ibis.literal(last).delta(lines.day.max(), unit="day")), price=lines.unit_price.cast("float64").mean(),
        ),
        seen.group_by("customer_id").aggregate(clicks=seen.count(), days_seen=seen.day.nunique()),
        grants.group_by("customer_id").aggregate(granted=grants.count()),
        redeemed.group_by("customer_id").aggregate(redeemed=redeemed.count()),
        contacts.group_by("customer_id").aggregate(messages=contacts.count()),
    )  # fmt: skip
    columns: dict[str, Array] = {
        "region": np.array([regions[name] for name in rows["region"]]),
        "known": np.array([(datetime.combine(last, time()) - moment).days for moment in rows["first_seen_at"]], float),
    }
    for part in parts:
        columns |= _aligned(store, part, "customer_id", place)
    columns["away"] = np.where(columns["orders"] > 0, columns["away"], 999.0)
    return Known(ids, (), columns)
