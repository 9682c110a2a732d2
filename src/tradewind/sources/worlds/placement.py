"""Placement: what a further impression of each product is worth, and how many more of them money and creators bring.

What a product would bring in the slot of another is worked out for a sample of each day's sessions and every product
of the department (or of the category searched for), by the logit; how often it would stand there follows from how slots
are filled: up to `AD_TRIES` proposals by fame, of which the first that is accepted is shown.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tradewind.sources.worlds.cast import EACH, FAME
from tradewind.sources.worlds.choice import Sight, worth
from tradewind.sources.worlds.conduct import IMPRESSION_COST
from tradewind.sources.worlds.demand import AD_SLOT, AD_TRIES, FEED, MALL, OWN_EFFORT, SEARCH
from tradewind.sources.worlds.payoff import Payoff
from tradewind.sources.worlds.preset import DEPARTMENTS, SORTS
from tradewind.sources.worlds.state import Today
from tradewind.sources.worlds.trade import PARTIES
from tradewind.sources.worlds.world import Shown, World

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

MERCHANT, PLATFORM, CREATOR = PARTIES.index("merchant"), PARTIES.index("platform"), PARTIES.index("creator")
SAMPLE = 24  # sessions of a department, surface and day for which every product is tried


class Placement:
    """Watches what stands in slots, and what else could.

    Args:
        world: The world, as it goes on.
        payoff: What orders are worth.
        budgets: Advertising a day that is asked for.
        rates: Commission rates that are asked for.
    """

    def __init__(self, world: World, payoff: Payoff, budgets: Sequence[float], rates: Sequence[float]):
        self.world, self.payoff, self.budgets, self.rates = world, payoff, budgets, rates
        products, count = world.cast.products, len(world.cast.products.price)
        self.groups = {
            FEED: (products.department, len(DEPARTMENTS)), MALL: (products.department, len(DEPARTMENTS)),
            SEARCH: (products.sort, len(SORTS)),
        }  # fmt: skip
        fame = np.exp(FAME * products.appeal)
        self.fame = {
            surface: fame / np.bincount(group, fame, size)[group] for surface, (group, size) in self.groups.items()
        }
        self.value = {surface: np.zeros((count, len(PARTIES))) for surface in self.groups}
        self.tried = {surface: np.zeros(count) for surface in self.groups}
        self.extra = {surface: np.zeros((count, len(budgets))) for surface in self.groups}
        self.noticed, self.takings = np.zeros(count), np.zeros(count)
        self.video_worth = np.zeros((count, len(PARTIES)))
        contracts, day = world.state.contracts, world.state.day
        self.live = np.flatnonzero((contracts["starts"] <= day) & (contracts["ends"] >= day))
        self._of = {name: column[self.live].copy() for name, column in contracts.columns.items()}
        self._first: Today | None = None

    def shown(self, today: Today, block: Shown, chance: Array, worths: Array, whole: Array) -> None:
        """Take one block of a day's sessions.

        Args:
            today: The day.
            block: The sessions.
            chance: [m] chance of each product shown, in the order of `numpy.nonzero` over the slates.
            worths: [m, parties] what an order of it is worth.
            whole: [n, parties] what each session is worth.
        """
        self._first = self._first or today
        sessions, slates = block.sessions, block.slates
        row, slot = np.nonzero(slates.product >= 0)
        product = slates.product[row, slot]
        count = len(self.noticed)
        feed = (sessions.surface[row] == FEED) & ~slates.paid[row, slot]
        self.noticed += np.bincount(product[feed], minlength=count)
        video = slates.video[row, slot]
        for n in range(len(PARTIES)):
            self.video_worth[:, n] += np.bincount(product[video], (chance * worths[:, n])[video], count)
        by_creator = slates.contract[row, slot] >= 0
        sold = chance * today.price[product] * (1 - self.payoff.back[product])
        self.takings += np.bincount(product[by_creator], sold[by_creator], count)
        place = np.full(slates.product.shape, -1)
        place[row, slot] = np.arange(len(row))
        nothing: Array = 1 - np.bincount(row, chance, len(sessions)).astype(np.float64)
        none = np.full(count, -1)
        alone = self.payoff.of(today, np.arange(count), none, none)
        for surface, (_, size) in self.groups.items():
            wanted = sessions.sort if surface == SEARCH else sessions.department
            at = np.flatnonzero(sessions.surface == surface)
            self._count(today, surface, np.bincount(wanted[at], minlength=size))
            for group in range(size):
                mine = at[wanted[at] == group][: max(1, SAMPLE // (EACH if surface == SEARCH else 1))]
                there = np.flatnonzero((self.groups[surface][0] == group) & today.there)
                if len(mine) and len(there):
                    stands = place[mine, AD_SLOT[surface]]
                    gains = self._tried(today, block, mine, there, (nothing, chance, worths, whole), stands, alone)
                    self.value[surface][there] += gains.sum(axis=0)
                    self.tried[surface][there] += len(mine)

    def _tried(
        self, today: Today, block: Shown, mine: Ints, there: Ints, slate: tuple[Array, Array, Array, Array],
        stands: Ints, alone: Array,
    ) -> Array:  # fmt: skip
        """What each product would bring in some sessions in the place of what stands there: [n, products, parties]."""
        nothing, chance, worths, whole = slate
        world, sessions = self.world, block.sessions
        who = np.repeat(mine, len(there))
        item = np.tile(there, len(mine))
        value = worth(world.cast, today, world.state, Sight(sessions.traits, sessions.customer, who, item))
        bought_there = world.state.last_shop[sessions.customer[who]] == world.cast.products.shop[item]
        value += world.preset.laws.loyalty * bought_there - block.wants.outside[who]
        odds = np.exp(value).reshape(len(mine), len(there))
        left, gone = 1 / nothing[mine], np.where(stands >= 0, chance[stands], 0.0)
        rest = whole[mine] - np.where(stands >= 0, gone, 0.0)[:, None] * worths[stands]
        top = rest[:, None, :] * left[:, None, None] + odds[:, :, None] * alone[there][None, :, :]
        bottom = (left * (1 - gone))[:, None] + odds
        shown_already = (block.slates.product[mine][:, None, :] == there[None, :, None]).any(axis=2)
        gain = top / bottom[:, :, None] - whole[mine][:, None, :]
        return np.where(shown_already[:, :, None], 0.0, gain)

    def _count(self, today: Today, surface: int, sessions: Ints) -> None:
        """Add how many more slots of a surface each budget fills today."""
        group, size = self.groups[surface]
        fame = self.fame[surface] * today.there
        now = today.advertised
        taken: Array = np.bincount(group, fame * now, size).astype(np.float64)[group]
        plain = fame * now * _reached(taken)
        for n, budget in enumerate(self.budgets):
            then = self.world.conduct.advertised(self.world.state.budget + budget)
            more = fame * then * _reached(taken + fame * (then - now)) - plain
            self.extra[surface][:, n] += sessions[group] * more

    def worths(self) -> tuple[Array, Array]:
        """Return what budgets and commission rates bring: [products, settings, parties] each."""
        each = {surface: self.value[surface] / np.maximum(self.tried[surface], 1)[:, None] for surface in self.groups}
        traffic: Array = sum(
            (self.extra[surface][:, :, None] * each[surface][:, None, :] for surface in self.groups),
            np.zeros((len(self.noticed), len(self.budgets), len(PARTIES))),
        )
        bought = sum(self.extra.values(), np.zeros((len(self.noticed), len(self.budgets))))
        traffic[:, :, MERCHANT] -= IMPRESSION_COST * bought
        traffic[:, :, PLATFORM] += IMPRESSION_COST * bought
        return traffic, self._commissions(each[FEED])

    def _commissions(self, each: Array) -> Array:
        """What a rate brings: creators' effort for the product, less what they take from their other contracts."""
        found = np.zeros((len(self.noticed), len(self.rates), len(PARTIES)))
        if self._first is None or not len(self.live):
            return found
        conduct, creators, of = self.world.conduct, self.world.cast.creators, self._of
        product, creator = of["product"], of["creator"]
        price, making = self._first.price[product], self._first.making
        per_effort = 0.5 * creators.makes[creator]
        extra = self.noticed / (1 + making)  # impressions for each unit of making
        drive = conduct.drive(of["rate"], price, of["match"]) * (self._first.there[product])
        total = np.bincount(creator, drive, len(creators.hours)) + 1.0
        hours = creators.hours[creator]
        effort = hours * drive / total[creator]
        brings = (per_effort * extra[product])[:, None] * each[product]  # worth of one unit of effort
        all_of = np.stack(
            [np.bincount(creator, effort * brings[:, n], len(creators.hours)) for n in range(len(PARTIES))], axis=1
        )
        others = all_of[creator] - effort[:, None] * brings
        whole = np.bincount(product, effort, len(self.noticed))
        told = np.bincount(product, effort * (np.exp(creators.persuasion[creator]) - 1), len(self.noticed))
        pays = np.bincount(product, effort * of["rate"], len(self.noticed)) / np.maximum(whole, 1e-12)
        for n, rate in enumerate(self.rates):
            then = conduct.drive(np.full(len(drive), rate), price, of["match"]) * (drive > 0)
            ratio = total[creator] / (total[creator] + then - drive)
            more = hours * then / total[creator] * ratio - effort
            gain = more[:, None] * brings + (ratio - 1)[:, None] * others
            for party in range(len(PARTIES)):
                found[:, n, party] = np.bincount(product, gain[:, party], len(self.noticed))
            grown = whole + np.bincount(product, more, len(self.noticed))
            shift = grown / (grown + OWN_EFFORT) - whole / (whole + OWN_EFFORT)
            found[:, n] += (shift * told / np.maximum(whole, 1e-12))[:, None] * self.video_worth
            moved = self.takings * (rate - pays) * (whole > 0)
            found[:, n, MERCHANT] -= moved
            found[:, n, CREATOR] += moved
        return found


def _reached(taken: Array) -> Array:
    """How many of up to `AD_TRIES` proposals are looked at, where each is taken with a chance and the first stays."""
    safe = np.clip(taken, 1e-9, 1.0)
    return np.asarray((1 - (1 - safe) ** AD_TRIES) / safe)
