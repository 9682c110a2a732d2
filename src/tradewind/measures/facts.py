"""The facts of the house: sales, refunds, traffic and advertising, with the dimensions that they share."""

from __future__ import annotations

from collections.abc import Callable

import ibis
import ibis.expr.types as ir

from tradewind.measures.fact import MONEY, WHOLE, WIDE, Fact, Lookup, Row, Tables, plain
from tradewind.tables.sales import PAYERS


def _paid(tables: Tables, lines: ibis.Table) -> ibis.Table:
    """Keep the lines that were paid; where a source tells no payments, what is ordered counts as paid."""
    if not tables.has("order_status"):
        return lines
    status = tables.table("order_status")
    return lines.semi_join(status.filter(status.status == "paid"), ["order_id", "line"])


def _payments(_: Tables, rows: ibis.Table) -> ibis.Table:
    paid = rows.filter(rows.status == "paid")
    return paid.group_by("order_id", "line").aggregate(paid_known_at=paid.known_at.min())


def _discounts(_: Tables, rows: ibis.Table) -> ibis.Table:
    sums = {f"{payer}_discount": rows.amount.sum(where=rows.payer == payer).cast(MONEY) for payer in PAYERS}
    return rows.group_by("order_id", "line").aggregate(**sums)


def _first_days(tables: Tables, rows: ibis.Table) -> ibis.Table:
    lines = _paid(tables, rows)
    return lines.filter(lines.customer_id.notnull()).group_by("customer_id").aggregate(first_day=lines.day.min())


def _returned(_: Tables, rows: ibis.Table) -> ibis.Table:
    """How many pieces of an order line came back and were put on sale again, so that their cost is not lost."""
    back = rows.filter(rows.restocked & rows.order_id.notnull())
    return back.group_by("order_id", "line").aggregate(restocked=back.quantity.sum())


def _sold(_: Tables, rows: ibis.Table) -> ibis.Table:
    return rows.select(
        "order_id", "line", *_OF_THE_SALE, sold_day=rows.day, sold_hour=rows.hour, sold_to=rows.customer_id
    )


_OF_THE_SALE = ("surface", "form", "relation", "creator_id", "live_id", "content_id", "commission_platform_share")
_SOLD_KINDS = {
    **dict.fromkeys(_OF_THE_SALE, "string"),
    "commission_platform_share": "float64",
    "sold_day": "date",
    "sold_hour": "timestamp(6)",
    "sold_to": "string",
}

DISCOUNTS = Lookup(
    on=("order_id", "line"),
    provides={f"{payer}_discount": MONEY for payer in PAYERS},
    needs={f"{payer}_discount": "order_discounts" for payer in PAYERS},
    table="order_discounts",
    build=_discounts,
    gathers=True,
    missing=0,
)
PAYMENTS = Lookup(
    on=("order_id", "line"),
    provides={"paid_known_at": "timestamp(6)"},
    needs={"paid_known_at": "order_status"},
    table="order_status",
    build=_payments,
    gathers=True,
)
FIRST_DAYS = Lookup(("customer_id",), {"first_day": "date"}, {}, "order_lines", _first_days, gathers=True)
RETURNED = Lookup(
    on=("order_id", "line"),
    provides={"restocked": "int64"},
    needs={"restocked": "refunds.restocked"},
    table="refunds",
    build=_returned,
    gathers=True,
    missing=0,
)
SOLD = Lookup(("order_id", "line"), _SOLD_KINDS, {n: f"order_lines.{n}" for n in _OF_THE_SALE}, "order_lines", _sold)
PRODUCTS = plain("products", "product_id", product="title", category="category", brand="brand")
SHOPS = plain("shops", "shop_id", shop="name", shop_region="region", shop_category="category")
CUSTOMERS = plain("customers", "customer_id", customer_region="region")
CREATORS = plain("creators", "creator_id", creator="name")


def _customer_type(row: Row) -> ir.Value:
    known = row.customer_id.notnull()
    return ibis.cases((known & (row.day == row.first_day), "new"), (known, "returning"), else_="unknown")


def _gross(row: Row) -> ir.Value:
    return (row.unit_price.cast(WIDE) * row.quantity.cast(WHOLE)).cast(MONEY)


def _seller_discount(row: Row) -> ir.Value:
    return row.merchant_discount if row.has("order_discounts") else ibis.literal(0).cast(MONEY)


def _visible_at(row: Row) -> ir.Value:
    """The moment from which the line is known and known to be paid."""
    return ibis.greatest(row.known_at, row.paid_known_at) if row.has("order_status") else row.known_at


def _unit_cost(row: Row) -> ir.Value:
    margin = row.tables.assumptions.margin
    if margin is None:
        return row.unit_cost.cast(WIDE)
    kept = ibis.literal(round(1 - margin, 6)).cast("decimal(19, 6)")
    assumed = (row.unit_price * kept).cast(WIDE)
    return row.unit_cost.cast(WIDE).coalesce(assumed) if row.has("order_lines", "unit_cost") else assumed


def _kept_cost(row: Row) -> ir.Value:
    """Unit cost of what was not put back on sale."""
    gone = row.quantity - row.restocked if row.has("refunds", "restocked") else row.quantity
    return (row.unit_cost_or_assumed * gone.cast(WHOLE)).cast(MONEY)


def _by_platform(amount: str) -> Callable[[Row], ir.Value]:
    """The platform's part of an amount; a source that tells no share leaves it all to the merchant."""

    def value(row: Row) -> ir.Value:
        paid = getattr(row, amount)
        if not row.has("order_lines", "commission_platform_share"):
            return ibis.literal(0).cast(MONEY)
        share = row.commission_platform_share.fill_null(0.0)
        part = ((share * 1e8 + 0.5).floor() / 1e8).cast("decimal(19, 8)")  # engines round what lies between otherwise
        return (paid * part).cast(MONEY)

    return value


def _buyer(row: Row) -> ir.Value:
    """Who gave something back: as told, else who bought it."""
    return row.own("customer_id").coalesce(row.sold_to) if row.has("refunds", "customer_id") else row.sold_to


def _cohort(row: Row) -> ir.Value:
    return row.first_day.truncate("M")


CALENDAR: dict[str, Callable[[Row], ir.Value]] = {
    "week": lambda row: row.day.truncate("W"),
    "month": lambda row: row.day.truncate("M"),
    "weekday": lambda row: row.day.day_of_week.index().cast("int64"),
    "hour_of_day": lambda row: row.hour.hour().cast("int64"),
}
DEPARTMENT = {"department": lambda row: row.category.split("/")[0]}

SALES = Fact(
    name="sales",
    doc="A paid order line.",
    table="order_lines",
    where=_paid,
    lookups=(DISCOUNTS, PAYMENTS, FIRST_DAYS, RETURNED, PRODUCTS, SHOPS, CUSTOMERS, CREATORS),
    derived={
        **CALENDAR,
        **DEPARTMENT,
        "customer_type": _customer_type,
        "cohort": _cohort,
        "gross": _gross,
        "gmv": lambda row: row.gross - _seller_discount(row),
        "unit_cost_or_assumed": _unit_cost,
        "kept_cost": _kept_cost,
        "platform_commission": _by_platform("commission"),
        "visible_at": _visible_at,
    },
    time="ordered_at",
    known="visible_at",
)

REFUNDS = Fact(
    name="refunds",
    doc="A refund, on the day that it was booked.",
    table="refunds",
    lookups=(SOLD, PRODUCTS, SHOPS, CUSTOMERS, CREATORS),
    derived={
        **CALENDAR,
        **DEPARTMENT,
        "gmv_back": lambda row: (
            row.amount.cast(MONEY) + row.subsidy_reversed.fill_null(0).cast(MONEY)
            if row.has("refunds", "subsidy_reversed")
            else row.amount.cast(MONEY)
        ),
        "platform_commission_reversed": _by_platform("commission_reversed"),
    },
    time="refunded_at",
    known="known_at",
)

REFUNDS_BY_ORDER = Fact(
    name="refunds_by_order",
    doc="A refund, on the day of the order that it undoes.",
    table="refunds",
    lookups=REFUNDS.lookups,
    derived={
        **REFUNDS.derived,
        "day": lambda row: row.sold_day,
        "hour": lambda row: row.sold_hour,
        "booked": lambda row: row.own("day"),
        "customer_id": _buyer,
    },
)

TRAFFIC = Fact(
    name="traffic",
    doc="One hour of one product's exposure on one surface.",
    table="traffic",
    lookups=(PRODUCTS, SHOPS, CREATORS),
    derived={**CALENDAR, **DEPARTMENT},
    time="hour",
    known="hour",
)

ADS = Fact(
    name="ads",
    doc="One hour of one advertisement.",
    table="ads",
    lookups=(PRODUCTS, SHOPS),
    derived={
        **CALENDAR,
        **DEPARTMENT,
        "merchant_spend": lambda row: (row.payer == "merchant").ifelse(
            row.spend, ibis.literal(0).cast("decimal(18, 4)")
        ),
    },
    time="hour",
    known="hour",
)
