"""The page of one shop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tradewind.decisions.profiles.beside import beside_peers
from tradewind.decisions.profiles.kinds import Entity, entity
from tradewind.decisions.profiles.offers import campaigns, contracts, coupons
from tradewind.decisions.profiles.page import NOW, Page, ProfileSettings, Side
from tradewind.decisions.profiles.places import clicks, places, ways, without_clicks
from tradewind.decisions.profiles.rooms import sessions
from tradewind.engines.store import Store
from tradewind.measures import metrics as m
from tradewind.measures.cuts import Cut
from tradewind.measures.metric import Metric
from tradewind.money import human
from tradewind.period import Period
from tradewind.study import Column, Evidence, Finding, Grid, Study

HEADLINE: tuple[Metric, ...] = (
    m.GMV, m.ORDERS, m.BUYERS, m.AOV, m.CVR, m.REFUND_RATE, m.DISCOUNT_RATE, m.MERCHANT_PROFIT,
)  # fmt: skip
SOLD = (m.GMV, m.ITEMS, m.REFUND_AMOUNT)
LACKING = {
    "creators": "creators", "inventory": "stock", "live_sessions": "live sessions", "coupons": "coupons",
    "commissions": "contracts", "campaigns": "campaigns", "promotions": "promotions",
}  # fmt: skip
SCARCE = 14
"""Days of stock, at the period's pace, below which a product is running out."""


def profile(store: Store, id: str, period: Period, settings: ProfileSettings | None = None) -> Study:
    """Show one shop over a period.

    Args:
        store: The store, as the caller may see it.
        id: The shop's id.
        period: The days in question.
        settings: What to show.

    Returns:
        Findings: who it is, the headline metrics beside the period before, the trend, where sales come from, its best
        products and creators, stock running out, live sessions, coupons, contracts and campaigns, as far as the source
        and the caller's scope tell.

    Raises:
        NotFoundError: If there is no such shop that the caller may see.
        MissingDataError: If the period does not meet the data.
    """
    who = entity(store, "shop", id)
    page = Page(store, who, period, settings)
    page.say_lacking(LACKING)
    where = {"shop_id": id}
    counted = page.cuts(
        {
            "whole": Cut((), without_clicks(HEADLINE)), "days": Cut(("day",), (m.GMV,)),
            "products": Cut(("product_id",), SOLD), "creators": Cut(("creator_id",), SOLD),
            "places": Cut(ways(page, where), (m.GMV,)), "rooms": Cut(("live_id",), (m.GMV,)),
        },
        where,
    )  # fmt: skip
    counted |= clicks(page, where, counted)
    products = page.best(counted["products"], "product", m.GMV)
    creators = page.best(counted["creators"], "creator", m.GMV)
    top = page.settings.top
    short = _running_out(page, id, products)
    title = page.names(
        product=[id for id, _ in products[:top]] + [row["product_id"] for row in short[:top]],
        creator=[id for id, _ in creators[:top]],
    )
    beside = page.sold_beside()
    rooms = {r["live_id"]: r["gmv"] for r in counted["rooms"] if r["slot"] == NOW and r["live_id"] and r["gmv"]}
    findings: list[Finding | None] = [
        _who(page, who),
        page.headline(HEADLINE, counted["whole"], ("shop_id",)),
        page.trend(counted["days"], m.GMV),
        beside_peers(page, id, HEADLINE),
        places(page, counted["places"], counted["clicks"]),
        page.ranking("product", products, title, beside, _product_said, 70.0, drawn=True),
        page.ranking("creator", creators, title, beside, _creator_said, 60.0),
        _stock(page, short, title),
        sessions(page, "shop_id", id, rooms if counted["whole"] else None),
        coupons(page, id),
        contracts(page, "shop_id", id, "creator", {id: side.now["gmv"] for id, side in creators}),
        campaigns(page, where),
    ]
    return page.study(findings)


def _who(page: Page, who: Entity) -> Finding:
    facts = who.facts
    sells = f" sells {facts['category']}" if facts.get("category") else " is a shop"
    region = f" in {facts['region']}" if facts.get("region") else ""
    opened = page.local(facts.get("opened_at"))
    since = f", open since {opened.day} {opened:%b %Y}" if opened else ""
    numbers = {"id": who.id, "category": facts.get("category"), "region": facts.get("region")}
    numbers["opened"] = opened.isoformat() if opened else None
    if not facts.get("name"):
        page.caveats.append("The source does not name its shops; they are shown by their ids.")
    note = "As the source lists it."
    return Finding("who", f"{who.title}{sells}{region}{since}.", Evidence.MEASURED, numbers, None, None, note, 110.0)


def _running_out(page: Page, shop: str, products: Sequence[tuple[str, Side]]) -> list[dict[str, Any]]:
    """Products with a sale in the period whose stock lasts less than `SCARCE` days at its pace, the scarcest first."""
    pace = {id: side.now["items"] / page.seen.days for id, side in products if side.now["items"]}
    if not pace or not page.store.has("inventory"):
        return []
    stock = page.store.table("inventory")
    stock = stock.filter(stock.shop_id == shop, stock.day <= page.seen.last, stock.on_hand.notnull())
    last = stock.group_by("product_id").aggregate(day=stock.day.max(), on_hand=stock.on_hand.argmax(stock.day))
    known = page.store.run(last.filter(last.product_id.isin(sorted(pace)))).to_pylist()
    for row in known:
        row["pace"] = pace[row["product_id"]]
        row["lasts"] = row["on_hand"] / row["pace"]
    short = (row for row in known if row["lasts"] < SCARCE)
    return sorted(short, key=lambda row: (row["lasts"], -row["pace"], row["product_id"]))


def _stock(page: Page, short: Sequence[Mapping[str, Any]], title: Any) -> Finding | None:
    if not short:
        return None
    table = tuple({**row, "title": title("product", row["product_id"])} for row in short[: page.settings.top])
    columns = (
        Column("product_id", "Product id"), Column("title", "Product"), Column("on_hand", "In stock", "count"),
        Column("pace", "Sold a day", "ratio"), Column("lasts", "Lasts", "days"), Column("day", "Stock of", "day"),
    )  # fmt: skip
    gone = sum(row["on_hand"] == 0 for row in short)
    last = f", {gone:,} of them sold out" if gone else ""
    are = "product is" if len(short) == 1 else "products are"
    sentence = f"{len(short):,} {are} running out within {SCARCE} days{last}."
    note = (
        "Stock as last known by the period's end, over pieces sold a day in it. A product that was out of stock for "
        "part of the period sells faster than that."
    )
    numbers = {"running_out": len(short), "sold_out": gone}
    return Finding("stock", sentence, Evidence.MEASURED, numbers, Grid(columns, table), None, note, 55.0)


def _product_said(title: str, share: float) -> str:
    return f"{title} sold best and brought {human(share, 'share')} of GMV."


def _creator_said(title: str, share: float) -> str:
    return f"{title} sold most of the creators, {human(share, 'share')} of what creators sold."
