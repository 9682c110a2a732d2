"""Customer segments: a few plain groups of buyers, as known at a period's end, and how large they are.

Every customer with a paid order is in exactly one of the first five; the best tenth lies across them. Nothing is told
of fewer than five customers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import ibis

from tradewind.engines.store import Store
from tradewind.measures.fact import MONEY, during
from tradewind.measures.facts import SALES
from tradewind.measures.feature import feature_table
from tradewind.period import Period

ACTIVE, LOST = 28, 91
"""Days since the last order up to which a customer is active, and from which one is lost."""
FEWEST = 5
"""Customers of whom anything is told."""

BEST = "best"
SEGMENTS: Mapping[str, tuple[str, str]] = {
    "new": ("New customers", "First paid order in the period."),
    "once": ("One-time customers", "One order only, before the period."),
    "active": ("Active customers", f"Several orders, the last less than {ACTIVE} days before the period's end."),
    "lapsing": ("Lapsing customers", f"Several orders, the last {ACTIVE} to {LOST} days before the period's end."),
    "lost": ("Lost customers", f"Several orders, the last {LOST} days or more before the period's end."),
    BEST: ("Best tenth of customers", f"The tenth of the buyers of the last {LOST} days that brought most GMV."),
}
"""Title and meaning of each segment by its id."""
_READ = ("days_since_first_sale", "days_since_last_sale", f"gmv_{LOST}d")


@dataclass(frozen=True)
class Segment:
    """One segment's size and sales; a number is None where it is not known, or of too few customers to show.

    Args:
        id: Its id.
        title: What the reader sees.
        doc: Who is in it.
        size: Customers in it at the period's end.
        size_before: Customers who were in it at the end of the period before.
        orders: Orders in the period of those in it at its end.
        gmv: Their GMV in the period.
        gmv_before: GMV in the period before of those who were in it then.
        share: Their share of the GMV of all segments that are shown.
        back: Share of those in it at the end of the period before who bought in this one.
        back_next: Share of those in it at this period's end who bought in as many days after, where the data has them.
    """

    id: str
    title: str
    doc: str
    size: int | None
    size_before: int | None
    orders: int | None
    gmv: Decimal | None
    gmv_before: Decimal | None
    share: float | None
    back: float | None
    back_next: float | None


@dataclass(frozen=True)
class Days:
    """The periods that segments are told of; the others are None where the data does not hold all their days."""

    now: Period
    before: Period | None
    after: Period | None


def known(store: Store) -> bool:
    """Whether the caller may see customers, and so their segments."""
    return store.has("order_lines", "customer_id")


def days_of(store: Store, period: Period) -> Days:
    """Return the period, the one before, and as many days after, as far as the data holds them."""
    last, span = period.last, store.span
    after = Period(last + timedelta(days=1), last + timedelta(days=period.days))
    before = period.previous
    return Days(
        period, before if before.clipped(span) == before else None, after if after.clipped(span) == after else None
    )


def segments(store: Store, period: Period) -> tuple[Segment, ...]:
    """Return every segment's size and sales, those too small to show without numbers.

    Args:
        store: The store, as the caller may see it; what happened elsewhere puts nobody into a segment.
        period: The days in question; segments are as known at its end.

    Returns:
        The segments in their order; none where the caller sees no customers.
    """
    if not known(store):
        return ()
    days = days_of(store, period)
    return standing(store, days, members(store, days))


def members(store: Store, days: Days) -> ibis.Table:
    """Return who is in which segment at the end of the period, and of the one before.

    Args:
        store: The store, as the caller may see it.
        days: The periods.

    Returns:
        A row for each period, customer and segment: `slot` (0 is now), `customer_id`, `segment`. Ids are for joining
        only; no face ever shows one.
    """
    slots = [days.now, *([days.before] if days.before else [])]
    ends = [period.end(store.provenance.timezone) for period in slots]
    rows = feature_table("customer", store, ends, _READ)
    slot = ibis.cases(*((rows.moment == ibis.literal(end), ibis.literal(n, "int64")) for n, end in enumerate(ends)))
    long = ibis.cases(
        *((rows.moment == ibis.literal(end), ibis.literal(float(p.days))) for end, p in zip(ends, slots, strict=True))
    )
    first, last, spent = (rows[name] for name in _READ)
    segment = ibis.cases(
        (first <= long, "new"), (first == last, "once"), (last < ACTIVE, "active"), (last < LOST, "lapsing"),
        else_="lost",
    )  # fmt: skip
    place = ibis.row_number().over(group_by=rows.moment, order_by=[spent.desc(), rows.customer_id])
    bought = (spent > 0).cast("int64").sum().over(group_by=rows.moment)
    best = (spent > 0) & (place * 10 < bought)  # places count from 0
    told = rows.select("customer_id", slot=slot, segment=segment, best=best)
    across = told.filter(told.best).select("slot", "customer_id", segment=ibis.literal(BEST))
    return told.select("slot", "customer_id", "segment").union(across)


def standing(store: Store, days: Days, people: ibis.Table) -> tuple[Segment, ...]:
    """Return every segment's size and sales from who is in which."""
    bought = _sold(store, days)
    joined = people.left_join(bought, "customer_id").drop("customer_id_right")
    sums = {f"{name}_{n}": joined[f"{name}_{n}"].sum() for name in ("gmv", "orders") for n in range(3)}
    sums |= {f"buyers_{n}": (joined[f"orders_{n}"] > 0).cast("int64").sum() for n in range(3)}
    grouped = joined.group_by("slot", "segment").aggregate(size=joined.count(), **sums)
    found = {(row["slot"], row["segment"]): row for row in store.run(grouped).to_pylist()}
    return _told(days, found)


def shown(rows: Sequence[Mapping[str, Any]], customers: str = "buyers") -> list[Mapping[str, Any]]:
    """Return the groups of which something may be told: those of enough customers.

    Where only one would be left out it could be told from the whole, so the next smallest is left out with it.

    Args:
        rows: Groups of one kind that together make a whole.
        customers: The count of customers in each.
    """
    few = _too_few({n: row[customers] for n, row in enumerate(rows)})
    return [row for n, row in enumerate(rows) if n not in few]


def _too_few(sizes: Mapping[Any, int]) -> set[Any]:
    """Groups that are not shown: of one to four customers, and where that is one group, the next smallest too."""
    few = {key for key, size in sizes.items() if 0 < size < FEWEST}
    others = sorted((size, str(key), key) for key, size in sizes.items() if size >= FEWEST and key != BEST)
    return few | {others[0][2]} if len(few - {BEST}) == 1 and others else few


def _told(days: Days, found: Mapping[tuple[int, str], Mapping[str, Any]]) -> tuple[Segment, ...]:
    """Make segments of their sums: slot 0 is who is in them now, 1 who was in them before."""

    def of(slot: int, name: str) -> dict[str, Any]:
        return {id: found.get((slot, id), {}).get(name) or 0 for id in SEGMENTS}

    size, past = of(0, "size"), of(1, "size")
    few, few_past = _too_few(size), _too_few(past)
    quiet = few | _too_few(of(0, "buyers_0"))
    quiet_past = few_past | _too_few(of(1, "buyers_1"))
    gmv, gmv_past, orders = of(0, "gmv_0"), of(1, "gmv_1"), of(0, "orders_0")
    total = sum((gmv[id] for id in SEGMENTS if id != BEST and id not in quiet), Decimal(0))
    back, after = of(1, "buyers_0"), of(0, "buyers_2")
    return tuple(
        Segment(
            id, title, doc,
            size=None if id in few else size[id],
            size_before=None if days.before is None or id in few_past else past[id],
            orders=None if id in quiet else orders[id],
            gmv=None if id in quiet else Decimal(gmv[id]),
            gmv_before=None if days.before is None or id in quiet_past else Decimal(gmv_past[id]),
            share=None if id in quiet or not total else float(gmv[id] / total),
            back=_rate(back[id], past[id]) if days.before else None,
            back_next=_rate(after[id], size[id]) if days.after else None,
        )
        for id, (title, doc) in SEGMENTS.items()
    )  # fmt: skip


def _rate(part: int, whole: int) -> float | None:
    """A share of customers; None where it would tell of fewer than five of them, or of the others."""
    if whole < FEWEST or 0 < part < FEWEST or 0 < whole - part < FEWEST:
        return None
    return part / whole


def _sold(store: Store, days: Days) -> ibis.Table:
    """GMV and orders of each customer with a paid line: now (0), before (1) and after (2)."""
    periods = {n: period for n, period in enumerate((days.now, days.before, days.after)) if period is not None}
    relation, row = SALES.rows(
        store, lambda r: r.gmv, lambda r: r.customer_id, lambda r: r.order_id, lambda r: r.day,
        within=tuple(periods.values()),
    )  # fmt: skip
    lines = relation.filter(row.customer_id.notnull())
    lines = lines.select(day=row.day, customer_id=row.customer_id, order_id=row.order_id, gmv=row.gmv)
    sums: dict[str, ibis.Value] = {}
    for n in range(3):
        when = during(lines.day, periods[n]) if n in periods else ibis.literal(False)
        sums[f"gmv_{n}"] = lines.gmv.sum(where=when).cast(MONEY)
        sums[f"orders_{n}"] = lines.order_id.nunique(where=when).cast("int64")
    return lines.group_by("customer_id").aggregate(**sums)
