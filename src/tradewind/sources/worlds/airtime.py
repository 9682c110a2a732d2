"""Airtime: live rooms as rows of the canonical tables, minute by minute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tradewind.sources.worlds.ids import Chapter, Ids, numbered
from tradewind.sources.worlds.preset import SURFACES
from tradewind.sources.worlds.rooms import BAG, LINEUP, PIN, Rooms, Viewers
from tradewind.sources.worlds.sheets import Sheets, money, words
from tradewind.sources.worlds.state import Today
from tradewind.sources.worlds.trade import DAY, Lines
from tradewind.sources.worlds.world import World

Ints = NDArray[np.int64]

FORMS = ("card", "video", "live")
RELATIONS = ("own", "affiliate")
CARTS = 0.22  # share of clicks that put the product in the cart without buying it
HOST_COST = 12.0
SLOT_FEE = 15.0


class Airtime(Chapter):
    """Writes live rooms down."""

    def __init__(self, world: World, sheets: Sheets, ids: Ids):
        super().__init__(world, sheets, ids)
        self.grants: list[dict[str, Any]] = []

    def live(self, today: Today, rooms: Rooms, viewers: Viewers, lines: Lines) -> None:
        """Take a day's rooms: sessions, minutes, products by the minute, coupon drops, and their traffic."""
        if not len(rooms):
            return
        base = today.day * DAY
        names = pa.array([f"l{n:06d}" for n in rooms.number.tolist()])
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
        for n in range(len(rooms)):
            self._room(today, rooms, viewers, sold.where(sold["live"] == rooms.number[n]), n)
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
            when = start[room] + rooms.drop[room] * 60
            self.grants.append({"coupon": rooms.coupon[room], "customer": viewers.customer[mine], "at": when,
                                 "seen": when.astype(float), "propensity": np.full(len(mine), np.nan)})  # fmt: skip

    def _room(self, today: Today, rooms: Rooms, viewers: Viewers, sold: Lines, n: int) -> None:
        """One room: its minutes, and each product of its line-up in them."""
        minutes = int(rooms.minutes[n])
        mine = viewers.room == n
        joins, leaves = viewers.joins[mine], viewers.leaves[mine]
        paid = viewers.paid[mine]
        come = np.bincount(joins, minlength=minutes)[:minutes]
        by_money = np.bincount(joins[paid], minlength=minutes)[:minutes]
        gone = np.bincount(np.minimum(leaves, minutes - 1), minlength=minutes)[:minutes]
        ends = np.bincount(leaves, minlength=minutes + 1)[:minutes]
        there = np.cumsum(come) - np.cumsum(ends)
        minute = np.arange(minutes)
        number = int(rooms.number[n])
        noise = self.draw.uniform("chat", number, minute)
        talk = np.floor(0.05 * there * np.exp(0.4 * self.draw.normal("talk", number, minute)) + noise).astype(np.int64)
        hearts = np.floor(0.3 * there * np.exp(0.5 * self.draw.normal("hearts", number, minute)) + noise)
        live = f"l{number:06d}"
        self.sheets.add(
            "live_minutes", live_id=pa.array([live] * minutes), minute=minute, viewers=there,
            joins_organic=come - by_money, joins_paid=by_money, leaves=gone, comments=talk,
            likes=hearts.astype(np.int64),
        )  # fmt: skip
        when = sold["second"] // 60 - int(rooms.start[n])
        state = self.world.state
        coupon = np.maximum(sold["coupon"], 0)
        theirs = 1 - state.coupons["platform"][coupon] - state.coupons["brand"][coupon]
        takings = sold["price"] * sold["quantity"] - np.where(sold["coupon"] >= 0, sold["off"] * theirs, 0.0)
        pinned = np.repeat(rooms.pinned[n], PIN)[:minutes]
        for place in range(LINEUP):
            product = int(rooms.lineup[n, place])
            if product < 0:
                continue
            at = (pinned == place).astype(float)
            shown = np.floor(there * (at + BAG * (1 - at)) + self.draw.uniform("seen", number, minute, place))
            chance = 0.06 * at + 0.02
            taps = np.floor(shown * chance + self.draw.uniform("tap", number, minute, place)).astype(np.int64)
            here = sold["product"] == product
            orders = np.bincount(when[here], minlength=minutes)
            gmv = np.bincount(when[here], takings[here], minutes)
            taps = np.minimum(np.maximum(taps, orders), np.maximum(shown.astype(np.int64), orders))
            shown_whole = np.maximum(shown.astype(np.int64), taps)
            self.sheets.add(
                "live_product_minutes", live_id=pa.array([live] * minutes), minute=minute,
                product_id=self.ids.products.of(np.full(minutes, product)),
                shop_id=self.ids.shops.of(np.full(minutes, self.cast.products.shop[product])), pinned=at > 0,
                impressions=shown_whole, clicks=taps, orders=orders, gmv=money(gmv),
            )  # fmt: skip
            hour = (rooms.start[n] + minute) // 60
            carts = np.maximum(np.floor(CARTS * taps).astype(np.int64), orders)
            self._live_traffic(today, rooms, n, product, hour, shown_whole, taps, np.minimum(carts, taps))

    def _live_traffic(
        self, today: Today, rooms: Rooms, n: int, product: int, hour: Ints, shown: Ints, taps: Ints, carts: Ints
    ) -> None:
        hours = np.unique(hour)
        sums = [np.array([part[hour == h].sum() for h in hours]) for part in (shown, taps, carts)]
        kept = sums[0] > 0
        count = int(kept.sum())
        own = int(rooms.shop[n]) >= 0
        second = today.day * DAY + hours[kept] * 3600
        self.sheets.add(
            "traffic", second, shop_id=self.ids.shops.of(np.full(count, self.cast.products.shop[product])),
            product_id=self.ids.products.of(np.full(count, product)), surface=words(SURFACES, np.zeros(count)),
            form=words(FORMS, np.full(count, 2)), relation=words(RELATIONS, np.full(count, 0 if own else 1)),
            creator_id=self.ids.creators.of(np.full(count, rooms.creator[n])),
            live_id=pa.array([f"l{int(rooms.number[n]):06d}"] * count), impressions=sums[0][kept], clicks=sums[1][kept],
            carts=sums[2][kept],
        )  # fmt: skip
