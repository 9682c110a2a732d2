"""What is usual: a live session beside those of its host and of its shop that had ended before it began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median
from typing import Any

import ibis

from tradewind.decisions.profiles.live_minutes import Room, over, total
from tradewind.engines.store import Store
from tradewind.period import Period

Amount = Decimal | float | int | None
WATCHED_HOUR = 60  # minutes watched by viewers in an hour watched


@dataclass(frozen=True)
class Totals:
    """What a live session came to; None where it is unknown.

    Args:
        minutes: How long it was, in minutes.
        peak: Most viewers in a minute.
        watched: Minutes watched: viewers, summed over its minutes.
        known: Number of minutes whose viewers are known.
        joins: Viewers who came.
        clicks: Clicks on its products.
        orders: Orders in its minutes.
        gmv: GMV in its minutes.
        claimed: Coupons claimed.
        host_cost: What its host cost.
        slot_fee: What its slot cost.
    """

    minutes: float | None = None
    peak: int | None = None
    watched: int | None = None
    known: int = 0
    joins: int | None = None
    clicks: int | None = None
    orders: int | None = None
    gmv: Decimal | None = None
    claimed: int | None = None
    host_cost: Decimal | None = None
    slot_fee: Decimal | None = None

    @property
    def viewers(self) -> float | None:
        """Viewers on average over its minutes."""
        return over(self.watched, self.known)

    @property
    def conversion(self) -> float | None:
        """Orders for each click."""
        return over(self.orders, self.clicks)

    @property
    def per_hour(self) -> float | None:
        """GMV for each hour watched by a viewer."""
        return over(self.gmv, self.watched, WATCHED_HOUR)


@dataclass(frozen=True)
class Earlier:
    """Sessions that had ended before another began.

    Args:
        host: Those of the same host.
        shop: Those of the same shop.
        endless: Number of sessions left out, since nobody knows when they ended.
    """

    host: tuple[Totals, ...] = ()
    shop: tuple[Totals, ...] = ()
    endless: int = 0


def totals(room: Room) -> Totals:
    """Return what a session came to."""
    seen = [row["viewers"] for row in room.minutes.values() if row["viewers"] is not None]
    came = [row[name] for row in room.minutes.values() for name in ("joins_organic", "joins_paid")]
    session = room.session
    long = session and session.ended_at and (session.ended_at - session.started_at) / timedelta(minutes=1)
    sums = {name: total(row[name] for row in room.sales) for name in ("clicks", "orders", "gmv")}
    return Totals(
        minutes=long or room.length or None,
        peak=max(seen, default=None),
        watched=total(seen),
        known=len(seen),
        joins=total(came),
        **sums,
        claimed=total(drop.claimed for drop in room.drops),
        host_cost=session.host_cost if session else None,
        slot_fee=session.slot_fee if session else None,
    )


def earlier(store: Store, room: Room, period: Period | None = None) -> Earlier:
    """Return the earlier sessions of a session's host and shop.

    Args:
        store: The store, as the caller may see it.
        room: The session.
        period: Only sessions that began in it.
    """
    session = room.session
    if session is None or (session.creator_id is None and session.shop_id is None):
        return Earlier()
    rows = store.table("live_sessions")
    alike = ibis.or_(
        *(rows[name] == value for name, value in _alike(session.creator_id, session.shop_id).items() if value)
    )
    rows = rows.filter(alike & (rows.started_at < ibis.literal(session.started_at)))
    if period is not None:
        rows = rows.filter(rows.day.between(ibis.literal(period.first), ibis.literal(period.last)))
    names = ("live_id", "shop_id", "creator_id", "started_at", "ended_at", "host_cost", "slot_fee")
    found = {row["live_id"]: row for row in store.run(rows.select(*names)).to_pylist() if row["live_id"] != room.id}
    sums = _sums(store, sorted(found))
    ended = {id: _end(row, sums.get(id, {})) for id, row in found.items()}
    past = {id: row for id, row in found.items() if (end := ended[id]) is not None and end <= session.started_at}
    of = {id: _totals(row, ended[id], sums.get(id, {})) for id, row in sorted(past.items())}
    same = {
        name: tuple(of[id] for id, row in sorted(past.items()) if value and row[name] == value)
        for name, value in _alike(session.creator_id, session.shop_id).items()
    }
    return Earlier(same["creator_id"], same["shop_id"], sum(end is None for end in ended.values()))


def usual(sessions: Sequence[Totals], name: str) -> tuple[Any, int]:
    """Return the median of a number over sessions, and of how many it is known; None where of none."""
    known = [value for value in (getattr(found, name) for found in sessions) if value is not None]
    return (median(known) if known else None), len(known)


def _alike(creator: str | None, shop: str | None) -> dict[str, str | None]:
    return {"creator_id": creator, "shop_id": shop}


def _end(row: Mapping[str, Any], sums: Mapping[str, Any]) -> datetime | None:
    """When a session ended: as it says, else after its last minute."""
    if row["ended_at"] is not None:
        return row["ended_at"]  # type: ignore[no-any-return]
    last = max((sums[name] for name in ("last", "last_sold") if sums.get(name) is not None), default=None)
    return None if last is None else row["started_at"] + timedelta(minutes=last + 1)


def _totals(row: Mapping[str, Any], end: datetime | None, sums: Mapping[str, Any]) -> Totals:
    known = {name: sums[name] for name in _COUNTED if sums.get(name) is not None}
    long = None if end is None else (end - row["started_at"]) / timedelta(minutes=1)
    return Totals(minutes=long, host_cost=row["host_cost"], slot_fee=row["slot_fee"], **known)


_COUNTED = ("peak", "watched", "known", "joins", "clicks", "orders", "gmv", "claimed")


def _sums(store: Store, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Sums over the tables of sessions, by session; a query a table."""
    found: dict[str, dict[str, Any]] = {id: {} for id in ids}
    for table in ("live_minutes", "live_product_minutes", "live_drops"):
        if not ids or not store.manifest.rows(table):
            continue
        rows = store.table(table)
        rows = rows.filter(rows.live_id.isin(list(ids)))
        if table == "live_minutes":
            came = (rows.joins_organic.fill_null(0) + rows.joins_paid.fill_null(0)).sum(
                where=rows.joins_organic.notnull() | rows.joins_paid.notnull()
            )
            sums = {"peak": rows.viewers.max(), "watched": rows.viewers.sum(), "known": rows.viewers.count(),
                    "joins": came, "last": rows.minute.max()}  # fmt: skip
        elif table == "live_product_minutes":
            sums = {"clicks": rows.clicks.sum(), "orders": rows.orders.sum(), "last_sold": rows.minute.max(),
                    "gmv": rows.gmv.cast("decimal(38, 4)").sum()}  # fmt: skip
        else:
            sums = {"claimed": rows.claimed.sum()}
        for row in store.run(rows.group_by("live_id").aggregate(**sums)).to_pylist():
            found[row["live_id"]].update(row)
    return found
