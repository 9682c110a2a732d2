"""The page of one product."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import ibis

from tradewind import charts
from tradewind.decisions.profiles.kinds import Entity, entity
from tradewind.decisions.profiles.offers import campaigns, contracts
from tradewind.decisions.profiles.page import NOW, Page, ProfileSettings
from tradewind.decisions.profiles.places import clicks, places, ways, without_clicks
from tradewind.engines.store import Store
from tradewind.measures import metrics as m
from tradewind.measures.cuts import Cut, worth
from tradewind.measures.fact import during
from tradewind.measures.metric import Metric
from tradewind.measures.query import Query, lights_up
from tradewind.money import human
from tradewind.period import Period
from tradewind.study import Column, Evidence, Finding, Grid, Study

HEADLINE: tuple[Metric, ...] = (m.GMV, m.ITEMS, m.ORDERS, m.BUYERS, m.PRICE_PER_ITEM, m.CVR, m.REFUND_RATE)
SOLD = (m.GMV, m.ITEMS, m.REFUND_AMOUNT)
LACKING = {
    "product_history": "list prices", "creators": "creators", "reviews": "reviews", "inventory": "stock",
    "commissions": "contracts", "campaigns": "campaigns", "promotions": "promotions",
}  # fmt: skip
Titles = Callable[[str, str], str]


def profile(store: Store, id: str, period: Period, settings: ProfileSettings | None = None) -> Study:
    """Show one product over a period.

    Args:
        store: The store, as the caller may see it.
        id: The product's id.
        period: The days in question.
        settings: What to show.

    Returns:
        Findings: what it is, the headline metrics beside the period before, the trend, its prices, the shops and
        creators who sell it, where sales come from, reviews, stock, contracts, campaigns, and how it does beside its
        category, as far as the source and the caller's scope tell.

    Raises:
        NotFoundError: If there is no such product that the caller may see.
        MissingDataError: If the period does not meet the data.
    """
    who = entity(store, "product", id)
    page = Page(store, who, period, settings)
    page.say_lacking(LACKING)
    where = {"product_id": id}
    counted = page.cuts(
        {
            "whole": Cut((), without_clicks(HEADLINE)), "days": Cut(("day",), (m.GMV, m.GROSS_SALES, m.ITEMS)),
            "shops": Cut(("shop_id",), SOLD), "creators": Cut(("creator_id",), SOLD),
            "places": Cut(ways(page, where), (m.GMV,)),
        },
        where,
    )  # fmt: skip
    counted |= clicks(page, where, counted)
    shops, creators = page.best(counted["shops"], "shop", m.GMV), page.best(counted["creators"], "creator", m.GMV)
    listed = _listings(page, id)
    top = page.settings.top
    title = page.names(
        shop=[*(key for key, _ in shops[:top]), *(row["shop_id"] for row in listed), *_owner(who)],
        creator=[key for key, _ in creators[:top]],
    )
    beside = page.sold_beside()
    findings = [
        _who(page, who, title),
        page.headline(HEADLINE, counted["whole"], ("product_id",)),
        page.trend(counted["days"], m.GMV),
        _prices(page, listed, counted["days"], title),
        page.ranking("shop", shops, title, beside, _shop_said, 70.0),
        page.ranking("creator", creators, title, beside, _creator_said, 60.0),
        places(page, counted["places"], counted["clicks"]),
        _category(page, who),
        _reviews(page, id),
        _stock(page, id, counted["whole"], title),
        contracts(page, "product_id", id, "creator", {key: side.now["gmv"] for key, side in creators}),
        campaigns(page, where),
    ]
    return page.study(findings)


def _owner(who: Entity) -> tuple[str, ...]:
    return (who.facts["shop_id"],) if who.facts.get("shop_id") else ()


def _who(page: Page, who: Entity, title: Titles) -> Finding:
    facts = who.facts
    category = f" in {facts['category']}" if facts.get("category") else ""
    brand = f", of the brand {facts['brand']}" if facts.get("brand") else ""
    shop = f", sold by {title('shop', facts['shop_id'])}" if facts.get("shop_id") else ""
    launched = page.local(facts.get("launched_at"))
    since = f", launched on {launched.day} {launched:%b %Y}" if launched else ""
    numbers = {"id": who.id, **{name: facts.get(name) for name in ("shop_id", "category", "brand")}}
    numbers["launched"] = launched.isoformat() if launched else None
    if not facts.get("title"):
        page.caveats.append("The source gives its products no title; they are shown by their ids.")
    sentence = f"{who.title} is a product{category}{brand}{shop}{since}."
    return Finding("who", sentence, Evidence.MEASURED, numbers, None, None, "As the source lists it.", 110.0)


def _listings(page: Page, product: str) -> list[dict[str, Any]]:
    """What the listing cost in each shop from one day to another, the oldest first."""
    if not page.store.has("product_history"):
        return []
    rows = page.store.table("product_history")
    rows = rows.filter(rows.product_id == product)
    found = page.store.run(rows.select("shop_id", "valid_from", "valid_to", "list_price", "sale_price")).to_pylist()
    for row in found:
        row["first"] = page.local(row["valid_from"])
        row["until"] = page.local(row["valid_to"] - timedelta(microseconds=1)) if row["valid_to"] else None
    return sorted(found, key=lambda row: (row["valid_from"], row["shop_id"]))


def _prices(
    page: Page, listed: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], title: Titles
) -> Finding | None:
    """List and sale price over time, beside what was paid for a piece."""
    first = page.before.first if page.before else page.seen.first
    days = [first + timedelta(days=n) for n in range((page.seen.last - first).days + 1)]
    sold = {row["day"]: worth(m.PRICE_PER_ITEM, row, ()) for row in rows}
    if not listed and not sold:
        return None
    series: dict[str, list[Any]] = {}
    shops = list(dict.fromkeys(row["shop_id"] for row in listed))
    if len(shops) == 1:  # where several shops list it, each has a price of its own, and only what was paid is one line
        held = [_at(listed, day) or {} for day in days]
        series["List price"] = [row.get("list_price") for row in held]
        series["Sale price"] = [row.get("sale_price") for row in held]
    series["Paid for a piece"] = [sold.get(day) for day in days]
    series = {name: values for name, values in series.items() if any(value is not None for value in values)}
    known = [row for row in listed if row["first"] <= page.seen.last]
    table = tuple(
        {**row, "title": title("shop", row["shop_id"])} for row in reversed(known[-page.settings.top :])
    )  # fmt: skip
    columns = (
        Column("shop_id", "Shop id"), Column("title", "Shop"), Column("first", "From", "day"),
        Column("until", "Until", "day"), Column("list_price", "List price", "money"),
        Column("sale_price", "Sale price", "money"),
    )  # fmt: skip
    now = [price for shop in shops if (price := _price_now(listed, shop, page.seen.last)) is not None]
    changed = sum(page.seen.first <= row["first"] <= page.seen.last for row in known)
    numbers: dict[str, Any] = {"changes": changed, "shops": len(shops)}
    if now:
        numbers |= {"lowest": min(now), "highest": max(now)}
        said = page.money(min(now)) if min(now) == max(now) else f"{page.money(min(now))} to {page.money(max(now))}"
        sentence = f"It cost {said} at the end of the period; its listing changed {_times(changed)} in it."
    else:
        paid = [(row["gmv"], row["items"]) for row in rows if row["slot"] == NOW and row["items"]]
        if not paid:
            return None
        each = float(sum(gmv for gmv, _ in paid)) / sum(items for _, items in paid)
        sentence = f"A piece was sold for {page.money(each)}; the source lists no prices."
    chart = charts.lines(days, series, unit="money", currency=page.currency) if series else None
    note = "List and sale price as listed on each day; what was paid is GMV over pieces, after the seller's discounts."
    grid = Grid(columns, table) if table else None
    return Finding("prices", sentence, Evidence.MEASURED, numbers, grid, chart, note, 85.0)


def _at(listed: Sequence[Mapping[str, Any]], day: date, shop: str | None = None) -> Mapping[str, Any] | None:
    """The listing that held last on a day."""
    held = [
        row for row in listed
        if row["first"] <= day and (row["until"] is None or day <= row["until"]) and shop in (None, row["shop_id"])
    ]  # fmt: skip
    return held[-1] if held else None


def _price_now(listed: Sequence[Mapping[str, Any]], shop: str, day: date) -> Decimal | None:
    row = _at(listed, day, shop) or {}
    price: Decimal | None = row.get("sale_price")
    return row.get("list_price") if price is None else price


def _category(page: Page, who: Entity) -> Finding | None:
    """Its rank among the products of its category that the caller may see, and refunds beside theirs."""
    store, category = page.store, who.facts.get("category")
    if category is None or not lights_up(m.GMV, store, ("product_id", "category")):
        return None
    shown = tuple(x for x in (m.GMV, m.ITEMS, m.REFUND_AMOUNT) if lights_up(x, store, ("product_id", "category")))
    rows = store.metrics(Query(shown, page.seen, ("product_id",), where={"category": (category,)})).to_pylist()
    rows = [row for row in rows if row["gmv"] or row["product_id"] == who.id]
    own = next((row for row in rows if row["product_id"] == who.id), None)
    others = [row for row in rows if row["product_id"] != who.id]
    if own is None or not others:
        return None
    place = 1 + sum(row["gmv"] > own["gmv"] for row in others)
    total = sum(row["gmv"] for row in rows)
    share = float(own["gmv"] / total) if total else None
    whose = "" if store.scope.everything else " of your shops"
    sentence = (
        f"It is number {place:,} of {len(rows):,} products{whose} with sales in {category}, with "
        f"{human(share, 'share')} of their GMV"
    )
    numbers: dict[str, Any] = {"place": place, "products": len(rows), "share": share}
    table = [_beside("This product", [own], shown), _beside("All others in its category", others, shown)]
    if m.REFUND_AMOUNT in shown:
        mine, theirs = table[0]["refund_rate"], table[1]["refund_rate"]
        numbers |= {"refund_rate": mine, "refund_rate_of_others": theirs}
        sentence += f"; refunds are {human(mine, 'share')} of GMV, and {human(theirs, 'share')} of the others'"
    columns = [Column("what", ""), Column("products", "Products", "count"), Column("gmv", "GMV", "money")]
    columns += [Column("items", "Items", "count"), Column("price", "Price per item", "money")]
    columns += [Column("refund_rate", "Refund rate", "share")] if m.REFUND_AMOUNT in shown else []
    note = "Counted over products with sales in the period; rates are sums over sums, so large sellers weigh more."
    grid = Grid(tuple(columns), tuple(table))
    return Finding("category", sentence + ".", Evidence.MEASURED, numbers, grid, None, note, 65.0)


def _beside(what: str, rows: Sequence[Mapping[str, Any]], shown: Sequence[Metric]) -> dict[str, Any]:
    sums = {metric.name: sum(row[metric.name] for row in rows) for metric in shown}
    rate = worth(m.REFUND_RATE, sums, ()) if m.REFUND_AMOUNT in shown else None
    price = worth(m.PRICE_PER_ITEM, sums, ())
    return {"what": what, "products": len(rows), "gmv": sums["gmv"], "items": sums["items"], "price": price,
            "refund_rate": rate}  # fmt: skip


def _reviews(page: Page, product: str) -> Finding | None:
    """Ratings over time, all until the period's end; what the reviews say is not shown."""
    store = page.store
    if not store.has("reviews", "rating"):
        return None
    rows = store.table("reviews")
    rows = rows.filter(rows.product_id == product, rows.day <= page.seen.last, rows.rating.notnull())
    found = store.run(
        rows.group_by(week=rows.day.truncate("W"), stars=rows.rating.round().cast("int64")).aggregate(
            count=rows.count(), sum=rows.rating.sum(), own=during(rows.day, page.seen).cast("int64").sum()
        )
    ).to_pylist()
    count = sum(row["count"] for row in found)
    if not count:
        return None
    mean = sum(row["sum"] for row in found) / count
    new = sum(row["own"] for row in found)
    table = tuple(
        {"stars": str(stars), "count": (n := sum(r["count"] for r in found if r["stars"] == stars)), "share": n / count}
        for stars in sorted({row["stars"] for row in found}, reverse=True)
    )
    weeks = sorted({row["week"] for row in found})
    chart = None
    if len(weeks) > 1:
        every = [weeks[0] + timedelta(weeks=n) for n in range((weeks[-1] - weeks[0]).days // 7 + 1)]
        means = [_mean([row for row in found if row["week"] == week]) for week in every]
        chart = charts.lines(every, {"Average rating": means}, unit="ratio")
    many = f"{count:,} reviews rate" if count > 1 else "One review rates"
    sentence = f"{many} it {mean:.2f} of 5 on average; {new:,} came in the period."
    columns = (Column("stars", "Stars"), Column("count", "Reviews", "count"), Column("share", "Share", "share"))
    note = "Counted over all reviews until the period's end, by week. Who does not review is not known."
    numbers = {"reviews": count, "rating": mean, "new": new}
    return Finding("reviews", sentence, Evidence.MEASURED, numbers, Grid(columns, table), chart, note, 45.0)


def _mean(rows: Sequence[Mapping[str, Any]]) -> float | None:
    return sum(row["sum"] for row in rows) / sum(row["count"] for row in rows) if rows else None


def _stock(page: Page, product: str, whole: Sequence[Mapping[str, Any]], title: Titles) -> Finding | None:
    """Stock by shop as last known by the period's end, and the days without any."""
    store = page.store
    if not store.has("inventory"):
        return None
    stock = store.table("inventory")
    stock = stock.filter(stock.product_id == product, stock.day <= page.seen.last, stock.on_hand.notnull())
    inside = stock.day >= page.seen.first
    found = store.run(
        stock.group_by("shop_id").aggregate(
            day=stock.day.max(), on_hand=stock.on_hand.argmax(stock.day), known=ibis.ifelse(inside, 1, 0).sum(),
            empty=ibis.ifelse(inside & (stock.on_hand == 0), 1, 0).sum(),
        )
    ).to_pylist()  # fmt: skip
    if not found:
        return None
    on_hand = sum(row["on_hand"] for row in found)
    sold = sum(row["items"] for row in whole if row["slot"] == NOW)
    lasts = on_hand / (sold / page.seen.days) if sold else None
    table = tuple({**row, "title": title("shop", row["shop_id"])} for row in sorted(found, key=lambda r: r["shop_id"]))
    columns = (
        Column("shop_id", "Shop id"), Column("title", "Shop"), Column("on_hand", "In stock", "count"),
        Column("day", "As of", "day"), Column("empty", "Days without stock", "count"),
        Column("known", "Days known", "count"),
    )  # fmt: skip
    said = f", enough for {human(lasts, 'days')} at the period's pace" if lasts is not None else ""
    sentence = f"{human(on_hand, 'count')} pieces are in stock{said}."
    numbers = {"on_hand": on_hand, "lasts": lasts, "empty_days": sum(row["empty"] for row in found)}
    note = "Stock as last known by the period's end, at the end of a day."
    return Finding("stock", sentence, Evidence.MEASURED, numbers, Grid(columns, table), None, note, 55.0)


def _times(count: int) -> str:
    return {0: "not once", 1: "once", 2: "twice"}.get(count, f"{count:,} times")


def _shop_said(title: str, share: float) -> str:
    return f"{title} sold most of it, {human(share, 'share')} of its GMV."


def _creator_said(title: str, share: float) -> str:
    return f"{title} sold most of it among creators, {human(share, 'share')} of what they sold."
