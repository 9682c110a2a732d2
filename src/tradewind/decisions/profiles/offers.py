"""Offers: the contracts, coupons, campaigns and promotions that run in a period, as findings of a page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import ibis

from tradewind.decisions.profiles.kinds import KINDS
from tradewind.decisions.profiles.page import Page
from tradewind.measures.fact import MONEY, during
from tradewind.money import human, several
from tradewind.study import Column, Evidence, Finding, Grid


def contracts(page: Page, column: str, id: str, beside: str, gmv: Mapping[str, Any]) -> Finding | None:
    """Tell which commission contracts run, with whom and at which rates.

    Args:
        page: The page.
        column: Column of the contracts that the page is about, such as `shop_id`.
        id: Its value.
        beside: Kind of the other side, by which the contracts are listed.
        gmv: GMV of each of the other side in the period, by which they are ranked; empty where it is not known.
    """
    store, key = page.store, KINDS[beside].key
    if not store.has("commissions", column) or not store.has("commissions", key):
        return None
    rows = store.table("commissions")
    rows = rows.filter(rows[column] == id, page.within(rows.accepted_at, rows.ends_at))
    if store.has("commissions", "accepted_at"):
        rows = rows.filter(rows.accepted_at.notnull())  # an invitation that was not accepted is no contract
    found = store.run(
        rows.group_by(key).aggregate(
            contracts=rows.count(), low=rows.rate.min(), high=rows.rate.max(),
            funded=(rows.platform_share > 0).sum(), share=rows.platform_share.max(), ends=rows.ends_at.max(),
        )
    ).to_pylist()  # fmt: skip
    if not found:
        return None
    found.sort(key=lambda row: (-(gmv.get(row[key]) or 0), -row["contracts"], row[key] or ""))
    top = found[: page.settings.top]
    title = page.names(**{beside: [row[key] for row in top if row[key]]})
    table = tuple(
        {
            key: row[key], "title": title(beside, row[key]) if row[key] else "all", "contracts": row["contracts"],
            "low": row["low"], "high": row["high"], "share": row["share"], "ends": page.local(row["ends"]),
            "gmv": gmv.get(row[key]),
        }
        for row in top
    )  # fmt: skip
    columns: tuple[Column, ...] = (
        Column(key, f"{KINDS[beside].title} id"), Column("title", KINDS[beside].title),
        Column("contracts", "Contracts", "count"), Column("low", "Lowest rate", "share"),
        Column("high", "Highest rate", "share"), Column("share", "Platform pays at most", "share"),
        Column("ends", "Last ends", "day"),
    )  # fmt: skip
    columns += (Column("gmv", "GMV in the period", "money"),) if gmv else ()
    count, partners = sum(row["contracts"] for row in found), len(found)
    numbers: dict[str, Any] = {"contracts": count, "partners": partners}
    sentence = f"{count:,} commission contracts run with {several(partners, beside)}"
    if rates := [row[end] for row in found for end in ("low", "high") if row[end] is not None]:
        numbers |= {"lowest_rate": min(rates), "highest_rate": max(rates)}
        sentence += f", at {_range(min(rates), max(rates))} of the price"
    if store.has("commissions", "platform_share"):
        numbers["co_funded"] = sum(row["funded"] or 0 for row in found)
        sentence += f"; the platform pays a part of {numbers['co_funded']:,}"
    note = "Counted: contracts that were accepted and ran on a day of the period."
    return Finding("contracts", sentence + ".", Evidence.MEASURED, numbers, Grid(columns, table), None, note, 40.0)


def coupons(page: Page, shop: str) -> Finding | None:
    """Tell which of a shop's own coupons run, and how often they were used."""
    store = page.store
    if not store.has("coupons", "shop_id"):
        return None
    issued = store.table("coupons")
    issued = issued.filter(issued.shop_id == shop, page.within(issued.starts_at, issued.ends_at))
    counted = store.has("order_discounts", "coupon_id")
    if counted:
        lines, off = store.table("order_lines"), store.table("order_discounts")
        lines = lines.filter(lines.shop_id == shop, during(lines.day, page.seen)).select("order_id", "line")
        used = off.filter(off.coupon_id.notnull()).semi_join(lines, ["order_id", "line"])
        used = used.group_by("coupon_id").aggregate(
            orders=used.order_id.nunique().cast("int64"), amount=used.amount.sum().cast(MONEY)
        )
        issued = issued.left_join(used, "coupon_id").drop("coupon_id_right")
    found = store.run(issued).to_pylist()
    if not found:
        return None
    found.sort(key=lambda row: (-(row.get("orders") or 0), row["coupon_id"]))
    table = tuple(
        {
            "coupon_id": row["coupon_id"], "worth": _worth(page, row), "ends": page.local(row["ends_at"]),
            "share": row["platform_share"],
            **({"orders": row["orders"] or 0, "amount": row["amount"] or 0} if counted else {}),
        }
        for row in found[: page.settings.top]
    )  # fmt: skip
    columns = [Column("coupon_id", "Coupon"), Column("worth", "Worth"), Column("ends", "Ends", "day")]
    columns.append(Column("share", "Platform pays", "share"))
    numbers: dict[str, Any] = {"coupons": len(found)}
    sentence = f"{several(len(found), 'coupon')} of the shop's own ran"
    if counted:
        columns += [Column("orders", "Orders that used it", "count"), Column("amount", "Taken off", "money")]
        numbers["used"] = sum(bool(row["orders"]) for row in found)
        numbers["amount"] = sum((row["amount"] or 0) for row in found)
        were = "was" if numbers["used"] == 1 else "were"
        sentence += f"; {numbers['used']:,} {were} used, and took off {page.money(numbers['amount'])}"
    note = "Counted over what was ordered, paid or not. Coupons of the whole marketplace are not among them."
    grid = Grid(tuple(columns), table)
    return Finding("coupons", sentence + ".", Evidence.MEASURED, numbers, grid, None, note, 38.0)


def campaigns(page: Page, where: Mapping[str, str]) -> Finding | None:
    """Tell the campaigns and promotions that a shop's or product's listings were in.

    Args:
        page: The page.
        where: Value of `shop_id` or `product_id`.
    """
    parts = [part for part in (_campaigns(page, where), _promotions(page, where)) if part is not None]
    if not parts:
        return None
    found = [row for part in parts for row in page.store.run(part).to_pylist()]
    if not found:
        return None
    for row in found:
        if row["source"] == "campaign":
            row["begins"], row["ends"] = page.local(row["begins"]), page.local(row["ends"])
    found.sort(key=_latest, reverse=True)
    table = tuple({**row, "what": row["what"] or "unnamed"} for row in found[: page.settings.top])
    columns = (
        Column("what", "Campaign or promotion"), Column("kind", "Kind"), Column("begins", "Begins", "day"),
        Column("ends", "Ends", "day"), Column("products", "Products", "count"), Column("low", "Least off", "share"),
        Column("high", "Most off", "share"),
    )  # fmt: skip
    named = sum(row["source"] == "campaign" for row in found)
    others = len(found) - named
    said = [f"{several(named, 'campaign')}"] if named else []
    said += [f"{several(others, 'promotion')}"] if others else []
    sentence = f"{' and '.join(said)} ran."
    note = "Counted: what ran on a day of the period. Promotions of one kind with the same days are one."
    numbers = {"campaigns": named, "promotions": others}
    return Finding("campaigns", sentence, Evidence.MEASURED, numbers, Grid(columns, table), None, note, 36.0)


def _latest(row: Mapping[str, Any]) -> tuple[Any, ...]:
    named = (row["what"] or "", row["kind"] or "")
    return (row["begins"] or date.min, *named, row["ends"] or date.max, row["products"])


def _campaigns(page: Page, where: Mapping[str, str]) -> ibis.Table | None:
    store = page.store
    if not store.has("campaigns") or not store.has("campaign_products"):
        return None
    held, listed = store.table("campaigns"), store.table("campaign_products")
    if "product_id" in where:
        listed = listed.filter(listed.product_id == where["product_id"])
    elif (own := _products_of(page, where["shop_id"])) is not None:
        listed = listed.semi_join(own, "product_id")
    counted = listed.group_by("campaign_id").aggregate(products=listed.product_id.nunique().cast("int64"))
    rows = held.filter(page.within(held.starts_at, held.ends_at)).join(counted, "campaign_id")
    if "shop_id" in where:
        rows = rows.filter(rows.shop_id.isnull() | (rows.shop_id == where["shop_id"]))
    unknown = ibis.null("float64")
    return rows.select(
        source=ibis.literal("campaign"), what=rows.name, kind=rows.kind, begins=rows.starts_at, ends=rows.ends_at,
        products=rows.products, low=unknown, high=unknown,
    )  # fmt: skip


def _promotions(page: Page, where: Mapping[str, str]) -> ibis.Table | None:
    store = page.store
    if not store.has("promotions"):
        return None
    rows = store.table("promotions")
    rows = rows.filter(*(rows[name] == value for name, value in where.items()))
    rows = rows.filter(rows.starts_on <= page.seen.last, rows.ends_on.isnull() | (rows.ends_on >= page.seen.first))
    rows = rows.group_by("kind", "starts_on", "ends_on").aggregate(
        products=rows.product_id.nunique().cast("int64"), low=rows.discount.min(), high=rows.discount.max()
    )
    return rows.select(
        source=ibis.literal("promotion"), what=ibis.literal("promotion"), kind=rows.kind, begins=rows.starts_on,
        ends=rows.ends_on, products=rows.products, low=rows.low, high=rows.high,
    )  # fmt: skip


def _products_of(page: Page, shop: str) -> ibis.Table | None:
    """Ids of what a shop lists, as far as the source tells."""
    for name in ("product_history", "products"):
        if page.store.has(name, "shop_id"):
            rows = page.store.table(name)
            return rows.filter(rows.shop_id == shop).select("product_id").distinct()
    return None


def _worth(page: Page, row: Mapping[str, Any]) -> str:
    """What a coupon takes off, in words."""
    if row["face_value"] is not None:
        said = f"{page.money(row['face_value'])} off"
    elif row["rate"] is not None:
        said = f"{human(row['rate'], 'share')} off"
    else:
        said = "unknown"
    return f"{said} from {page.money(row['threshold'])}" if row["threshold"] else said


def _range(low: float, high: float) -> str:
    first, last = human(low, "share"), human(high, "share")
    return first if first == last else f"{first} to {last}"
