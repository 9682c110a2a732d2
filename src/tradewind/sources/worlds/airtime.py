"""Airtime: live rooms as rows of the canonical tables, minute by minute."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tradewind.sources.worlds.grants import Grants
from tradewind.sources.worlds.ids import Chapter, Ids, numbered
from tradewind.sources.worlds.preset import SURFACES
from tradewind.sources.worlds.rooms import ARRIVE, BAG, PIN, Rooms, Viewers
from tradewind.sources.worlds.sheets import Sheets, money, words
from tradewind.sources.worlds.state import Today
from tradewind.sources.worlds.trade import DAY, Lines
from tradewind.sources.worlds.world import World

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

FORMS = ("card", "video", "live")
RELATIONS = ("own", "affiliate")
CARTS = 0.22  # share of clicks that put the product in the cart without buying it
HOST_COST = 12.0
SLOT_FEE = 15.0
SURFACE = len(SURFACES)


class Airtime(Chapter):
    """Writes live rooms down.

    Args:
        world: The world.
        sheets: Where rows go.
        ids: How things are named.
        grants: Told who claimed a coupon.
    """

    def __init__(self, world: World, sheets: Sheets, ids: Ids, grants: Grants):
        super().__init__(world, sheets, ids)
        self.grants = grants

    def live(self, today: Today, rooms: Rooms, viewers: Viewers, lines: Lines) -> None:
        """Take a day's rooms: sessions, minutes, products by the minute, coupon drops, and their traffic."""
        if not len(rooms):
            return
        base = today.day * DAY
        names = numbered("l", rooms.number)
        start = base + rooms.start * 60
        affiliate = rooms.shop < 0
        self.sheets.add(
            "live_sessions", start, live_id=names, shop_id=self.ids.shops.of(rooms.shop),
            creator_id=self.ids.creators.of(rooms.creator), title=self.wording.rooms(rooms),
            started_at=self.clock.utc(start), ended_at=self.clock.utc(start + rooms.minutes * 60),
            host_cost=money(np.where(affiliate, 0.0, HOST_COST * rooms.minutes / 60)),
            slot_fee=money(np.where(affiliate, SLOT_FEE, 0.0)),
        )  # fmt: skip
        sold = lines.where(lines["paid"] & (lines["live"] >= 0))
        self._products(today, rooms, sold, self._minutes(rooms, viewers))
        self._bought(today, rooms, viewers, sold)
        dropped = np.flatnonzero(rooms.drop >= 0)
        claimed = np.bincount(viewers.room[viewers.coupon], minlength=len(rooms))
        at = start[dropped] + rooms.drop[dropped] * 60
        self.sheets.add(
            "live_drops", live_id=names.take(pa.array(dropped)), at=self.clock.utc(at),
            coupon_id=numbered("u", rooms.coupon[dropped]), shop_id=self.ids.shops.of(rooms.shop[dropped]),
            quantity=rooms.claims[dropped], claimed=claimed[dropped],
        )  # fmt: skip
        mine = np.flatnonzero(viewers.coupon)
        if len(mine):
            room = viewers.room[mine]
            first = np.unique(rooms.coupon[room] * (self.world.preset.customers + 1) + viewers.customer[mine],
                              return_index=True)[1]  # fmt: skip
            mine, room = mine[first], room[first]
            when = start[room] + np.maximum(rooms.drop[room], viewers.joins[mine]) * 60
            self.grants.claimed(rooms.coupon[room], viewers.customer[mine], when)

    def _minutes(self, rooms: Rooms, viewers: Viewers) -> Ints:
        """The minutes of all rooms, one room after the other; return who is there in each."""
        minutes, first = rooms.minutes, np.cumsum(rooms.minutes) - rooms.minutes
        whole, last = int(minutes.sum()), minutes[viewers.room] - 1
        room = np.repeat(np.arange(len(rooms)), minutes)
        minute = np.arange(whole) - first[room]
        starts = first[viewers.room]
        come = np.bincount(starts + viewers.joins, minlength=whole)
        by_money = np.bincount((starts + viewers.joins)[viewers.paid], minlength=whole)
        gone = np.bincount(starts + np.minimum(viewers.leaves, last), minlength=whole)
        early = viewers.leaves <= last
        balance = np.cumsum(come - np.bincount((starts + viewers.leaves)[early], minlength=whole))
        there = balance - np.concatenate([[0], balance])[first][room]
        keys = (rooms.number[room], minute)
        noise = self.draw.uniform("chat", *keys)
        talk = np.floor(0.05 * there * np.exp(0.4 * self.draw.normal("talk", *keys)) + noise)
        hearts = np.floor(0.3 * there * np.exp(0.5 * self.draw.normal("hearts", *keys)) + noise)
        self.sheets.add(
            "live_minutes", live_id=numbered("l", rooms.number[room]), minute=minute, viewers=there,
            joins_organic=come - by_money, joins_paid=by_money, leaves=gone, comments=talk.astype(np.int64),
            likes=hearts.astype(np.int64),
        )  # fmt: skip
        return np.asarray(there)

    def _products(self, today: Today, rooms: Rooms, sold: Lines, there: Ints) -> None:
        """Each product of each line-up by the minute: what was shown, clicked and bought, and the traffic that it is.

        Args:
            today: The day.
            rooms: Its rooms.
            sold: Lines that were paid in a room.
            there: Viewers in each minute of all rooms, one room after the other.
        """
        first = np.cumsum(rooms.minutes) - rooms.minutes
        room, place = np.nonzero(rooms.lineup >= 0)
        minutes, product = rooms.minutes[room], rooms.lineup[room, place]
        begins = np.cumsum(minutes) - minutes
        shelf = np.repeat(np.arange(len(room)), minutes)  # which place of which line-up each row tells of
        at_room, at_place, whole = room[shelf], place[shelf], len(shelf)
        minute = np.arange(whole) - begins[shelf]
        pinned = rooms.pinned[at_room, minute // PIN] == at_place
        viewers, keys = there[first[at_room] + minute], (rooms.number[at_room], minute, at_place)
        shown = np.floor(viewers * np.where(pinned, 1.0, BAG) + self.draw.uniform("seen", *keys))
        taps = np.floor(shown * (0.06 * pinned + 0.02) + self.draw.uniform("tap", *keys)).astype(np.int64)
        bought = sold["live"] - rooms.number[0]
        on_shelf = rooms.lineup[bought] == sold["product"][:, None]
        offered = on_shelf.any(axis=1)
        number = np.full(rooms.lineup.shape, -1)
        number[room, place] = np.arange(len(room))
        row = begins[number[bought, np.argmax(on_shelf, axis=1)]] + sold["second"] // 60 - rooms.start[bought]
        orders = np.bincount(row[offered], minlength=whole)
        gmv = np.bincount(row[offered], self._takings(sold)[offered], whole)
        impressions = shown.astype(np.int64)
        taps = np.minimum(np.maximum(taps, orders), np.maximum(impressions, orders))
        impressions = np.maximum(impressions, taps)
        item = product[shelf]
        self.sheets.add(
            "live_product_minutes", live_id=numbered("l", rooms.number[at_room]), minute=minute,
            product_id=self.ids.products.of(item), shop_id=self.ids.shops.of(self.cast.products.shop[item]),
            pinned=pinned, impressions=impressions, clicks=taps, orders=orders, gmv=money(gmv),
        )  # fmt: skip
        carts = np.minimum(np.maximum(np.floor(CARTS * taps).astype(np.int64), orders), taps)
        from_where = np.bincount(row[offered] * SURFACE + sold["surface"][offered], minlength=whole * SURFACE)
        hour = (rooms.start[at_room] + minute) // 60
        self._traffic(today, rooms, shelf, hour, (impressions, taps, carts), from_where.reshape(whole, SURFACE))

    def _takings(self, sold: Lines) -> Array:
        """What each line brings its seller, after the coupons that the seller pays for."""
        coupons, coupon = self.world.state.coupons, np.maximum(sold["coupon"], 0)
        theirs = 1 - coupons["platform"][coupon] - coupons["brand"][coupon]
        return np.asarray(sold["price"] * sold["quantity"] - np.where(sold["coupon"] >= 0, sold["off"] * theirs, 0.0))

    def _bought(self, today: Today, rooms: Rooms, viewers: Viewers, sold: Lines) -> None:
        """Traffic that was bought for rooms: credited with every order of a viewer whom it brought."""
        which = np.flatnonzero(rooms.spend > 0)
        if not len(which):
            return
        brought = viewers.paid & (viewers.chosen >= 0)
        key = viewers.customer * 8 + 4 + viewers.take
        room = sold["live"] - rooms.number[0]
        credited = np.isin(sold["customer"] * 8 + sold["visit"], key[brought])
        orders = np.bincount(room[credited], minlength=len(rooms))
        gmv = np.bincount(room[credited], (sold["price"] * sold["quantity"])[credited], len(rooms))
        joined = np.bincount(viewers.room[viewers.paid], minlength=len(rooms))
        self.sheets.add(
            "ads", today.day * DAY + rooms.start[which] // 60 * 3600, ad_id=numbered("b", rooms.number[which]),
            payer=words(("creator", "merchant"), (rooms.shop[which] >= 0).astype(int)),
            shop_id=self.ids.shops.of(rooms.shop[which]), live_id=numbered("l", rooms.number[which]),
            spend=money(rooms.spend[which]), impressions=joined[which], clicks=joined[which],
            attributed_orders=orders[which], attributed_gmv=money(gmv[which]),
            attribution_window=np.zeros(len(which)),
        )  # fmt: skip

    def _traffic(
        self, today: Today, rooms: Rooms, shelf: Ints, hour: Ints, counts: tuple[Ints, Ints, Ints], orders: Ints
    ) -> None:
        """Sum the minutes of each place of a line-up by the hour, and by the surface on which viewers saw the room.

        Each order stands on the surface from which its buyer came; all else is spread as viewers usually are.
        """
        if not len(shelf):
            return
        cell = shelf * 24 + hour
        first = np.flatnonzero(np.concatenate([[True], cell[1:] != cell[:-1]]))
        impressions, clicks, carts = (np.add.reduceat(part, first) for part in counts)
        bought = np.add.reduceat(orders, first, axis=0)
        carted = bought + _spread(carts - bought.sum(axis=1))
        tapped = carted + _spread(clicks - carts)
        shown = tapped + _spread(impressions - clicks)
        cell_of, surface = np.nonzero(shown)
        shown, tapped, carted = (part[cell_of, surface] for part in (shown, tapped, carted))
        first = first[cell_of]
        room, place = (index[shelf[first]] for index in np.nonzero(rooms.lineup >= 0))
        product, count = rooms.lineup[room, place], len(room)
        self.sheets.add(
            "traffic", today.day * DAY + hour[first] * 3600,
            shop_id=self.ids.shops.of(self.cast.products.shop[product]),
            product_id=self.ids.products.of(product), surface=words(SURFACES, surface),
            form=words(FORMS, np.full(count, 2)), relation=words(RELATIONS, (rooms.shop[room] < 0).astype(int)),
            creator_id=self.ids.creators.of(rooms.creator[room]), live_id=numbered("l", rooms.number[room]),
            impressions=shown, clicks=tapped, carts=carted,
        )  # fmt: skip


def _spread(counts: Ints) -> Ints:
    """Spread counts over surfaces as viewers usually come: [n, surfaces], with the counts as sums."""
    parts = np.floor(counts[:, None] * np.diff(ARRIVE, prepend=0.0, append=1.0)).astype(np.int64)
    parts[:, 0] += counts - parts.sum(axis=1)
    return np.asarray(parts)
