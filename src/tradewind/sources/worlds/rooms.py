"""Live rooms, by the minute: who comes and how long they stay, what is pinned, and what they buy.

Rooms on air at the same minute compete for the same viewers by a logit over host, match and paid traffic. A viewer
stays for an exponential time; each product of the line-up gets attention by the minutes for which it was pinned
meanwhile; the choice is a multinomial logit with an outside option, as in every session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradewind.sources.worlds.calendar import HOUR_EDGES
from tradewind.sources.worlds.cast import MEDIAN_PRICE, Cast
from tradewind.sources.worlds.demand import Wants, coupon_felt
from tradewind.sources.worlds.diary import Diary
from tradewind.sources.worlds.preset import TASTES
from tradewind.sources.worlds.state import State, Today
from tradewind.sources.worlds.streams import Streams

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LINEUP = 8
PIN = 5  # minutes between two pins
SHORT, LONG = 45, 150  # minutes that a room is on air
OUTSIDE = 7.6
BAG = 0.12  # attention that a product in the bag gets while another one is pinned
DROPS = 0.3  # share of rooms that drop a coupon
CLAIMS = 0.45
FACES = np.array([1.0, 2.0, 3.0])
THRESHOLD = 8.0
DROPPED = 2  # kind of a coupon that a room drops
CELLS = 4_000_000  # viewers times rooms that are weighed at once; bounds memory
TAKES = 2  # times a day that a customer may come to a room


@dataclass(frozen=True)
class Rooms:
    """The rooms of one day; arrays are [rooms] unless they say otherwise.

    Args:
        number: Number of each room, over all days.
        shop: Its shop, -1 where a creator shows products of several.
        creator: Its host.
        start: Minute of the day at which it goes on air.
        minutes: Minutes that it is on air.
        lineup: [rooms, LINEUP] its products, -1 where there is none.
        pinned: [rooms, blocks] which place of the line-up is pinned in each five minutes.
        paid: Log lift of its draw by paid traffic.
        drop: Minute at which it drops a coupon, -1 for none.
        coupon: Number of that coupon, -1 for none.
        face: Face value of the coupon.
        claims: Coupons that it drops.
    """

    number: Ints
    shop: Ints
    creator: Ints
    start: Ints
    minutes: Ints
    lineup: Ints
    pinned: Ints
    paid: Array
    drop: Ints
    coupon: Ints
    face: Array
    claims: Ints

    def __len__(self) -> int:
        return len(self.number)


@dataclass(frozen=True)
class Viewers:
    """Who watched; arrays are [viewers].

    Args:
        customer: Who.
        take: The customer's first or second room of the day, from 0.
        room: Which room of the day, from 0.
        joins: Minute of the room at which they come.
        leaves: Minute at which they are gone.
        paid: Whether paid traffic brought them.
        coupon: Whether they claimed the coupon.
        chosen: Place in the line-up of what they buy, -1 for nothing.
        chances: [viewers, LINEUP] chance of each choice, given what they saw.
        minute: Minute of the room at which they buy.
    """

    customer: Ints
    take: Ints
    room: Ints
    joins: Ints
    leaves: Ints
    paid: Bools
    coupon: Bools
    chosen: Ints
    chances: Array
    minute: Ints


class Live:
    """Runs the rooms of a day.

    Args:
        cast: Who is there.
        luck: What falls as it falls.
    """

    def __init__(self, cast: Cast, luck: Streams):
        self.cast = cast
        self.draw = luck
        self.laws = cast.preset.laws

    def rooms(self, today: Today, state: State, diary: Diary) -> Rooms:
        """Return the rooms that go on air: their shops, hosts, hours, line-ups and pins."""
        cast, draw, day = self.cast, self.draw, today.day
        mean = cast.preset.rooms
        count = int(mean) + int(draw.uniform("rooms", day)[0] < mean - int(mean))
        nth = np.arange(count)
        edges = np.cumsum(cast.shops.weight * (cast.shops.opened <= day))
        shop = np.searchsorted(edges, draw.uniform("room shop", day, nth) * edges[-1])
        shop = np.minimum(shop, cast.preset.shops - 1)
        own = draw.uniform("room own", day, nth) < 0.6
        tries = draw.below(cast.preset.creators, "room host", day, nth[:, None], np.arange(5)[None, :])
        near = (cast.creators.department[tries] == cast.shops.department[shop][:, None]) * 1.0
        near += cast.creators.talent[tries]
        creator = np.take_along_axis(tries, np.argmax(near, axis=1)[:, None], axis=1)[:, 0]
        # good hosts get good hours
        prime = draw.uniform("prime", day, nth) < 1 / (1 + np.exp(-(1.5 * cast.creators.talent[creator] - 0.3)))
        any_hour = np.minimum(np.searchsorted(HOUR_EDGES, draw.uniform("room hour", day, nth)), 23)
        hour = np.where(prime, 19 + draw.below(3, "prime hour", day, nth), np.clip(any_hour, 7, 22))
        start = hour * 60 + draw.below(60, "room minute", day, nth)
        minutes = SHORT + draw.below(LONG - SHORT, "room minutes", day, nth)
        minutes = np.minimum(minutes, 24 * 60 - start)
        lineup = self._lineups(today, state, nth, np.where(own, shop, -1), creator)
        blocks = -(-LONG // PIN)
        weight = np.log(np.maximum(state.pace[lineup], 0.02)) * 0.5 + np.where(lineup >= 0, 0.0, -np.inf)
        luck = draw.gumbel("pin", day, nth[:, None, None], np.arange(blocks)[None, :, None],
                           np.arange(LINEUP)[None, None, :])  # fmt: skip
        pinned = np.argmax(weight[:, None, :] + luck, axis=2)
        push = draw.uniform("room paid", day, nth)
        paid = np.where(push < 0.35, 0.4 + 0.8 * draw.uniform("room push", day, nth), 0.0)
        drops = draw.uniform("drops", day, nth) < DROPS
        drop = np.where(drops, 10 + draw.below(30, "drop minute", day, nth), -1)
        face = FACES[draw.below(len(FACES), "drop face", day, nth)]
        claims = 20 + draw.below(60, "drop claims", day, nth)
        coupon = np.full(count, -1, np.int64)
        for n in np.flatnonzero(drop >= 0).tolist():
            [coupon[n]] = state.coupons.add(
                shop=shop[n] if own[n] else -1, face=face[n], threshold=THRESHOLD, starts=day, ends=day, platform=0.0,
                brand=0.0, kind=DROPPED,
            )  # fmt: skip
        number = state.rooms + nth
        state.rooms += count
        diary.write("coupons", coupon=coupon[coupon >= 0])
        seller = np.where(own, shop, -1)
        return Rooms(number, seller, creator, start, minutes, lineup, pinned, paid, drop, coupon, face, claims)

    def _lineups(self, today: Today, state: State, nth: Ints, shop: Ints, creator: Ints) -> Ints:
        """A shop shows what it sells best; a creator what contracts pay for, then what is sold in the department."""
        products, draw = self.cast.products, self.draw
        lineup = np.full((len(nth), LINEUP), -1, np.int64)
        contracts = state.contracts
        for n in nth.tolist():
            if shop[n] >= 0:
                mine = np.flatnonzero((products.shop == shop[n]) & today.there)
            else:
                live = (contracts["creator"] == creator[n]) & (contracts["ends"] >= today.day)
                under = np.unique(contracts["product"][live & (contracts["starts"] <= today.day)])
                group = np.full(40, self.cast.creators.department[creator[n]])
                first = draw.uniform("room product", today.day, n, np.arange(40))
                second = draw.uniform("room alias", today.day, n, np.arange(40))
                mine = np.unique(np.concatenate([under, self.cast.by_department.draw(group, first, second)]))
                mine = mine[today.there[mine]]
            score = np.log(state.pace[mine] + 0.05) + 0.7 * draw.gumbel("line-up", today.day, n, mine)
            best = mine[np.argsort(-score, kind="stable")[:LINEUP]]
            lineup[n, : len(best)] = best
        return lineup

    def viewers(self, today: Today, state: State, rooms: Rooms) -> Viewers:
        """Return who watches, for how long, and what each of them buys."""
        cast, draw, day = self.cast, self.draw, today.day
        wanted = cast.preset.rooms * cast.preset.viewers / TAKES / cast.preset.customers
        parts = []
        for nth in range(TAKES):
            everyone = np.arange(cast.preset.customers)
            rate = wanted * cast.activity / self.laws.activity * today.visits * (cast.joins <= day)
            who = everyone[draw.uniform("live", everyone, day, nth) < -np.expm1(-rate)]
            hour = np.minimum(np.searchsorted(HOUR_EDGES, draw.uniform("live hour", who, day, nth)), 23)
            parts.append((who, np.full(len(who), nth), hour * 60 + draw.below(60, "live minute", who, day, nth)))
        who, take, minute = (np.concatenate(column) for column in zip(*parts, strict=True))
        if not len(rooms) or not len(who):
            return _nobody()
        host = cast.creators
        most = max(1, CELLS // len(rooms))
        found = [
            self._entered(day, rooms, who[at : at + most], take[at : at + most], minute[at : at + most])
            for at in range(0, len(who), most)
        ]
        room, by_money, match = (np.concatenate(column) for column in zip(*found, strict=True))
        kept = room >= 0
        who, take, minute = who[kept], take[kept], minute[kept]
        room, by_money, match = room[kept], by_money[kept], match[kept]
        joins = minute - rooms.start[room]
        mean = 6.0 * np.exp(0.5 * host.talent[rooms.creator[room]] + 0.25 * match)
        stay = np.ceil(mean * draw.exponential("stay", who, day, take)).astype(np.int64)
        leaves = np.minimum(joins + np.maximum(stay, 1), rooms.minutes[room])
        traits = cast.traits(who)
        claimed = self._claims(day, rooms, who, take, room, joins, leaves)
        worth = self._worth(today, state, rooms, who, room, joins, leaves, claimed, traits)
        chances = Wants(worth, np.full(len(who), OUTSIDE), np.full(worth.shape, -1)).chances()
        lineup = rooms.lineup[room]
        luck = draw.gumbel("live luck", who[:, None], day, take[:, None], lineup + 1)
        nothing = OUTSIDE + draw.gumbel("live luck", who, day, take, 0)
        best = np.argmax(worth + luck, axis=1)
        bought = (worth + luck)[np.arange(len(who)), best] > nothing
        chosen = np.where(bought, best, -1)
        when = joins + (draw.uniform("live when", who, day, take) * (leaves - joins)).astype(np.int64)
        when = self._while_pinned(rooms, room, joins, leaves, np.maximum(chosen, 0), when)
        return Viewers(who, take, room, joins, leaves, by_money, claimed, chosen, chances, when)

    def _entered(self, day: int, rooms: Rooms, who: Ints, take: Ints, minute: Ints) -> tuple[Ints, Bools, Array]:
        """The room that each enters, -1 for none; whether paid traffic decided it; and how well the host suits them."""
        host, on = (
            self.cast.creators,
            (minute[:, None] >= rooms.start) & (minute[:, None] < rooms.start + rooms.minutes),
        )
        match = self.cast.traits(who).taste @ host.audience[rooms.creator].T / TASTES**0.5
        plain = 0.8 * match + 0.8 * host.talent[rooms.creator] + 0.3 * np.log(host.followers[rooms.creator] / 5000)
        plain += self.draw.gumbel("which room", who[:, None], day, take[:, None], rooms.number[None, :])
        total = np.where(on, plain + rooms.paid, -np.inf)
        room, rows = np.argmax(total, axis=1), np.arange(len(who))
        unpaid = np.argmax(np.where(on, plain, -np.inf), axis=1)
        there = np.isfinite(total[rows, room])
        return np.where(there, room, -1), room != unpaid, match[rows, room]

    def _claims(self, day: int, rooms: Rooms, who: Ints, take: Ints, room: Ints, joins: Ints, leaves: Ints) -> Bools:
        """Who claims the coupon: of those who are there when it drops, the first to press."""
        there = (rooms.drop[room] >= joins) & (rooms.drop[room] < leaves)
        u = self.draw.uniform("claims", who, day, take)
        wish = there & (u < CLAIMS)
        order = np.lexsort((u, room))
        rank = np.zeros(len(who), np.int64)
        run = np.cumsum(wish[order])
        starts = np.r_[True, room[order][1:] != room[order][:-1]]
        before = np.maximum.accumulate(np.where(starts, run - wish[order], 0))
        rank[order] = run - before
        return np.asarray(wish & (rank <= rooms.claims[room]))

    def _worth(  # noqa: PLR0913, PLR0917 - what a viewer saw, and who they are
        self, today: Today, state: State, rooms: Rooms, who: Ints, room: Ints, joins: Ints, leaves: Ints,
        claimed: Bools, traits: Any,
    ) -> Array:  # fmt: skip
        """Utility of each product of the line-up to each viewer."""
        laws, products = self.laws, self.cast.products
        lineup = rooms.lineup[room]
        safe = np.maximum(lineup, 0)
        department = products.department[safe]
        attention = self._attention(rooms, room, joins, leaves)
        match = np.einsum("ik,ijk->ij", traits.taste, products.taste[safe]) / TASTES**0.5
        price = today.price[safe]
        used_to = state.reference[safe] - np.log(price)
        worth = products.appeal[safe] + today.course[safe] + laws.fit * match + traits.shift[:, None]
        worth += laws.quality * (0.3 * state.listing[safe] + 0.7 * products.make[safe])
        worth -= traits.price[:, None] * np.log(price / MEDIAN_PRICE[department])
        worth += np.where(used_to > 0, laws.gain, laws.loss) * used_to
        worth += laws.habit * np.minimum(np.take_along_axis(state.habit[who], department, axis=1), 2.0)
        worth -= laws.satiation * np.minimum(np.take_along_axis(state.recent[who], department, axis=1), 2.0)
        worth += laws.campaign * today.campaign - today.outside[department]
        worth += 0.5 * self.cast.creators.talent[rooms.creator[room]][:, None] + np.log(attention + 1e-9)
        face = np.where(
            claimed[:, None] & (price >= THRESHOLD), np.minimum(rooms.face[room][:, None], 0.9 * price), 0.0
        )
        worth += laws.coupon * traits.lift[:, None] * coupon_felt(face / price, laws.thresholds)
        there = (lineup >= 0) & today.there[safe]
        return np.where(there, worth, -np.inf)

    def _attention(self, rooms: Rooms, room: Ints, joins: Ints, leaves: Ints) -> Array:
        """Attention to each product of the line-up: log-like in the minutes for which it was pinned, little else."""
        blocks = rooms.pinned.shape[1]
        edge = np.arange(blocks) * PIN
        within = np.clip(np.minimum(leaves[:, None], edge + PIN) - np.maximum(joins[:, None], edge), 0, None)
        minutes = np.zeros((len(room), LINEUP))
        pinned = rooms.pinned[room]
        for place in range(LINEUP):
            minutes[:, place] = (within * (pinned == place)).sum(axis=1)
        whole = (leaves - joins)[:, None]
        return np.log1p(minutes + BAG * (whole - minutes))

    def _while_pinned(self, rooms: Rooms, room: Ints, joins: Ints, leaves: Ints, place: Ints, when: Ints) -> Ints:
        """Move a purchase to the first minute of the stay at which its product is pinned, where it is at all."""
        blocks = rooms.pinned.shape[1]
        edge = np.arange(blocks) * PIN
        overlaps = (edge[None, :] < leaves[:, None]) & (edge[None, :] + PIN > joins[:, None])
        fits = overlaps & (rooms.pinned[room] == place[:, None])
        first = np.argmax(fits, axis=1)
        moved = np.maximum(edge[first], joins)
        return np.where(fits.any(axis=1), np.minimum(moved + (when - joins) % PIN, leaves - 1), when)

    def orders(self, today: Today, rooms: Rooms, viewers: Viewers, state: State) -> dict[str, NDArray[Any]]:
        """Return the viewers who buy, one row each, in the shape of sessions that choose."""
        row = np.flatnonzero(viewers.chosen >= 0)
        room = viewers.room[row]
        product = rooms.lineup[room, viewers.chosen[row]]
        contract = self.under(today, state, rooms, room, product)
        second = (rooms.start[room] + viewers.minute[row]) * 60
        second += self.draw.below(60, "live second", viewers.customer[row], today.day, viewers.take[row])
        return {
            "customer": viewers.customer[row], "visit": 4 + viewers.take[row], "second": second,
            "surface": np.zeros(len(row), np.int64), "video": np.zeros(len(row), bool), "contract": contract,
            "paid_slot": np.zeros(len(row), bool), "live": rooms.number[room], "product": product,
            "coupon": self.used(today, rooms, room, viewers.coupon[row], product),
        }  # fmt: skip

    def used(self, today: Today, rooms: Rooms, room: Ints, claimed: Bools, product: Ints) -> Ints:
        """Return the number of the coupon that viewers use on a product, -1 for none."""
        return np.where(claimed & (today.price[product] >= THRESHOLD), rooms.coupon[room], -1)

    def under(self, today: Today, state: State, rooms: Rooms, room: Ints, product: Ints) -> Ints:
        """Return the contract under which a creator's room sells a product, -1 for none."""
        contracts, products = state.contracts, len(self.cast.products.price)
        live = np.flatnonzero((contracts["ends"] >= today.day) & (contracts["starts"] <= today.day))
        keys = contracts["creator"][live] * products + contracts["product"][live]
        order = np.argsort(keys, kind="stable")
        wanted = rooms.creator[room] * products + product
        place = np.searchsorted(keys[order], wanted, side="right") - 1
        found = (rooms.shop[room] < 0) & (place >= 0)
        if not len(live):
            return np.full(len(room), -1, np.int64)
        number = live[order[np.maximum(place, 0)]]
        return np.where(found & (keys[order][np.maximum(place, 0)] == wanted), number, -1)


def _nobody() -> Viewers:
    none, false = np.empty(0, np.int64), np.empty(0, bool)
    return Viewers(none, none, none, none, none, false, false, none, np.empty((0, LINEUP)), none)
