"""A live session minute by minute, for a player."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from tradewind.decisions.profiles.live_minutes import Drop, Room, local, the_room, total
from tradewind.engines.store import Store


@dataclass(frozen=True)
class Pinned:
    """A product that is pinned.

    Args:
        id: Its id.
        title: Its title; its id where the caller knows none.
    """

    id: str
    title: str


@dataclass(frozen=True)
class Frame:
    """One minute; None where the source says nothing.

    Args:
        minute: Minutes since the session began.
        clock: Local time at which the minute begins; None where the caller is not told when the session began.
        viewers: Viewers in the room.
        joins_organic: Who came by themselves.
        joins_paid: Who came by paid traffic.
        leaves: Who left.
        comments: Comments.
        likes: Likes.
        pinned: Products that are pinned.
        orders: Orders in the minute.
        gmv: GMV in the minute.
        orders_so_far: Orders up to the end of the minute; None before the first minute that is known.
        gmv_so_far: GMV up to the end of the minute, likewise.
        drops: Coupon drops in the minute.
    """

    minute: int
    clock: datetime | None
    viewers: int | None
    joins_organic: int | None
    joins_paid: int | None
    leaves: int | None
    comments: int | None
    likes: int | None
    pinned: tuple[Pinned, ...]
    orders: int | None
    gmv: Decimal | None
    orders_so_far: int | None
    gmv_so_far: Decimal | None
    drops: tuple[Drop, ...]


@dataclass(frozen=True)
class Replay:
    """A session, minute by minute; `study.jsonable` makes JSON of it without losing a cent.

    Args:
        id: The session.
        title: Its title; None where it has none or the caller is not told.
        host: Its host.
        shop: The shop that it sells for; None where several.
        currency: Currency of all money.
        own_only: Whether only what the caller's own products did is in it, as for one of several shops.
        frames: Its minutes, without a gap from the first to the last of which anything is known.
        beyond: Coupon drops outside the frames, or at a minute that the caller is not told.
    """

    id: str
    title: str | None
    host: str | None
    shop: str | None
    currency: str
    own_only: bool
    frames: tuple[Frame, ...]
    beyond: tuple[Drop, ...]


def replay(store: Store, id: str) -> Replay:
    """Return a live session minute by minute.

    Args:
        store: The store, as the caller may see it.
        id: The session.

    Returns:
        The replay; its GMV and orders are those of the minutes (`live_product_minutes`), as in the profile.

    Raises:
        NotFoundError: If there is none of that id, or nothing in it is the caller's: both read the same.
    """
    room = the_room(store, id)
    session = room.session
    frames: list[Frame] = []
    so_far: tuple[int | None, Decimal | None] = (None, None)
    for n in range(room.length):
        frame = _frame(store, room, n, so_far)
        so_far = frame.orders_so_far, frame.gmv_so_far
        frames.append(frame)
    return Replay(
        id=id,
        title=session.title if session else None,
        host=session.host if session else None,
        shop=session.shop if session else None,
        currency=store.provenance.currency,
        own_only=session is None,
        frames=tuple(frames),
        beyond=tuple(drop for drop in room.drops if drop.minute is None or not 0 <= drop.minute < room.length),
    )


def _frame(store: Store, room: Room, minute: int, so_far: tuple[int | None, Decimal | None]) -> Frame:
    rows = room.sold.get(minute, ())
    orders, gmv = (total(row[name] for row in rows) for name in ("orders", "gmv"))
    crowd = room.minutes.get(minute, {})
    began = room.session.started_at if room.session else None
    return Frame(
        minute=minute,
        clock=local(store, began + timedelta(minutes=minute)) if began else None,
        viewers=crowd.get("viewers"),
        joins_organic=crowd.get("joins_organic"),
        joins_paid=crowd.get("joins_paid"),
        leaves=crowd.get("leaves"),
        comments=crowd.get("comments"),
        likes=crowd.get("likes"),
        pinned=tuple(Pinned(row["product_id"], room.title_of(row["product_id"])) for row in rows if row["pinned"]),
        orders=orders,
        gmv=gmv,
        orders_so_far=total((so_far[0], orders)),
        gmv_so_far=total((so_far[1], gmv)),
        drops=tuple(drop for drop in room.drops if drop.minute == minute),
    )
