"""Rooms: the live sessions of a shop or a creator in a period, as a finding of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis

from tradewind.decisions.profiles.page import Page
from tradewind.measures import metrics as m
from tradewind.measures.fact import MONEY, during, whole_seconds
from tradewind.measures.query import Query, lights_up
from tradewind.money import human
from tradewind.study import Column, Evidence, Finding, Grid


def sessions(page: Page, column: str, id: str, sold: Mapping[str, Any] | None = None) -> Finding | None:
    """Tell the live sessions of the period, the greatest GMV first, each with its id to link to.

    Args:
        page: The page.
        column: Column of the sessions that the page is about: `shop_id` or `creator_id`.
        id: Its value.
        sold: GMV that a shop sold in each session, where it was counted; else all GMV of the sessions is.
    """
    store = page.store
    if not store.has("live_sessions"):
        return None
    held = store.table("live_sessions")
    own = held[column] == id
    if sold:
        own = own | held.live_id.isin(sorted(sold))  # a room of several shops is nobody's own
    held = held.filter(own, during(held.day, page.seen))
    seconds = (whole_seconds(held.ended_at) - whole_seconds(held.started_at)).cast("float64")
    rows = held.select("live_id", "title", "creator_id", "shop_id", "day", "started_at", minutes=seconds / 60)
    if store.has("live_minutes", "viewers"):
        rows = rows.left_join(_watched(page, held), "live_id").drop("live_id_right")
    ordered = lights_up(m.GMV, store, ("live_id",))
    recorded = not ordered and store.has("live_product_minutes", "gmv")
    if recorded:
        rows = rows.left_join(_recorded(page, held, column, id), "live_id").drop("live_id_right")
    found = store.run(rows).to_pylist()
    if not found:
        return None
    if ordered and sold is None:
        asked = Query((m.GMV,), page.seen, ("live_id",), where={"live_id": tuple(row["live_id"] for row in found)})
        sold = {row["live_id"]: row["gmv"] for row in store.metrics(asked).to_pylist()}
    for row in found:
        row["gmv"] = sold.get(row["live_id"], 0) if ordered and sold is not None else row.get("gmv") or 0
    found.sort(key=lambda row: (-row["gmv"], row["started_at"], row["live_id"]))
    top = found[: page.settings.top]
    title = page.names(creator=[row["creator_id"] for row in top if row["creator_id"]])
    table = tuple(
        {
            **row, "title": row["title"] or row["live_id"],
            "host": title("creator", row["creator_id"]) if row["creator_id"] else None,
        }
        for row in top
    )  # fmt: skip
    columns = [Column("live_id", "Live session id"), Column("title", "Live session"), Column("day", "Day", "day")]
    columns += [Column("creator_id", "Host id"), Column("host", "Host")] if column != "creator_id" else []
    columns += [Column("minutes", "Minutes", "count")] if any(row["minutes"] is not None for row in found) else []
    columns += [Column("peak", "Most viewers", "count")] if "peak" in found[0] else []
    numbers: dict[str, Any] = {"sessions": len(found)}
    sentence = f"{len(found):,} live sessions were held" if len(found) > 1 else "One live session was held"
    if ordered or recorded:
        columns.insert(3, Column("gmv", "GMV", "money"))
        numbers["gmv"] = sum(row["gmv"] for row in found)
        best = top[0]["title"] or top[0]["live_id"]
        sentence += f"; they brought {page.money(numbers['gmv'])} GMV" if len(found) > 1 else ""
        if len(found) > 1 and top[0]["gmv"]:
            part = human(float(top[0]["gmv"] / numbers["gmv"]), "share")
            sentence += f", {part} of it in “{best}” of {top[0]['day']}"
    source = "of paid orders placed in the room, whoever is credited" if ordered else "what the rooms recorded"
    note = f"Counted. GMV is {source}, before refunds."
    elsewhere = sum(value or 0 for value in (sold or {}).values()) - numbers.get("gmv", 0) if ordered else 0
    if page.money(elsewhere) != page.money(0):
        note += f" Another {page.money(elsewhere)} was sold in rooms that are not to be seen here."
    grid = Grid(tuple(columns), table)
    return Finding("sessions", sentence + ".", Evidence.MEASURED, numbers, grid, None, note, 50.0)


def drops(page: Page, creator: str) -> Finding | None:
    """Tell the coupons that a creator's rooms handed out in the period."""
    store = page.store
    if not store.has("live_drops") or not store.has("live_sessions", "creator_id"):
        return None
    held, given = store.table("live_sessions"), store.table("live_drops")
    held = held.filter(held.creator_id == creator, during(held.day, page.seen))
    given = given.semi_join(held, "live_id")
    [found] = store.run(
        given.aggregate(
            drops=given.count(), rooms=given.live_id.nunique(), quantity=given.quantity.sum(),
            claimed=given.claimed.sum(where=given.quantity.notnull()),
        )
    ).to_pylist()  # fmt: skip
    if not found["drops"]:
        return None
    sentence = f"Coupons were dropped {found['drops']:,} times in {found['rooms']:,} sessions"
    numbers: dict[str, Any] = {"drops": found["drops"], "rooms": found["rooms"]}
    if found["quantity"] and found["claimed"] is not None:
        numbers |= {"quantity": found["quantity"], "claimed": found["claimed"]}
        sentence += f"; {found['claimed']:,} of {found['quantity']:,} coupons were claimed"
    return Finding("drops", sentence + ".", Evidence.MEASURED, numbers, None, None, "Counted.", 44.0)


def pinned(page: Page, creator: str) -> Finding | None:
    """Tell what a creator's rooms showed in the period, product by product, as the rooms recorded it."""
    store = page.store
    if not store.has("live_product_minutes") or not store.has("live_sessions", "creator_id"):
        return None
    held, minutes = store.table("live_sessions"), store.table("live_product_minutes")
    held = held.filter(held.creator_id == creator, during(held.day, page.seen))
    minutes = minutes.semi_join(held, "live_id")
    found = store.run(
        minutes.group_by("product_id").aggregate(
            pinned=minutes.pinned.cast("int64").sum(), shown=minutes.count(), clicks=minutes.clicks.sum(),
            orders=minutes.orders.sum(), gmv=minutes.gmv.sum().cast(MONEY),
        )
    ).to_pylist()  # fmt: skip
    if not found:
        return None
    found.sort(key=lambda row: (-(row["gmv"] or 0), -(row["pinned"] or 0), row["product_id"]))
    top = found[: page.settings.top]
    title = page.names(product=[row["product_id"] for row in top])
    table = tuple({**row, "title": title("product", row["product_id"])} for row in top)
    columns: tuple[Column, ...] = (
        Column("product_id", "Product id"), Column("title", "Product"), Column("shown", "Minutes listed", "count"),
        Column("pinned", "Minutes pinned", "count"), Column("clicks", "Clicks", "count"),
        Column("orders", "Orders", "count"), Column("gmv", "GMV", "money"),
    )  # fmt: skip
    columns = tuple(column for column in columns if any(row[column.name] is not None for row in table))
    sentence = f"{len(found):,} products were shown live; {table[0]['title']} came first."
    note = "Counted minute by minute, as the rooms recorded it; refunds are not taken off."
    numbers = {"products": len(found), "gmv": sum((row["gmv"] or 0) for row in found)}
    return Finding("pinned", sentence, Evidence.MEASURED, numbers, Grid(columns, table), None, note, 46.0)


def _watched(page: Page, held: ibis.Table) -> ibis.Table:
    minutes = page.store.table("live_minutes").semi_join(held, "live_id")
    return minutes.group_by("live_id").aggregate(peak=minutes.viewers.max())


def _recorded(page: Page, held: ibis.Table, column: str, id: str) -> ibis.Table:
    minutes = page.store.table("live_product_minutes").semi_join(held, "live_id")
    if column == "shop_id":
        minutes = minutes.filter(minutes.shop_id == id)
    return minutes.group_by("live_id").aggregate(gmv=minutes.gmv.sum().cast(MONEY))
