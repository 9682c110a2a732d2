"""The page of one creator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from tradewind import charts
from tradewind.decisions.profiles.kinds import Entity, entity
from tradewind.decisions.profiles.offers import contracts
from tradewind.decisions.profiles.page import Page, ProfileSettings
from tradewind.decisions.profiles.rooms import drops, pinned, sessions
from tradewind.engines.store import Store
from tradewind.measures import metrics as m
from tradewind.measures.cuts import Cut, worth
from tradewind.measures.metric import Metric
from tradewind.measures.query import Query, lights_up
from tradewind.money import human
from tradewind.period import Period
from tradewind.study import Column, Evidence, Finding, Grid, Study

HEADLINE: tuple[Metric, ...] = (
    m.GMV, m.ORDERS, m.BUYERS, m.AOV, m.PRODUCTS_SOLD, m.SHOPS_SELLING, m.COMMISSION, m.REFUND_RATE,
)  # fmt: skip
SOLD = (m.GMV, m.ITEMS, m.REFUND_AMOUNT)
LACKING = {"creator_history": "followers", "live_sessions": "live sessions", "commissions": "contracts"}
FORMS = {"video": "Videos", "live": "Live", "card": "Product cards", None: "Unknown"}


def profile(store: Store, id: str, period: Period, settings: ProfileSettings | None = None) -> Study:
    """Show one creator over a period.

    Args:
        store: The store, as the caller may see it. A creator sees sessions, minutes, pins, drops and contracts only.
        id: The creator's id.
        period: The days in question.
        settings: What to show.

    Returns:
        Findings: who it is, the headline metrics beside the period before, the trend, followers, what they sold by
        product and shop, videos beside live, live sessions, contracts, and refunds beside other creators', as far as
        the source and the caller's scope tell.

    Raises:
        NotFoundError: If there is no such creator that the caller may see.
        MissingDataError: If the period does not meet the data.
    """
    who = entity(store, "creator", id)
    page = Page(store, who, period, settings)
    page.say_lacking(LACKING)
    counted = page.cuts(
        {
            "whole": Cut((), HEADLINE), "days": Cut(("day",), (m.GMV,)), "products": Cut(("product_id",), SOLD),
            "shops": Cut(("shop_id",), SOLD), "forms": Cut(("form",), (m.GMV, m.ORDERS, m.REFUND_AMOUNT)),
        },
        {"creator_id": id},
    )  # fmt: skip
    products = page.best(counted["products"], "product", m.GMV)
    shops = page.best(counted["shops"], "shop", m.GMV)
    top = page.settings.top
    title = page.names(product=[key for key, _ in products[:top]], shop=[key for key, _ in shops[:top]])
    beside = page.sold_beside()
    findings = [
        _who(page, who),
        page.headline(HEADLINE, counted["whole"], ("creator_id",)),
        page.trend(counted["days"], m.GMV),
        _followers(page, id),
        page.ranking("product", products, title, beside, _product_said, 70.0, drawn=True),
        page.ranking("shop", shops, title, beside, _shop_said, 60.0),
        _forms(page, counted["forms"]),
        sessions(page, "creator_id", id),
        contracts(page, "creator_id", id, "shop", {key: side.now["gmv"] for key, side in shops}),
        _refunds(page, id),
    ]
    if store.scope.creators is not None:
        findings += [pinned(page, id), drops(page, id)]
    return page.study(findings)


def _who(page: Page, who: Entity) -> Finding:
    facts = who.facts
    kind = f"{facts['kind']} creator" if facts.get("kind") else "creator"
    category = f" for {facts['category']}" if facts.get("category") else ""
    region = f" in {facts['region']}" if facts.get("region") else ""
    if not facts.get("name"):
        page.caveats.append("The source does not name its creators; they are shown by their ids.")
    numbers = {"id": who.id, **{name: facts.get(name) for name in ("kind", "category", "region")}}
    sentence = f"{who.title} is {'an' if kind[0] in 'aeiou' else 'a'} {kind}{category}{region}."
    return Finding("who", sentence, Evidence.MEASURED, numbers, None, None, "As the source lists it.", 110.0)


def _followers(page: Page, creator: str) -> Finding | None:
    """How many followed, as known at each change until the period's end."""
    if not page.store.has("creator_history", "followers"):
        return None
    rows = page.store.table("creator_history")
    rows = rows.filter(rows.creator_id == creator, rows.followers.notnull()).select("valid_from", "followers")
    known: dict[date, int] = {}
    for row in sorted(page.store.run(rows).to_pylist(), key=lambda row: row["valid_from"]):
        day = page.local(row["valid_from"])
        if day is not None and day <= page.seen.last:
            known[day] = row["followers"]
    if not known:
        return None
    days = list(known)
    then = [day for day in days if day <= page.seen.first]
    now, past = known[days[-1]], known[then[-1]] if then else None
    gained = None if past is None else now - past
    moved = f", {human(gained, 'count', signed=True)} since the period began" if gained is not None else ""
    chart = charts.lines(days, {"Followers": list(known.values())}, unit="count") if len(days) > 1 else None
    note = "As the source last knew it; between its moments nothing is known."
    numbers = {"followers": now, "gained": gained}
    sentence = f"{human(now, 'count')} follow{moved}."
    return Finding("followers", sentence, Evidence.MEASURED, numbers, None, chart, note, 75.0)


def _forms(page: Page, rows: Sequence[Mapping[str, Any]]) -> Finding | None:
    """Videos beside live rooms and product cards."""
    sides = {form: side for (form,), side in page.sides(rows, ("form",)).items() if side.now.get("gmv")}
    if not sides or set(sides) == {None}:
        return None
    total = sum(side.now["gmv"] for side in sides.values())
    ranked = sorted(sides.items(), key=lambda pair: (-pair[1].now["gmv"], str(pair[0])))
    refunds = page.store.has("refunds")
    table = tuple(
        {
            "form": FORMS.get(form, form), "gmv": side.now["gmv"], "orders": side.now["orders"],
            "share": float(side.now["gmv"] / total) if total else None, "change": side.change(m.GMV),
            **({"refund_rate": worth(m.REFUND_RATE, side.now, ())} if refunds else {}),
        }
        for form, side in ranked
    )  # fmt: skip
    columns = [Column("form", "Form"), Column("gmv", "GMV", "money")]
    columns += [Column("change", "Change", "money")] if page.before else []
    columns += [Column("share", "Share", "share"), Column("orders", "Orders", "count")]
    columns += [Column("refund_rate", "Refund rate", "share")] if refunds else []
    sentence = f"{table[0]['form']} brought {human(table[0]['share'], 'share')} of GMV."
    numbers = {str(row["form"]): row["gmv"] for row in table}
    note = "Counted over paid lines by the form in which the product was met."
    return Finding("forms", sentence, Evidence.MEASURED, numbers, Grid(tuple(columns), table), None, note, 65.0)


def _refunds(page: Page, creator: str) -> Finding | None:
    """Refunds of the orders of the period beside those of other creators' orders."""
    store, shown = page.store, (m.GMV, m.REFUNDS_OF_ORDERS)
    if not all(lights_up(metric, store, ("creator_id",)) for metric in shown):
        return None
    rows = store.metrics(Query(shown, page.seen, ("creator_id",))).to_pylist()
    own = [row for row in rows if row["creator_id"] == creator and row["gmv"]]
    others = [row for row in rows if row["creator_id"] not in (creator, None) and row["gmv"]]
    if not own or not others:
        return None
    mine, theirs = (
        worth(m.REFUND_RATE_OF_ORDERS, {x.name: sum(row[x.name] for row in some) for x in shown}, ())
        for some in (own, others)
    )
    sentence = (
        f"Of this creator's GMV {human(mine, 'share')} was given back so far; of the {len(others):,} other creators' "
        f"{human(theirs, 'share')}."
    )
    numbers = {"refund_rate": mine, "refund_rate_of_others": theirs, "others": len(others)}
    note = (
        "Counted by the day of the order, sums over sums. The youngest orders have refunds still to come: who sold "
        "later in the period shows fewer. Others sell other products."
    )
    return Finding("refunds", sentence, Evidence.MEASURED, numbers, None, None, note, 55.0)


def _product_said(title: str, share: float) -> str:
    return f"{title} sold best and brought {human(share, 'share')} of GMV."


def _shop_said(title: str, share: float) -> str:
    return f"{human(share, 'share')} of GMV was sold for {title}."
