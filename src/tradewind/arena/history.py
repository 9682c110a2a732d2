"""History: what anybody can see of a marketplace's last weeks, product by product and customer by customer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tradewind.engines.store import Store
from tradewind.measures.feature import feature_table
from tradewind.measures.metrics import METRICS
from tradewind.measures.query import Query
from tradewind.period import Period

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


def _counted(
    store: Store, metrics: Mapping[str, str], key: str, place: Mapping[str, int], days: Period,
    where: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> dict[str, Array]:  # fmt: skip
    """Count metrics by id over some days.

    Args:
        store: The store.
        metrics: The name of each column, and the metric in it.
        key: The dimension of the ids.
        place: The place of each id.
        days: The days that count.
        where: Only rows of these values.

    Returns:
        A column of each metric in the order of the ids, 0 where there is nothing.
    """
    rows = store.metrics(Query(tuple(METRICS[name] for name in metrics.values()), days, (key,), where=where))
    found = _aligned(rows, key, place)
    return {name: found[metric] for name, metric in metrics.items()}


def _aligned(rows: pa.Table, key: str, place: Mapping[str, int]) -> dict[str, Array]:
    """Put rows, one for each id, in the order of the ids; 0 where there is no row or no number."""
    at = np.array([place.get(name, -1) for name in rows[key].to_pylist()], np.int64)
    found: dict[str, Array] = {}
    for name in rows.column_names:
        if name != key:
            column = np.zeros(len(place))
            values = np.array([float(value or 0) for value in rows[name].to_pylist()])
            column[at[at >= 0]] = values[at >= 0]
            found[name] = column
    return found


def products(store: Store) -> Known:
    """Return what is known of every product that is on sale: prices, sales, exposure, advertising, contracts."""
    last = store.span.last
    now = store.span.end(store.provenance.timezone)
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
    contracts = store.table("commissions")
    standing = contracts.filter((contracts.ends_at.isnull()) | (contracts.ends_at >= now)).group_by("product_id")
    recent = Period(last - timedelta(days=RECENT - 1), last)
    columns: dict[str, Array] = {name: np.array(rows[name], float) for name in ("list_price", "price", "cost")}
    columns["sort"] = np.array([float(sorts[name]) for name in rows["category"]])
    columns["department"] = np.array([float(sorts[name] // 5) for name in rows["category"]])
    columns["age"] = np.array([(now - moment).days for moment in rows["launched_at"]], float)
    columns["pictures"] = np.array([float(text.count("world:")) for text in rows["images"]])
    columns["words"] = np.array([float(len(text)) for text in rows["title"]])
    sold = {
        "units": "items", "orders": "orders", "gross": "gross_sales", "discount": "discount",
        "impressions": "impressions", "clicks": "clicks", "spend": "ad_spend", "credited": "attributed_gmv",
    }  # fmt: skip
    through = {"creator_gross": "gross_sales", "commission": "commission"}
    columns |= _counted(store, sold, "product_id", place, recent)
    columns |= _counted(store, through, "product_id", place, recent, {"relation": ("affiliate",)})
    terms = standing.aggregate(contracts=lambda t: t.count(), rate=lambda t: t.rate.mean())
    columns |= _aligned(store.run(terms), "product_id", place)
    return Known(ids, tuple(rows["shop_id"]), columns)


def customers(store: Store) -> Known:
    """Return what is known of every customer: orders, when the last was, coupons given and used, messages."""
    last = store.span.last
    now = store.span.end(store.provenance.timezone)
    people, grants, contacts = store.table("customers"), store.table("coupon_grants"), store.table("contacts")
    rows = store.run(people.select("customer_id", "region", "first_seen_at").order_by("customer_id")).to_pydict()
    ids = tuple(rows["customer_id"])
    place = {name: n for n, name in enumerate(ids)}
    regions = {name: float(n) for n, name in enumerate(sorted(set(rows["region"])))}
    events = store.table("events")
    seen = events.filter((events.day >= last - timedelta(days=RECENT - 1)) & (events.kind == "click"))
    redeemed = grants.filter(grants.redeemed_order_id.notnull())
    parts = (
        seen.group_by("customer_id").aggregate(clicks=seen.count(), days_seen=seen.day.nunique()),
        grants.group_by("customer_id").aggregate(granted=grants.count()),
        redeemed.group_by("customer_id").aggregate(redeemed=redeemed.count()),
        contacts.group_by("customer_id").aggregate(messages=contacts.count()),
    )
    columns: dict[str, Array] = {
        "region": np.array([regions[name] for name in rows["region"]]),
        "known": np.array([(now - moment).days for moment in rows["first_seen_at"]], float),
    }
    bought = {"orders": "orders", "gross": "gross_sales", "price": "price_per_item"}
    columns |= _counted(store, bought, "customer_id", place, store.span)
    since = store.run(feature_table("customer", store, [now], ["days_since_last_sale"]))
    columns |= _aligned(since.select(["customer_id", "days_since_last_sale"]), "customer_id", place)
    for part in parts:
        columns |= _aligned(store.run(part), "customer_id", place)
    columns["away"] = np.where(columns["orders"] > 0, np.floor(columns.pop("days_since_last_sale")), 999.0)
    return Known(ids, (), columns)
