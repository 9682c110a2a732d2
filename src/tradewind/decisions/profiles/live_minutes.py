"""One live session as its tables tell it: its minutes, what its products did in them, and its coupon drops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import ibis

from tradewind.engines.store import Store
from tradewind.errors import NotFoundError

Row = Mapping[str, Any]
CROWD = ("viewers", "joins_organic", "joins_paid", "leaves", "comments", "likes")
SOLD = ("impressions", "clicks", "orders", "gmv")


@dataclass(frozen=True)
class Session:
    """What is said of a broadcast as a whole.

    Args:
        title: Its title; None where it has none.
        shop_id: The shop that it sells for, None where several.
        shop: That shop's name, or its id where the caller knows no name.
        creator_id: The host.
        host: The host's name, or id.
        started_at: When it began, in UTC.
        ended_at: When it ended, in UTC; None where the source does not say.
        host_cost: What the host cost.
        slot_fee: What was paid for the slot.
    """

    title: str | None
    shop_id: str | None
    shop: str | None
    creator_id: str | None
    host: str | None
    started_at: datetime
    ended_at: datetime | None
    host_cost: Decimal | None
    slot_fee: Decimal | None


@dataclass(frozen=True)
class Drop:
    """Coupons handed out at one moment.

    Args:
        coupon_id: The coupon.
        at: When, in UTC.
        minute: Minute of the session in which it fell; None where nobody tells the caller when the session began.
        quantity: How many could be claimed.
        claimed: How many were.
    """

    coupon_id: str
    at: datetime
    minute: int | None
    quantity: int | None
    claimed: int | None


@dataclass(frozen=True)
class Span:
    """A product, pinned from one minute to another without a break.

    Args:
        product_id: The product.
        first: First minute.
        last: Last minute, included.
    """

    product_id: str
    first: int
    last: int


@dataclass(frozen=True)
class Room:
    """One live session, as far as the caller may see it.

    Args:
        id: Its id.
        session: What is said of it as a whole; None where it sells for several shops and the caller is one of them.
        minutes: Row of each minute that is known, by minute.
        sales: Rows of products in minutes, by minute and product.
        drops: Coupon drops, first to last.
        titles: Titles of the products that have one.
    """

    id: str
    session: Session | None
    minutes: Mapping[int, Row]
    sales: tuple[Row, ...]
    drops: tuple[Drop, ...]
    titles: Mapping[str, str]

    @cached_property
    def length(self) -> int:
        """Minutes from the first to the last of which anything is known."""
        return max((*self.minutes, *(row["minute"] for row in self.sales)), default=-1) + 1

    @cached_property
    def sold(self) -> Mapping[int, Sequence[Row]]:
        """Rows of products by minute; a minute without any is unknown, not empty."""
        found: dict[int, list[Row]] = {}
        for row in self.sales:
            found.setdefault(row["minute"], []).append(row)
        return found

    @cached_property
    def products(self) -> tuple[str, ...]:
        """Ids of its products."""
        return tuple(sorted({row["product_id"] for row in self.sales}))

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """When which product was pinned, first to last; a minute without a row ends a span."""
        found: list[Span] = []
        for row in sorted(self.sales, key=lambda row: (row["product_id"], row["minute"])):
            if not row["pinned"]:
                continue
            before = found[-1] if found else None
            if before and before.product_id == row["product_id"] and before.last == row["minute"] - 1:
                found[-1] = Span(before.product_id, before.first, row["minute"])
            else:
                found.append(Span(row["product_id"], row["minute"], row["minute"]))
        return tuple(sorted(found, key=lambda span: (span.first, span.product_id)))

    def title_of(self, product: str) -> str:
        """Return a product's title, or its id where the caller knows none."""
        return self.titles.get(product, product)

    def crowd(self, column: str, minutes: Iterable[int] | None = None) -> list[Any]:
        """Return a column of the minutes, in order; None where it is unknown."""
        return [self.minutes.get(n, {}).get(column) for n in (range(self.length) if minutes is None else minutes)]

    def taken(self, column: str, minutes: Iterable[int]) -> list[Any]:
        """Return what all products together did in each of these minutes; None where it is unknown."""
        return [total(row[column] for row in self.sold.get(n, ())) for n in minutes]


def total(values: Iterable[Any]) -> Any:
    """Return the sum of what is known, or None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known else None


def over(above: Any, below: Any, times: float = 1.0) -> float | None:
    """Return a ratio; None where a side is unknown or there is nothing to divide by."""
    return None if above is None or not below else float(above) / float(below) * times


def local(store: Store, at: datetime) -> datetime:
    """Return the local clock's reading at a moment in UTC."""
    return at.replace(tzinfo=UTC).astimezone(ZoneInfo(store.provenance.timezone)).replace(tzinfo=None)


def the_room(store: Store, id: str) -> Room:
    """Read one live session.

    Args:
        store: The store, as the caller may see it.
        id: The session.

    Raises:
        NotFoundError: If there is none of that id, or nothing in it is the caller's: both read the same.
    """
    session = _session(store, id)
    sales = _rows(store, "live_product_minutes", id)
    drops = _rows(store, "live_drops", id)
    if session is None and not sales and not drops:
        raise NotFoundError("There is no such live session", got=id, do="see the list of live sessions")
    products = sorted({row["product_id"] for row in sales})
    return Room(
        id,
        session,
        {row["minute"]: row for row in sorted(_rows(store, "live_minutes", id), key=lambda row: row["minute"])},
        tuple(sorted(sales, key=lambda row: (row["minute"], row["product_id"]))),
        tuple(
            Drop(row["coupon_id"], row["at"], _minute(row["at"], session), row["quantity"], row["claimed"])
            for row in sorted(drops, key=lambda row: (row["at"], row["coupon_id"]))
        ),
        named(store, "products", products),
    )


def named(store: Store, table: str, ids: Sequence[str]) -> dict[str, str]:
    """Return the titles of products, or the names of shops or creators, that the caller may see."""
    if not ids or not store.manifest.rows(table):
        return {}
    rows = store.table(table)
    key, name = f"{table.removesuffix('s')}_id", "title" if table == "products" else "name"
    found = store.run(rows.filter(rows[key].isin(list(ids))).select(key, name)).to_pylist()
    return {row[key]: row[name] for row in found if row[name]}


def _session(store: Store, id: str) -> Session | None:
    found = _rows(store, "live_sessions", id)
    if not found:
        return None
    row = found[0]
    shop, host = row["shop_id"], row["creator_id"]
    shops, hosts = named(store, "shops", [shop] if shop else []), named(store, "creators", [host] if host else [])
    return Session(
        row["title"], shop, shops.get(shop, shop), host, hosts.get(host, host), row["started_at"], row["ended_at"],
        row["host_cost"], row["slot_fee"],
    )  # fmt: skip


def _rows(store: Store, table: str, id: str) -> list[dict[str, Any]]:
    """Rows of one session; none where the source has no such table."""
    if not store.manifest.rows(table):
        return []
    rows = store.table(table)
    found: list[dict[str, Any]] = store.run(rows.filter(rows.live_id == ibis.literal(id))).to_pylist()
    return found


def _minute(at: datetime, session: Session | None) -> int | None:
    return None if session is None else (at - session.started_at) // timedelta(minutes=1)
