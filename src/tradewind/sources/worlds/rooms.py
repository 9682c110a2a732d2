"""Live rooms, by the minute: who comes and how long they stay, what is pinned, and what they buy.

Rooms on air at the same minute compete for the same viewers, and with staying away, by a logit over host, match and
paid traffic. A viewer stays for an exponential time; each product of the line-up gets attention by the minutes for
which it was pinned meanwhile; the choice is a multinomial logit with an outside option, as in every session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradewind.sources.worlds.calendar import HOUR_EDGES
from tradewind.sources.worlds.cast import Part
from tradewind.sources.worlds.choice import ROOM, Sight, Wants, coupon_felt, worth
from tradewind.sources.worlds.diary import Diary
from tradewind.sources.worlds.moves import Move
from tradewind.sources.worlds.preset import SURFACES, TASTES
from tradewind.sources.worlds.state import State, Today

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ARRIVE = np.cumsum([0.72, 0.04, 0.12, 0.06])  # viewers by the surface on which they saw the room, the rest external
STORE = SURFACES.index("store")
LINEUP = 8
PIN = 5  # minutes between two pins
SHORT, LONG = 45, 150  # minutes that a room is on air
OUTSIDE = 8.4
BAG = 0.12  # attention that a product in the bag gets while another one is pinned
DROPS = 0.3  # share of rooms that drop a coupon
OPEN = 20  # minutes for which a dropped coupon can be claimed
DROPS_AT = 15  # earliest minute of a drop that a move asks for
CLAIMS = 0.45
FACES = np.array([1.0, 2.0, 3.0])
THRESHOLD = 8.0
DROPPED = 2  # kind of a coupon that a room drops
CELLS = 4_000_000  # viewers times rooms that are weighed at once; bounds memory
PASSING = 1.0  # utility of passing rooms by
TEMPTED = 2.2  # viewers for each one who enters, about
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
        spend: What is spent on traffic to it.
        paid: Log lift of its draw by that traffic.
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
    spend: Array
    paid: Array
    drop: Ints
    coupon: Ints
    face: Array
    claims: Ints

    def __len__(self) -> int:
        return len(self.number)

    @property
    def spent(self) -> Array:
        """[parties] what traffic to rooms costs their sellers, or hosts of rooms of several shops, and brings in."""
        by_shops = float(self.spend[self.shop >= 0].sum())
        by_hosts = float(self.spend[self.shop < 0].sum())
        return np.array([-by_shops, by_shops + by_hosts, -by_hosts, 0.0])


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
        surface: Where they came from, an index into `SURFACES`.
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
    surface: Ints
    chosen: Ints
    chances: Array
    minute: Ints


class Live(Part):
    """Runs the rooms of a day."""

    def rooms(self, today: Today, state: State, diary: Diary, moves: Sequence[Move] = ()) -> Rooms:
        """Return the rooms that go on air: their shops, hosts, hours, line-ups and pins, and what moves change of them.

        A move changes the rooms that its shop holds itself.
        """
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
        spend = np.where(push < 0.35, 20 + 60 * draw.uniform("room push", day, nth), 0.0).round(2)
        drops = draw.uniform("drops", day, nth) < DROPS
        drop = np.where(drops, 10 + draw.below(30, "drop minute", day, nth), -1)
        face = FACES[draw.below(len(FACES), "drop face", day, nth)]
        claims = 20 + draw.below(60, "drop claims", day, nth)
        for move in (move for move in moves if move.lever.startswith("live") and move.start <= day <= move.last):
            held = own & (shop == move.dose["shop"])
            if move.lever == "live traffic":
                spend = spend + held * move.dose["budget"]
            elif move.lever == "live coupon":
                drop = np.where(held, np.maximum(drop, DROPS_AT), drop)
                face, claims = np.where(held, move.dose["face"], face), np.where(held, move.dose["claims"], claims)
            elif today.there[move.dose["product"]]:
                self._pin(day, move, np.flatnonzero(held), lineup, pinned)
        coupon = np.full(count, -1, np.int64)
        for n in np.flatnonzero(drop >= 0).tolist():
            [coupon[n]] = state.coupons.add(
                shop=shop[n] if own[n] else -1, face=face[n], threshold=THRESHOLD, starts=day, ends=day, platform=0.0,
                brand=0.0, kind=DROPPED,
            )  # fmt: skip
        number = state.rooms + nth
        state.rooms += count
        diary.write("coupons", coupon=coupon[coupon >= 0])
        seller, paid = np.where(own, shop, -1), self.pull(spend)
        return Rooms(number, seller, creator, start, minutes, lineup, pinned, spend, paid, drop, coupon, face, claims)

    def pull(self, spend: Array) -> Array:
        """Return the log lift of a room's draw by what is spent on traffic to it: less for each further unit.

        With `laws.thresholds`, little below 60 for a room of 220 viewers, and nothing more far beyond it.
        """
        unit = spend * 220 / self.cast.preset.viewers
        if self.laws.thresholds:
            return np.asarray(1.3 * (1 / (1 + np.exp(-(unit - 60) / 10)) - 1 / (1 + np.exp(6.0))))
        return np.log1p(unit / 60)

    def _pin(self, day: int, move: Move, rooms: Ints, lineup: Ints, pinned: Ints) -> None:
        """Pin a product for a share of the minutes of some rooms; it joins a line-up in which it is not."""
        product, blocks = move.dose["product"], np.arange(pinned.shape[1])
        for n in rooms.tolist():
            if product not in lineup[n]:
                lineup[n, -1] = product
            place = int(np.argmax(lineup[n] == product))
            more = self.draw.uniform("pinned more", day, n, blocks) < move.dose["share"]
            pinned[n] = np.where(more, place, pinned[n])

    def _lineups(self, today: Today, state: State, nth: Ints, shop: Ints, creator: Ints) -> Ints:
        """A shop shows what it sells best; a creator what contracts pay for, then what is sold in the department."""
        products, draw = self.cast.products, self.draw
        lineup = np.full((len(nth), LINEUP), -1, np.int64)
        contracts = state.contracts
        for n in nth.tolist():
            under: Ints = np.empty(0, np.int64)
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
            signed = 0.0 if shop[n] >= 0 else 1.5 * np.isin(mine, under)
            score = signed + np.log(state.pace[mine] + 0.05) + 0.7 * draw.gumbel("line-up", today.day, n, mine)
            best = mine[np.argsort(-score, kind="stable")[:LINEUP]]
            lineup[n, : len(best)] = best
        return lineup

    def viewers(self, today: Today, state: State, rooms: Rooms) -> Viewers:
        """Return who watches, for how long, and what each of them buys."""
        cast, draw, day = self.cast, self.draw, today.day
        wanted = TEMPTED * cast.preset.rooms * cast.preset.viewers / TAKES / cast.preset.customers
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
        order = np.argsort(minute, kind="stable")  # who come at about the same time choose among the same few rooms
        found = [
            self._entered(day, rooms, who[part], take[part], minute[part])
            for part in np.split(order, range(most, len(order), most))
        ]
        back = np.argsort(order)
        room, by_money, match = (np.concatenate(column)[back] for column in zip(*found, strict=True))
        kept = room >= 0
        who, take, minute = who[kept], take[kept], minute[kept]
        room, by_money, match = room[kept], by_money[kept], match[kept]
        joins = minute - rooms.start[room]
        mean = 6.0 * np.exp(0.5 * host.talent[rooms.creator[room]] + 0.25 * match)
        stay = np.ceil(mean * draw.exponential("stay", who, day, take)).astype(np.int64)
        leaves = np.minimum(joins + np.maximum(stay, 1), rooms.minutes[room])
        free = _free(who, room, minute, rooms.start[room] + leaves)
        who, take, room, by_money = who[free], take[free], room[free], by_money[free]
        joins, leaves = joins[free], leaves[free]
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
        since = np.where(claimed, np.maximum(joins, rooms.drop[room]), joins)
        when = since + (draw.uniform("live when", who, day, take) * (leaves - since)).astype(np.int64)
        when = self._while_pinned(rooms, room, since, leaves, np.maximum(chosen, 0), when)
        surface = np.searchsorted(ARRIVE, draw.uniform("live from", who, day, take))
        mine = (state.last_shop[who] == rooms.shop[room]) & (rooms.shop[room] >= 0)
        surface = np.where(mine & (draw.uniform("live from shop", who, day, take) < 0.5), STORE, surface)
        return Viewers(who, take, room, joins, leaves, by_money, claimed, surface, chosen, chances, when)

    def _entered(self, day: int, rooms: Rooms, who: Ints, take: Ints, minute: Ints) -> tuple[Ints, Bools, Array]:
        """The room that each enters, -1 for none; whether paid traffic decided it; and how well the host suits them."""
        host, ends = self.cast.creators, rooms.start + rooms.minutes
        near = np.flatnonzero((rooms.start <= minute.max()) & (ends > minute.min()))
        if not len(near):
            return np.full(len(who), -1), np.zeros(len(who), bool), np.zeros(len(who))
        creator = rooms.creator[near]
        on = (minute[:, None] >= rooms.start[near]) & (minute[:, None] < ends[near])
        match = self.cast.traits(who).taste @ host.audience[creator].T / TASTES**0.5
        plain = 0.8 * match + 0.8 * host.talent[creator] + 0.3 * np.log(host.followers[creator] / 5000)
        plain += self.draw.gumbel("which room", who[:, None], day, take[:, None], rooms.number[near][None, :])
        passes = PASSING + self.draw.gumbel("no room", who, day, take)
        total, without = np.where(on, plain + rooms.paid[near], -np.inf), np.where(on, plain, -np.inf)
        room, other, rows = np.argmax(total, axis=1), np.argmax(without, axis=1), np.arange(len(who))
        by_money = (room != other) | (without[rows, other] <= passes)
        return np.where(total[rows, room] > passes, near[room], -1), by_money, match[rows, room]

    def _claims(self, day: int, rooms: Rooms, who: Ints, take: Ints, room: Ints, joins: Ints, leaves: Ints) -> Bools:
        """Who claims the coupon: of those who are there while it can be claimed, the first to press."""
        drop = rooms.drop[room]
        there = (drop >= 0) & (drop < leaves) & (drop + OPEN > joins)
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
        lineup = rooms.lineup[room]
        safe = np.maximum(lineup, 0)
        there = (lineup >= 0) & today.there[safe]
        row, place = np.nonzero(there)
        product = lineup[row, place]
        value = worth(self.cast, today, state, Sight(traits, who, row, product), ROOM)
        attention = self._attention(rooms, room, joins, leaves)[row, place]
        value += 0.5 * self.cast.creators.talent[rooms.creator[room[row]]] + np.log(attention + 1e-9)
        price = today.price[product]
        face = np.where(claimed[row] & (price >= THRESHOLD), np.minimum(rooms.face[room[row]], 0.9 * price), 0.0)
        value += self.laws.coupon * traits.lift[row] * coupon_felt(face / price, self.laws.thresholds)
        found = np.full(lineup.shape, -np.inf)
        found[row, place] = value
        return found

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

    def _while_pinned(self, rooms: Rooms, room: Ints, since: Ints, leaves: Ints, place: Ints, when: Ints) -> Ints:
        """Move a purchase to the first minute of the stay at which its product is pinned, where it is at all."""
        blocks = rooms.pinned.shape[1]
        edge = np.arange(blocks) * PIN
        overlaps = (edge[None, :] < leaves[:, None]) & (edge[None, :] + PIN > since[:, None])
        fits = overlaps & (rooms.pinned[room] == place[:, None])
        first = np.argmax(fits, axis=1)
        moved = np.maximum(edge[first], since)
        return np.where(fits.any(axis=1), np.minimum(moved + (when - since) % PIN, leaves - 1), when)

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
            "surface": viewers.surface[row], "video": np.zeros(len(row), bool), "contract": contract,
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


def _free(who: Ints, room: Ints, minute: Ints, until: Ints) -> Bools:
    """Who can enter: nobody is in two rooms at once, nor twice in the same room of a day."""
    order = np.lexsort((minute, who))
    same, ends = who[order][1:] == who[order][:-1], until[order][:-1]
    busy = same & ((room[order][1:] == room[order][:-1]) | (minute[order][1:] < ends))
    free = np.ones(len(who), bool)
    free[order[1:][busy]] = False
    return free


def _nobody() -> Viewers:
    none, false = np.empty(0, np.int64), np.empty(0, bool)
    return Viewers(none, none, none, none, none, false, false, none, none, np.empty((0, LINEUP)), none)
