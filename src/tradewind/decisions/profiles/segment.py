"""The page of one customer segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import ibis

from tradewind import charts
from tradewind.decisions.profiles.kinds import KINDS, Entity, no_such
from tradewind.decisions.profiles.page import NOW, Page, ProfileSettings
from tradewind.decisions.profiles.segments import (
    FEWEST,
    SEGMENTS,
    Days,
    Segment,
    days_of,
    known,
    members,
    shown,
    standing,
)
from tradewind.engines.store import Store
from tradewind.errors import MissingDataError
from tradewind.measures import metrics as m
from tradewind.measures.cuts import Cut
from tradewind.measures.fact import MONEY, during
from tradewind.measures.metric import Metric
from tradewind.measures.query import DIMENSIONS
from tradewind.money import human
from tradewind.period import Period
from tradewind.study import Column, Evidence, Finding, Grid, Study

HEADLINE: tuple[Metric, ...] = (
    m.GMV, m.ORDERS, m.BUYERS, m.AOV, m.GMV_PER_BUYER, m.ITEMS_PER_ORDER, m.DISCOUNT_RATE, m.REFUND_RATE,
)  # fmt: skip
SPLIT = (m.GMV, m.ORDERS, m.BUYERS)


def profile(store: Store, id: str, period: Period, settings: ProfileSettings | None = None) -> Study:
    """Show one customer segment over a period.

    Args:
        store: The store, as the caller may see it.
        id: The segment's id, one of `SEGMENTS`.
        period: The days in question; who is in the segment is as known at their end.
        settings: What to show.

    Returns:
        Findings: who is in it, what they bought beside the period before, week by week, by department and surface, how
        many came back, which coupons they used, and all segments beside each other. Nothing is told of fewer than five
        customers.

    Raises:
        NotFoundError: If there is no such segment, or the caller sees no customers.
        MissingDataError: If it has fewer than five customers, or the period does not meet the data.
    """
    if id not in SEGMENTS or not known(store):
        raise no_such(KINDS["segment"], id)
    title, doc = SEGMENTS[id]
    page = Page(store, Entity(KINDS["segment"], id, title, {"doc": doc}), period, settings, alone=True)
    days = days_of(store, page.seen)
    people = ibis.memtable(store.run(members(store, days)))  # who is in which is found once, and read three times
    every = standing(store, days, people)
    own = next(segment for segment in every if segment.id == id)
    if not own.size:
        raise MissingDataError(
            "Too few customers are in this segment to show it", got=id, allowed=f"{FEWEST} customers or more",
            do="choose a longer period or another segment",
        )  # fmt: skip
    inside = people.filter(people.segment == id, people.slot == NOW)
    counted = page.cuts(
        {
            "whole": Cut((), HEADLINE), "weeks": Cut(("week",), SPLIT), "departments": Cut(("department",), SPLIT),
            "surfaces": Cut(("surface",), SPLIT),
        },
        {}, inside,
    )  # fmt: skip
    if id in ("new", "once", "active") and (page.seen.first - store.span.first).days < m.SETTLING:
        page.caveats.append(
            f"The data begins on {store.span.first}: whoever bought before it only seems new, or to have bought once."
        )
    whole = [row for row in counted["whole"] if not 0 < row["buyers"] < FEWEST]
    bought = own.gmv is not None and any(row["buyers"] for row in whole)  # else it could tell of a smaller segment
    findings = [
        _who(own, page),
        page.headline(HEADLINE, whole, ("customer_id",)) if bought else None,
        _weeks(page, counted["weeks"]) if bought else None,
        _split(page, "departments", "department", counted["departments"], 80.0) if bought else None,
        _split(page, "surfaces", "surface", counted["surfaces"], 70.0) if bought else None,
        _back(own, days),
        _coupons(page, inside),
        _beside(own, every),
    ]
    if not bought:
        page.caveats.append(
            "Too few of these customers, or of a segment beside them, bought in the period to show what."
        )
    page.caveats.append(f"Groups of fewer than {FEWEST} customers are not shown, nor what could tell of them.")
    return page.study(findings)


def _who(own: Segment, page: Page) -> Finding:
    moved = ""
    if own.size_before is not None and own.size is not None:
        moved = f", {human(own.size - own.size_before, 'count', signed=True)} on the end of the period before"
    sentence = f"{own.title}: {human(own.size, 'count')} customers{moved}. {own.doc}"
    numbers = {"size": own.size, "size_before": own.size_before}
    note = f"As known at the end of {page.seen.last}: orders of which the payment was known by then."
    return Finding("who", sentence, Evidence.MEASURED, numbers, None, None, note, 110.0)


def _weeks(page: Page, rows: Sequence[Mapping[str, Any]]) -> Finding | None:
    """GMV week by week; a gap where too few bought."""
    sums = {date.fromisoformat(row["week"][:10]): row for row in rows}
    told = {week: row["gmv"] for week, row in sums.items() if row in shown(list(rows))}
    if len(told) < 2:
        return None
    first, last = min(sums), max(sums)
    weeks = [first + timedelta(weeks=n) for n in range((last - first).days // 7 + 1)]
    values = [told.get(week) if week in sums else 0 for week in weeks]
    chart = charts.trend(weeks, values, unit="money", currency=page.currency)
    best = max(told, key=lambda week: (told[week], week))
    sentence = f"They bought most in the week of {best.day} {best:%b %Y}, for {page.money(told[best])}."
    note = (
        f"By week, from Monday; the first and the last count only their days in the period. A gap where fewer than "
        f"{FEWEST} bought."
    )
    return Finding("weeks", sentence, Evidence.MEASURED, {"best": told[best]}, None, chart, note, 90.0)


def _split(page: Page, key: str, by: str, rows: Sequence[Mapping[str, Any]], weight: float) -> Finding | None:
    """What or where they bought, the greatest first; what too few bought is left out."""
    own = [row for row in rows if row["slot"] == NOW and (row["gmv"] or row["buyers"])]
    told = sorted(shown(own), key=lambda row: (-row["gmv"], str(row[by])))
    if not told or all(row[by] is None for row in told):
        return None
    total = sum(row["gmv"] for row in own)
    top = told[: page.settings.top]
    table = tuple(
        {by: row[by] or "unknown", **{x.name: row[x.name] for x in SPLIT},
         "share": float(row["gmv"] / total) if total else None} for row in top
    )  # fmt: skip
    columns = (
        Column(by, DIMENSIONS[by]), Column("gmv", "GMV", "money"), Column("share", "Share", "share"),
        Column("orders", "Orders", "count"), Column("buyers", "Buyers", "count"),
    )  # fmt: skip
    first = table[0]
    sentence = f"{first[by]} came first, with {human(first['share'], 'share')} of what they bought."
    left = len(own) - len(told)
    note = "Counted over paid lines of the period." + (f" {left:,} small groups are not shown." if left else "")
    numbers = {"groups": len(own), "first_share": first["share"]}
    bars = [(row[by], row["gmv"]) for row in table]
    chart = charts.ranked_bars(bars, unit="money", currency=page.currency, signed=False) if by == "department" else None
    return Finding(key, sentence, Evidence.MEASURED, numbers, Grid(columns, table), chart, note, weight)


def _back(own: Segment, days: Days) -> Finding | None:
    """How many came back: of the segment at the end of the period before, and, where the data reaches, of this one."""
    said = []
    if own.back is not None and days.before is not None:
        share = human(own.back, "share")
        said.append(f"of those at the end of {days.before.title}, {share} bought in {days.now.title}")
    if own.back_next is not None and days.after is not None:
        share = human(own.back_next, "share")
        said.append(f"of those at the end of {days.now.title}, {share} bought in {days.after.title}")
    if not said:
        return None
    numbers = {"back": own.back, "back_next": own.back_next}
    note = "Counted: customers who were in the segment at the one period's end and bought in the other period."
    sentence = f"{own.title}: {'; '.join(said)}."
    return Finding("back", sentence, Evidence.MEASURED, numbers, None, None, note, 60.0)


def _coupons(page: Page, inside: ibis.Table) -> Finding | None:
    """Coupons that they used in the period; only those that enough of them used."""
    store = page.store
    if not store.has("order_discounts", "coupon_id"):
        return None
    lines, off = store.table("order_lines"), store.table("order_discounts")
    lines = lines.filter(during(lines.day, page.seen)).semi_join(inside, "customer_id")
    lines = lines.select("order_id", "line", "customer_id")
    used = off.filter(off.coupon_id.notnull()).join(lines, ["order_id", "line"])
    found = store.run(
        used.group_by("coupon_id").aggregate(
            buyers=used.customer_id.nunique(), orders=used.order_id.nunique(), amount=used.amount.sum().cast(MONEY)
        )
    ).to_pylist()
    told = sorted(shown(found), key=lambda row: (-row["amount"], row["coupon_id"]))
    if not told:
        return None
    columns = (
        Column("coupon_id", "Coupon"), Column("orders", "Orders", "count"), Column("buyers", "Customers", "count"),
        Column("amount", "Taken off", "money"),
    )  # fmt: skip
    total = sum(row["amount"] for row in told)
    sentence = f"{len(told):,} coupons were used by enough of them to be shown, and took off {page.money(total)}."
    note = f"Counted over what was ordered in the period. Coupons that fewer than {FEWEST} of them used are not shown."
    numbers = {"coupons": len(told), "amount": total}
    grid = Grid(columns, tuple(told[: page.settings.top]))
    return Finding("coupons", sentence, Evidence.MEASURED, numbers, grid, None, note, 50.0)


def _beside(own: Segment, every: Sequence[Segment]) -> Finding:
    """All segments beside each other, each to link to."""
    table = tuple(
        {
            "segment": s.id, "title": s.title, "size": s.size, "gmv": s.gmv, "share": s.share, "back": s.back,
            "size_change": _less(s.size, s.size_before), "gmv_change": _less(s.gmv, s.gmv_before), "doc": s.doc,
        }
        for s in every
    )  # fmt: skip
    columns = (
        Column("segment", "Segment id"), Column("title", "Segment"), Column("size", "Customers", "count"),
        Column("size_change", "Change", "count"), Column("gmv", "GMV", "money"), Column("share", "Share", "share"),
        Column("gmv_change", "Change of GMV", "money"), Column("back", "Came back", "share"), Column("doc", "Who"),
    )  # fmt: skip
    share = f"They brought {human(own.share, 'share')} of GMV." if own.share is not None else "Their GMV is not shown."
    note = (
        "Every customer is in one of the segments; the best tenth lies across them. Changes are against who was in one "
        "at the end of the period before, and what those bought in it. What is empty is of too few customers, or could "
        "tell of them."
    )
    return Finding("segments", share, Evidence.MEASURED, {"share": own.share}, Grid(columns, table), None, note, 40.0)


def _less(now: Any, past: Any) -> Any:
    return None if now is None or past is None else now - past
