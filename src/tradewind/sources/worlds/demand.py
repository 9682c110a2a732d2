"""Demand: who comes, what is shown to them, and what they choose.

A session shows a slate of products, of which the customer takes one or nothing (`choice`). Every draw belongs to its
customer, day and slot; what is shown is drawn from fixed proposals that the day's state accepts or not (rejection
sampling), so that a change to one product changes only the slots in which it was proposed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from tradewind.sources.worlds.calendar import HOUR_EDGES
from tradewind.sources.worlds.cast import Part, Traits
from tradewind.sources.worlds.choice import Sight, Wants, coupon_worth, worth
from tradewind.sources.worlds.preset import DEPARTMENTS, SURFACES, TASTES
from tradewind.sources.worlds.state import HELD, State, Today

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

FEED, SEARCH, MALL, STORE, EXTERNAL = range(len(SURFACES))
SLOTS = 8
TRIES = 3
AD_TRIES = 6
AD_SLOT = {FEED: 3, SEARCH: 0, MALL: 2}
CARD, VIDEO = 0, 1
VIDEOS = 0.65  # share of feed slots that hold a video
OWN_EFFORT = 0.15  # what sellers themselves put into videos of a product, in the unit of creators' effort
CLICK = 0.8  # slope of clicks in utility


@dataclass(frozen=True)
class Sessions:
    """Visits of one day; arrays are [n].

    Args:
        customer: Who comes.
        visit: The customer's first, second, … visit of the day, from 0.
        surface: Where, an index into `SURFACES`.
        department: What they look for.
        sort: The category that they search for; used where they search.
        second: Second of the day.
        traits: What they are like.
    """

    customer: Ints
    visit: Ints
    surface: Ints
    department: Ints
    sort: Ints
    second: Ints
    traits: Traits

    def __len__(self) -> int:
        return len(self.customer)

    @property
    def earlier(self) -> Ints:
        """[n] the session before it of the same customer on that day, -1 for none."""
        order = np.lexsort((self.second, self.customer))
        found = np.full(len(order), -1, np.int64)
        same = np.flatnonzero(self.customer[order][1:] == self.customer[order][:-1])
        found[order[same + 1]] = order[same]
        return found

    def where(self, rows: Ints) -> Sessions:
        """Return some of the sessions."""
        traits = Traits(**{field.name: getattr(self.traits, field.name)[rows] for field in fields(Traits)})
        columns = {field.name: getattr(self, field.name)[rows] for field in fields(self) if field.name != "traits"}
        return Sessions(**columns, traits=traits)


@dataclass(frozen=True)
class Slates:
    """What each session shows; arrays are [n, SLOTS].

    Args:
        product: The product, -1 where the slot shows none.
        video: Whether it is shown in a video.
        contract: Number of the contract under which a creator shows it, -1 where the seller does.
        paid: Whether the slot was bought.
    """

    product: Ints
    video: Bools
    contract: Ints
    paid: Bools

    def where(self, rows: Ints) -> Slates:
        """Return what some of the sessions show."""
        return Slates(self.product[rows], self.video[rows], self.contract[rows], self.paid[rows])


class Demand(Part):
    """Turns a day into sessions, slates and choices."""

    def sessions(self, today: Today, state: State, customers: Ints) -> Sessions:
        """Return the visits of some customers, those who come."""
        day, draw = today.day, self.draw
        rate = self.cast.activity[customers] * today.visits * (self.cast.joins[customers] <= day)
        if today.lift is not None:
            rate = rate * np.exp(today.lift[customers])
        chance = draw.uniform("comes", customers, day)
        first = chance < -np.expm1(-rate)
        second = chance < -np.expm1(-rate) - rate * np.exp(-rate)
        who = np.concatenate([customers[first], customers[second]])
        visit = np.repeat([0, 1], [int(first.sum()), int(second.sum())])
        order = np.lexsort((visit, who))
        who, visit = who[order], visit[order]
        traits = self.cast.traits(who)
        surface = np.argmax(traits.surfaces + self._gumbels("surface", who, day, visit, len(SURFACES)), axis=1)
        surface = np.where((surface == STORE) & (state.last_shop[who] < 0), MALL, surface)
        near = 1.1 * traits.taste @ self.cast.departments.T / TASTES**0.5
        near += 0.6 * np.minimum(state.habit[who], 2.0)
        department = np.argmax(near + self._gumbels("department", who, day, visit, len(DEPARTMENTS)), axis=1)
        each = len(self.cast.sorts) // len(DEPARTMENTS)
        sort = department * each + draw.below(each, "sort", who, day, visit)
        hour = np.searchsorted(HOUR_EDGES, draw.uniform("hour", who, day, visit))
        hour = np.mod(np.minimum(hour, 23) + traits.late, 24)
        second_of = hour * 3600 + draw.below(3600, "second", who, day, visit)
        return Sessions(who, visit, surface, department, sort, second_of, traits)

    def _gumbels(self, stream: str, who: Ints, day: int, visit: Ints, count: int) -> Array:
        return self.draw.gumbel(stream, who[:, None], day, visit[:, None], np.arange(count)[None, :])

    def slates(self, today: Today, state: State, sessions: Sessions) -> Slates:
        """Return what each session shows."""
        count = len(sessions)
        product = np.full((count, SLOTS), -1, np.int64)
        paid = np.zeros((count, SLOTS), bool)
        for surface in range(len(SURFACES)):
            at = np.flatnonzero(sessions.surface == surface)
            slots = self.laws.slots[surface]
            if len(at):
                product[at, :slots] = self._shown(today, state, sessions, at, surface, slots)
                if surface in AD_SLOT:
                    bought = self._bought(today, sessions, at, surface)
                    slot = AD_SLOT[surface]
                    product[at, slot] = np.where(bought >= 0, bought, product[at, slot])
                    paid[at, slot] = bought >= 0
        again = np.zeros_like(paid)
        for slot in range(1, SLOTS):
            again[:, slot] = (product[:, :slot] == product[:, slot : slot + 1]).any(axis=1)
        product[again] = -1
        video = self._videos(today, sessions)
        contract = self._contracts(today, state, sessions, product, video)
        missing = (sessions.surface == EXTERNAL)[:, None] & (contract < 0)  # outside, creators only show
        product[missing] = -1
        return Slates(product, video, contract, paid & (product >= 0))

    def _shown(self, today: Today, state: State, sessions: Sessions, at: Ints, surface: int, slots: int) -> Ints:
        """Propose products for each slot a few times over, and show the first that the day accepts."""
        keys = (
            sessions.customer[at][:, None, None], today.day, sessions.visit[at][:, None, None],
            np.arange(slots)[None, :, None], np.arange(TRIES)[None, None, :],
        )  # fmt: skip
        first, second = self.draw.uniform("proposal", *keys), self.draw.uniform("alias", *keys)
        urn, group = {
            FEED: (self.cast.by_department, sessions.department),
            SEARCH: (self.cast.by_sort, sessions.sort),
            MALL: (self.cast.by_department, sessions.department),
            STORE: (self.cast.by_shop, np.maximum(state.last_shop[sessions.customer], 0).astype(np.int64)),
            EXTERNAL: (self.cast.by_department, sessions.department),
        }[surface]
        proposed = urn.draw(np.broadcast_to(group[at][:, None, None], first.shape), first, second)
        accepted = {FEED: today.feed, MALL: today.mall, EXTERNAL: today.feed}.get(surface)
        chance = today.there[proposed] * today.surfaces[surface]
        if accepted is not None:
            chance = chance * accepted[proposed]
        if surface in (FEED, EXTERNAL):
            chance = np.minimum(chance * (1 + today.making[proposed]), 1.0)
        taken = (self.draw.uniform("accepted", *keys) < chance) & (proposed >= 0)
        where = np.argmax(taken, axis=2)
        found = np.take_along_axis(proposed, where[:, :, None], axis=2)[:, :, 0]
        return np.where(taken.any(axis=2), found, -1)

    def _bought(self, today: Today, sessions: Sessions, at: Ints, surface: int) -> Ints:
        """The product in the advertising slot, -1 where nobody bought it."""
        keys = (sessions.customer[at][:, None], today.day, sessions.visit[at][:, None], np.arange(AD_TRIES)[None, :])
        urn, group = (
            (self.cast.by_sort, sessions.sort) if surface == SEARCH else (self.cast.by_department, sessions.department)
        )
        first, second = self.draw.uniform("ad", *keys), self.draw.uniform("ad alias", *keys)
        proposed = urn.draw(np.broadcast_to(group[at][:, None], first.shape), first, second)
        chance = today.advertised[proposed] * today.there[proposed]
        taken = (self.draw.uniform("ad accepted", *keys) < chance) & (proposed >= 0)
        found = np.take_along_axis(proposed, np.argmax(taken, axis=1)[:, None], axis=1)[:, 0]
        return np.where(taken.any(axis=1), found, -1)

    def _videos(self, today: Today, sessions: Sessions) -> Bools:
        keys = (sessions.customer[:, None], today.day, sessions.visit[:, None], np.arange(SLOTS)[None, :])
        video = self.draw.uniform("video", *keys) < VIDEOS
        return np.asarray(np.where((sessions.surface == FEED)[:, None], video, (sessions.surface == EXTERNAL)[:, None]))

    def _contracts(self, today: Today, state: State, sessions: Sessions, product: Ints, video: Bools) -> Ints:
        """Who shows each video: a creator in proportion to effort, or the seller."""
        contract = np.full(product.shape, -1, np.int64)
        row, slot = np.nonzero(video & (product >= 0))
        if not len(row) or not len(today.effort):
            return contract
        order = np.argsort(state.contracts["product"], kind="stable")
        owner, effort = state.contracts["product"][order], today.effort[order]
        edges = np.concatenate([[0.0], np.cumsum(effort)])
        wanted = product[row, slot]
        first, last = np.searchsorted(owner, wanted), np.searchsorted(owner, wanted, side="right")
        total = edges[last] - edges[first]
        pick = self.draw.uniform("whose video", sessions.customer[row], today.day, sessions.visit[row], slot)
        place = edges[first] + pick * (total + OWN_EFFORT)
        at = np.minimum(np.searchsorted(edges, place, side="right") - 1, len(order) - 1)
        contract[row, slot] = np.where(place < edges[last], order[at], -1)
        return contract

    def decided(self, today: Today, state: State, sessions: Sessions, slates: Slates) -> tuple[Wants, Ints]:
        """Return what each product shown is worth, and the slot that each session chooses, -1 for nothing.

        Who comes twice has no coupon left that the first order of the day used.
        """
        wants = self.wants(today, state, sessions, slates)
        chosen = self.choices(today, sessions, slates, wants)
        before = sessions.earlier
        used = np.where(chosen >= 0, wants.coupon[np.arange(len(chosen)), chosen], -1)[before]
        used = np.where(before >= 0, used, -1)
        again = np.flatnonzero((used >= 0) & (wants.coupon == used[:, None]).any(axis=1))
        if len(again):
            sessions, slates = sessions.where(again), slates.where(again)
            without = self.wants(today, state, sessions, slates, used[again])
            wants.utility[again], wants.coupon[again] = without.utility, without.coupon
            chosen[again] = self.choices(today, sessions, slates, without)
        return wants, chosen

    def wants(self, today: Today, state: State, sessions: Sessions, slates: Slates, used: Ints | None = None) -> Wants:
        """Return what each product shown is worth to whom it is shown.

        Args:
            today: The day.
            state: The state.
            sessions: The visits.
            slates: What they show.
            used: [n] number of a coupon that is used up, -1 for none.
        """
        laws, products, traits, who = self.laws, self.cast.products, sessions.traits, sessions.customer
        row, slot = np.nonzero(slates.product >= 0)
        shown = slates.product[row, slot]
        value = worth(self.cast, today, state, Sight(traits, who, row, shown))
        value += laws.loyalty * (state.last_shop[who[row]] == products.shop[shown])
        contract = slates.contract[row, slot]
        by = state.contracts["creator"][contract] if len(state.contracts) else np.zeros(len(contract), int)
        value += np.where(contract >= 0, self.cast.creators.persuasion[by], 0.0)
        gone = np.full(len(row), -1) if used is None else used[row]
        gain, coupon = self._coupons(today, state, who[row], shown, gone, traits.lift[row], traits.kind[row])
        utility = np.full(slates.product.shape, -np.inf)
        utility[row, slot] = value + gain
        coupons = np.full(slates.product.shape, -1, np.int64)
        coupons[row, slot] = coupon
        return Wants(utility, np.array(laws.outside)[sessions.surface], coupons)

    def _coupons(
        self, today: Today, state: State, who: Ints, product: Ints, gone: Ints, lift: Array, kind: Ints
    ) -> tuple[Array, Ints]:
        """Utility of the best coupon that each customer holds for a product, and its number, -1 for none."""
        gain, best = np.zeros(len(who)), np.full(len(who), -1, np.int64)
        if not len(state.coupons):
            return gain, best
        price, shop = today.price[product], self.cast.products.shop[product]
        face_of = np.zeros(len(who))
        for place in range(HELD):
            number = state.held[who, place].astype(np.int64)
            safe = np.maximum(number, 0)
            coupons = state.coupons
            fits = (
                (number >= 0)
                & (number != gone)
                & (state.until[who, place] >= today.day)
                & (coupons["starts"][safe] <= today.day)
            )
            fits &= (coupons["shop"][safe] < 0) | (coupons["shop"][safe] == shop)
            fits &= price >= coupons["threshold"][safe]
            face = np.where(fits, np.minimum(coupons["face"][safe], 0.9 * price), 0.0)
            better = face > face_of
            best, face_of = np.where(better, number, best), np.where(better, face, face_of)
        gain = np.where(best >= 0, coupon_worth(self.laws, lift, kind, face_of / price), 0.0)
        return gain, best

    def choices(self, today: Today, sessions: Sessions, slates: Slates, wants: Wants) -> Ints:
        """Return the slot that each session chooses, -1 for nothing."""
        keys = (sessions.customer[:, None], today.day, sessions.visit[:, None])
        luck = self.draw.gumbel("luck", *keys, slates.product + 1)
        outside = self.draw.gumbel("luck", sessions.customer, today.day, sessions.visit, 0) + wants.outside
        total = wants.utility + luck
        best = np.argmax(total, axis=1)
        return np.where(total[np.arange(len(best)), best] > outside, best, -1)

    def clicks(self, today: Today, sessions: Sessions, slates: Slates, wants: Wants, chosen: Ints) -> Bools:
        """Return which of the products shown are clicked; what is chosen always is."""
        middle = np.array(self.laws.click)[sessions.surface][:, None]
        keys = (sessions.customer[:, None], today.day, sessions.visit[:, None], slates.product + 1)
        chance = 1 / (1 + np.exp(-CLICK * (wants.utility - middle)))
        clicked = (self.draw.uniform("click", *keys) < chance) & (slates.product >= 0)
        clicked[np.flatnonzero(chosen >= 0), chosen[chosen >= 0]] = True
        return np.asarray(clicked)
