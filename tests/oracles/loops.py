"""The metrics once more, as plain loops over rows: no engine, no expression, no SQL.

What a metric's sentence and the house's vocabulary say is written here a second time, so that a slip in the declared
expressions cannot also be in what they are compared with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tradewind.period import Period

Row = dict[str, Any]
Rows = Mapping[str, list[Row]]
Key = tuple[Any, ...]
Answer = dict[Key, dict[str, Any]]

MONEY, SHARE = Decimal("0.0001"), Decimal("0.00000001")
CALENDAR = {"day", "week", "month", "weekday", "hour_of_day"}
LISTING = {
    "product_id",
    "product",
    "category",
    "department",
    "brand",
    "shop_id",
    "shop",
    "shop_region",
    "shop_category",
}
DEMAND = {"surface", "form", "relation", "creator_id", "creator", "live_id", "content_id"}
BUYER = {"customer_id", "customer_region"}
DIMENSIONS = {
    "sales": CALENDAR | LISTING | DEMAND | BUYER | {"customer_type", "cohort"},
    "refunds": CALENDAR | LISTING | DEMAND | BUYER,
    "refunds_by_order": CALENDAR | LISTING | DEMAND | BUYER,
    "traffic": CALENDAR | LISTING | DEMAND,
    "ads": CALENDAR | LISTING | {"live_id", "content_id"},
}
"""What each fact can be split by."""


@dataclass(frozen=True)
class Leaf:
    """A sum over the rows of a fact, or a count of different values in them."""

    fact: str
    value: Callable[[Row], Any]
    distinct: bool = False
    money: bool = True


def column(fact: str, name: str, *, money: bool = True) -> Leaf:
    return Leaf(fact, lambda row: row[name], money=money)


def different(value: Callable[[Row], Any]) -> Leaf:
    return Leaf("sales", value, distinct=True, money=False)


def of_type(kind: str) -> Callable[[Row], Any]:
    return lambda row: row["customer_id"] if row["customer_type"] == kind else None


def gmv_of(kind: str) -> Leaf:
    return Leaf("sales", lambda row: row["gmv"] if row["customer_type"] == kind else 0)


def spend_of(*payers: str) -> Leaf:
    return Leaf("ads", lambda row: row["spend"] if row["payer"] in payers else 0)


LEAVES: dict[str, Leaf] = {
    "gmv": column("sales", "gmv"),
    "gross_sales": column("sales", "gross"),
    "items": column("sales", "quantity", money=False),
    "orders": different(lambda row: row["order_id"]),
    "buyers": different(lambda row: row["customer_id"]),
    "new_buyers": different(of_type("new")),
    "returning_buyers": different(of_type("returning")),
    "gmv_new": gmv_of("new"),
    "gmv_returning": gmv_of("returning"),
    "gmv_unknown": gmv_of("unknown"),
    "gmv_known": Leaf("sales", lambda row: row["gmv"] if row["customer_id"] else 0),
    "orders_known": different(lambda row: row["order_id"] if row["customer_id"] else None),
    "products_sold": different(lambda row: row["product_id"]),
    "shops_selling": different(lambda row: row["shop_id"]),
    "creators_selling": different(lambda row: row["creator_id"]),
    "merchant_discount": column("sales", "merchant_discount"),
    "platform_discount": column("sales", "platform_discount"),
    "brand_discount": column("sales", "brand_discount"),
    "creator_discount": column("sales", "creator_discount"),
    "refunds": column("refunds", "gmv_back"),
    "refunded_items": column("refunds", "quantity", money=False),
    "refunds_of_orders": column("refunds_by_order", "gmv_back"),
    "impressions": column("traffic", "impressions", money=False),
    "clicks": column("traffic", "clicks", money=False),
    "carts": column("traffic", "carts", money=False),
    "ad_spend": column("ads", "spend"),
    "merchant_ad_spend": spend_of("merchant"),
    "creator_ad_spend": spend_of("creator"),
    "brand_ad_spend": spend_of("brand"),
    "ad_revenue": spend_of("merchant", "creator", "brand"),
    "attributed_gmv": column("ads", "attributed_gmv"),
    "cost": column("sales", "kept_cost"),
    "commission": column("sales", "commission"),
    "platform_commission": column("sales", "platform_commission"),
    "commission_back": column("refunds", "commission_reversed"),
    "platform_commission_back": column("refunds", "platform_commission_reversed"),
    "platform_fee": column("sales", "platform_fee"),
    "fee_back": column("refunds", "fee_reversed"),
    "payment_fee": column("sales", "payment_fee"),
    "shipping_paid": column("sales", "shipping_paid"),
    "shipping_cost": column("sales", "shipping_cost"),
    "return_shipping": column("refunds", "return_shipping"),
    "subsidy_back": column("refunds", "subsidy_reversed"),
}

TOTALS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "discount": (("merchant_discount", "platform_discount", "brand_discount", "creator_discount"), (), ()),
    "merchant_profit": (
        ("gmv",),
        ("platform_commission", "commission_back", "fee_back", "shipping_paid"),
        ("cost", "refunds", "commission", "platform_commission_back", "platform_fee", "payment_fee", "shipping_cost",
         "return_shipping", "merchant_ad_spend"),
    ),
    "platform_profit": (
        ("platform_fee",),
        ("ad_revenue", "subsidy_back", "platform_commission_back"),
        ("fee_back", "platform_discount", "platform_commission"),
    ),
    "creator_profit": (("commission",), (), ("commission_back", "creator_discount", "creator_ad_spend")),
    "brand_profit": ((), (), ("brand_discount", "brand_ad_spend")),
}  # fmt: skip
"""Of each total: what it cannot do without, what else is added, what is taken off."""

RATIOS: dict[str, tuple[str, str, int]] = {
    "aov": ("gmv", "orders", 1),
    "items_per_order": ("items", "orders", 1),
    "price_per_item": ("gmv", "items", 1),
    "gross_price": ("gross_sales", "items", 1),
    "price_kept": ("gmv", "gross_sales", 1),
    "repeat_rate": ("returning_buyers", "buyers", 1),
    "orders_per_known": ("orders", "orders_known", 1),
    "orders_per_buyer": ("orders_known", "buyers", 1),
    "gmv_per_buyer": ("gmv_known", "buyers", 1),
    "gmv_per_product": ("gmv", "products_sold", 1),
    "discount_rate": ("discount", "gross_sales", 1),
    "refund_rate": ("refunds", "gmv", 1),
    "refund_rate_of_orders": ("refunds_of_orders", "gmv", 1),
    "ctr": ("clicks", "impressions", 1),
    "cvr": ("orders", "clicks", 1),
    "gpm": ("gmv", "impressions", 1000),
    "attributed_roi": ("attributed_gmv", "ad_spend", 1),
    "merchant_margin": ("merchant_profit", "gmv", 1),
}

NAMES = (*LEAVES, *TOTALS, *RATIOS)


def facts(market: Rows, margin: str | None = None) -> dict[str, list[Row]]:
    """Return the rows of each fact, with every dimension and derived value in them.

    Args:
        market: Rows by canonical table.
        margin: Gross margin assumed for lines without a unit cost.
    """
    names = {table: {row[f"{table[:-1]}_id"]: row for row in market[table]} for table in _KEYED}
    lines = {(line["order_id"], line["line"]): line for line in market["order_lines"]}
    sales = _sales(market, margin)
    booked, by_order = [], []
    for back in market["refunds"]:
        line = lines.get((back["order_id"], back["line"]))
        share = line["commission_platform_share"] if line else None
        row = {
            **dict.fromkeys(_OF_THE_SALE),
            **({name: line[name] for name in _OF_THE_SALE} if line else {}),
            **back,
            "gmv_back": back["amount"] + (back["subsidy_reversed"] or 0),
            "platform_commission_reversed": _part(back["commission_reversed"], share),
        }
        booked.append(row)
        if line:
            by_order.append({**row, "day": line["day"], "hour": line["hour"]})
    found = {
        "sales": sales,
        "refunds": booked,
        "refunds_by_order": by_order,
        "traffic": market["traffic"],
        "ads": market["ads"],
    }
    return {fact: [_with_dimensions(row, names) for row in rows] for fact, rows in found.items()}


def needed(name: str) -> set[str]:
    """Return the facts without which a metric has no answer."""
    if name in LEAVES:
        return {LEAVES[name].fact}
    if name in RATIOS:
        return needed(RATIOS[name][0]) | needed(RATIOS[name][1])
    required = {"merchant_profit": ("gmv", "cost"), "brand_profit": ("brand_discount",)}.get(name, TOTALS[name][0])
    return {LEAVES[leaf].fact for leaf in required}


def splittable(name: str, dimensions: Iterable[str]) -> bool:
    """Whether every fact that a metric needs has these dimensions."""
    return all(set(dimensions) <= DIMENSIONS[fact] for fact in needed(name))


def measure(  # the same words as a query
    found: Mapping[str, list[Row]],
    names: Iterable[str],
    period: Period,
    by: tuple[str, ...] = (),
    where: Mapping[str, tuple[Any, ...]] | None = None,
) -> Answer:
    """Return each metric's answer in each group that has a row in a fact that one of the metrics touches."""
    names, where = tuple(names), where or {}
    usable = {fact for fact, has in DIMENSIONS.items() if {*by, *where} <= has}
    touched = {LEAVES[leaf].fact for name in names for leaf in _leaves(name)} & usable
    groups: dict[Key, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for fact in touched:
        for row in found[fact]:
            if row["day"] in period and all(row[name] in values for name, values in where.items()):
                groups[tuple(row[name] for name in by)][fact].append(row)
    if not by:
        groups.setdefault((), defaultdict(list))
    return {key: {name: _value(name, rows, usable) for name in names} for key, rows in groups.items()}


_KEYED = ("products", "shops", "customers", "creators")
_OF_THE_SALE = ("surface", "form", "relation", "creator_id", "live_id", "content_id")


def _leaves(name: str) -> tuple[str, ...]:
    if name in LEAVES:
        return (name,)
    below = RATIOS[name][:2] if name in RATIOS else tuple(part for parts in TOTALS[name] for part in parts)
    return tuple(leaf for part in below for leaf in _leaves(part))


def _value(name: str, rows: Mapping[str, list[Row]], usable: set[str]) -> Any:
    if name in LEAVES:
        leaf = LEAVES[name]
        values = [value for row in rows.get(leaf.fact, ()) if (value := leaf.value(row)) is not None]
        if leaf.distinct:
            return len(set(values))
        return sum(values, Decimal(0) if leaf.money else 0)
    if name in RATIOS:
        over, under, times = RATIOS[name]
        below = float(_value(under, rows, usable))
        return float(_value(over, rows, usable)) * times / below if below else None
    first, more, less = TOTALS[name]
    total = Decimal(0)
    for sign, parts in ((1, first), (1, more), (-1, less)):
        total += sign * sum((_value(part, rows, usable) for part in parts if LEAVES[part].fact in usable), Decimal(0))
    return total


def _sales(market: Rows, margin: str | None) -> list[Row]:
    paid = {(step["order_id"], step["line"]) for step in market["order_status"] if step["status"] == "paid"}
    told = bool(market["order_status"])  # a source that tells no payments has only paid orders
    sold = [line for line in market["order_lines"] if not told or (line["order_id"], line["line"]) in paid]
    first: dict[str, date] = {}
    for line in sold:
        if (buyer := line["customer_id"]) is not None:
            first[buyer] = min(line["day"], first.get(buyer, line["day"]))
    off: dict[Key, Decimal] = defaultdict(Decimal)
    for discount in market["order_discounts"]:
        off[discount["order_id"], discount["line"], discount["payer"]] += discount["amount"]
    restocked: dict[Key, int] = defaultdict(int)
    for back in market["refunds"]:
        if back["restocked"] and back["order_id"] is not None:
            restocked[back["order_id"], back["line"]] += back["quantity"]
    return [_sale(line, first, off, restocked, margin) for line in sold]


def _sale(
    line: Row, first: Mapping[str, date], off: Mapping[Key, Decimal], restocked: Mapping[Key, int], margin: str | None
) -> Row:
    key = (line["order_id"], line["line"])
    discounts = {
        f"{who}_discount": off.get((*key, who), Decimal(0)) for who in ("merchant", "platform", "brand", "creator")
    }
    gross = line["quantity"] * line["unit_price"]
    cost = line["unit_cost"]
    if cost is None and margin is not None:
        cost = (line["unit_price"] * (1 - Decimal(margin))).quantize(MONEY, ROUND_HALF_UP)
    kept = line["quantity"] - restocked.get(key, 0)
    kind = "unknown"
    if line["customer_id"] is not None:
        kind = "new" if first[line["customer_id"]] == line["day"] else "returning"
    return {
        **line,
        **discounts,
        "gross": gross,
        "gmv": gross - discounts["merchant_discount"],
        "kept_cost": None if cost is None else cost * kept,
        "platform_commission": _part(line["commission"], line["commission_platform_share"]),
        "customer_type": kind,
        "cohort": None if kind == "unknown" else first[line["customer_id"]].replace(day=1),
    }


def _part(amount: Decimal | None, share: float | None) -> Decimal | None:
    if amount is None:
        return None
    return (amount * Decimal(share or 0).quantize(SHARE, ROUND_HALF_UP)).quantize(MONEY, ROUND_HALF_UP)


def _with_dimensions(row: Row, names: Mapping[str, Mapping[str, Row]]) -> Row:
    def found(table: str, key: str, name: str) -> Any:
        return names[table].get(row.get(key), {}).get(name)

    category = found("products", "product_id", "category")
    return {
        **row,
        "product": found("products", "product_id", "title"),
        "category": category,
        "department": None if category is None else category.split("/")[0],
        "brand": found("products", "product_id", "brand"),
        "shop": found("shops", "shop_id", "name"),
        "shop_region": found("shops", "shop_id", "region"),
        "shop_category": found("shops", "shop_id", "category"),
        "customer_region": found("customers", "customer_id", "region"),
        "creator": found("creators", "creator_id", "name"),
        "week": row["day"] - timedelta(days=row["day"].weekday()),
        "month": row["day"].replace(day=1),
        "weekday": row["day"].weekday(),
        "hour_of_day": row["hour"].hour,
    }
