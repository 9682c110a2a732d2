"""The directory: lists of all shops, products, creators, live sessions or segments that a caller may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import pyarrow as pa

from tradewind.decisions.profiles.index import Hit, Index, index
from tradewind.decisions.profiles.kinds import KINDS, Kind, kind, listing
from tradewind.decisions.profiles.segments import segments
from tradewind.engines.store import Store
from tradewind.errors import BadInputError
from tradewind.measures import metrics as m
from tradewind.measures.fact import MONEY, during
from tradewind.measures.metric import Metric
from tradewind.measures.query import Query, lights_up
from tradewind.period import Period
from tradewind.study import Column

__all__ = ["Hit", "Index", "Listing", "index", "listed"]

SHOWN: Mapping[str, tuple[Metric, ...]] = {
    "shop": (m.GMV, m.ORDERS, m.BUYERS),
    "product": (m.GMV, m.ITEMS, m.ORDERS),
    "creator": (m.GMV, m.ORDERS, m.PRODUCTS_SOLD),
    "live": (m.GMV, m.ORDERS, m.BUYERS),
}
"""Metrics beside each of a kind."""
MOST = 1000


@dataclass(frozen=True)
class Listing:
    """One part of a list.

    Args:
        kind: What is listed.
        columns: What a row tells: the id, under the key of the kind, the title, and metrics of the period.
        rows: The rows from `offset` on.
        total: Rows of the whole list.
        offset: Rows that were skipped.
        order: Name of the column by which they are ordered, the greatest first.
    """

    kind: Kind
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Any], ...]
    total: int
    offset: int
    order: str


def listed(
    store: Store,
    name: str,
    period: Period,
    query: str = "",
    order: str = "gmv",
    limit: int = 50,
    offset: int = 0,
) -> Listing:
    """Return a part of the list of all of a kind that the caller may see.

    Args:
        store: The store, as the caller may see it.
        name: Kind of what is listed, from `KINDS`.
        period: The days that the metrics count; live sessions are those of the period.
        query: Only what fits this text, as in a search; all where empty.
        order: Metric to order by, the greatest first, or `title`. A metric that the source cannot tell gives way to
            the title.
        limit: Most rows to return, at most `MOST`.
        offset: Rows to skip.

    Raises:
        NotFoundError: If there is no such kind.
        BadInputError: If the order is not known, or `limit` or `offset` is out of range.
    """
    of = kind(name)
    if not 1 <= limit <= MOST:
        raise BadInputError("So many rows cannot be listed at once", got=limit, allowed=f"1 to {MOST}")
    if offset < 0:
        raise BadInputError("Rows to skip cannot be fewer than none", got=offset, allowed="0 or more")
    if of.table is None:
        return _segments(store, of, period, query, order, limit, offset)
    shown = _shown(store, of)
    names = ("title", *(metric.name for metric in SHOWN[name]))
    if order not in names:
        raise BadInputError("A list cannot be ordered by this", got=order, allowed=names)
    columns = [Column(of.key, f"{of.title} id"), Column("title", of.title)]
    columns += [Column("day", "Day", "day")] if name == "live" else []
    columns += [Column(metric.name, metric.title, metric.unit) for metric in shown]
    chosen = order if order == "title" or order in {metric.name for metric in shown} else "title"
    rows = _rows(store, of, period, query)
    if rows is None:
        return Listing(of, tuple(columns), (), 0, offset, chosen)
    answer = _measured(store, of, period, rows, shown)
    first = answer[chosen].asc() if chosen == "title" else answer[chosen].desc()
    part = answer.order_by([first, answer[of.key].asc()]).limit(limit, offset=offset)
    found = store.run(part.select(*(column.name for column in columns))).to_pylist()
    total = _total(store, of, query, rows, len(found), offset, limit)
    return Listing(of, tuple(columns), tuple(found), total, offset, chosen)


def _shown(store: Store, of: Kind) -> tuple[Metric, ...]:
    return tuple(metric for metric in SHOWN[of.name] if lights_up(metric, store, (of.key,)))


def _rows(store: Store, of: Kind, period: Period, query: str) -> ibis.Table | None:
    """What is listed: id and title, and of live sessions the day."""
    table = listing(store, of)
    if table is None:
        return None
    if of.name == "live":
        table = table.filter(during(table.day, period))
    if query.strip():
        fitting = pa.table({"__fits": pa.array(index(store).ids(query, of.name), pa.string())})
        fits = ibis.memtable(fitting)
        table = table.semi_join(fits, table[of.key] == fits["__fits"])
    called = table[of.called] if of.called in table.columns else ibis.null("string")
    more = {"day": table.day} if of.name == "live" else {}
    return table.select(**{of.key: table[of.key], "title": called.coalesce(table[of.key])}, **more)


def _measured(store: Store, of: Kind, period: Period, rows: ibis.Table, shown: tuple[Metric, ...]) -> ibis.Table:
    """The rows with their metrics of the period: nothing sold is 0."""
    if not shown:
        return rows
    seen = period.clipped(store.span) or period
    sums = Query(shown, seen, (of.key,)).expression(store)
    joined = rows.left_join(sums, of.key).drop(f"{of.key}_right")
    filled = {x.name: joined[x.name].fill_null(0).cast(MONEY if x.unit == "money" else "int64") for x in shown}
    return joined.mutate(**filled)


def _total(store: Store, of: Kind, query: str, rows: ibis.Table, found: int, offset: int, limit: int) -> int:
    """Rows of the whole list, counted only where they cannot be known without."""
    if found and found < limit:
        return offset + found
    if of.name != "live" and of.table is not None and not query.strip() and store.has(of.table):
        return store.counts(of.table).rows
    return int(store.run(rows.count()).as_py())


def _segments(store: Store, of: Kind, period: Period, query: str, order: str, limit: int, offset: int) -> Listing:
    columns = (
        Column(of.key, f"{of.title} id"), Column("title", of.title), Column("size", "Customers", "count"),
        Column("gmv", "GMV", "money"), Column("share", "Share of GMV", "share"), Column("orders", "Orders", "count"),
    )  # fmt: skip
    allowed = [column.name for column in columns[1:]]
    if order not in allowed:
        raise BadInputError("A list cannot be ordered by this", got=order, allowed=allowed)
    fits = set(index(store).ids(query, of.name)) if query.strip() else None
    rows: list[dict[str, Any]] = [
        {"segment": s.id, "title": s.title, "size": s.size, "gmv": s.gmv, "share": s.share, "orders": s.orders}
        for s in segments(store, period)
        if s.size and (fits is None or s.id in fits)
    ]
    if order == "title":
        rows.sort(key=lambda row: row["title"])
    else:
        rows.sort(key=lambda row: (row[order] is None, -(row[order] or 0)))
    return Listing(of, columns, tuple(rows[offset : offset + limit]), len(rows), offset, order)


def kinds(store: Store) -> tuple[Kind, ...]:
    """Return the kinds of which the caller may see at least one."""
    return tuple(of for of in KINDS.values() if index(store).count(of.name))
