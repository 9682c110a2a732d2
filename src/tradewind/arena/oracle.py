"""Oracle: choosing by the truth, and the best that could be learnt of it from what anybody can see."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from tradewind.arena.launch import moves
from tradewind.arena.offer import BUDGETS, COUPON_DAYS, COUPONS, DAYS, EFFORTS, OFF, RATES, Offer
from tradewind.arena.policies import best
from tradewind.sources.worlds.marginal import Doses, Worths, marginal
from tradewind.sources.worlds.truth import compared
from tradewind.sources.worlds.world import World
from tradewind.study import Choice, Estimate, Lever

Array = NDArray[np.float64]
Values = dict[tuple[int, int], float]

FOLDS = 5
NAMES = {
    Lever.PRICE: "price", Lever.LISTING: "listing", Lever.TRAFFIC: "traffic", Lever.COMMISSION: "commission",
    Lever.COUPON: "coupon", Lever.OUTREACH: "outreach",
}  # fmt: skip


class Oracle:
    """Knows what each setting of an offer is truly worth.

    The worth of each setting comes in closed form (`worlds.marginal`), to the first order. What follows later and from
    many actions at once is taken in lever by lever: the settings that would be chosen are run in a future that is not
    scored, and all worths of the lever are scaled to what that showed.

    Args:
        world: The world at the moment of the offer.
        offer: What can be done.
        futures: Futures that closed forms are averaged over.

    Attributes:
        first: What each setting of each action is worth to the first order, by number of action and place in its menu.
    """

    def __init__(self, world: World, offer: Offer, futures: int = 2):
        self.world, self.offer = world, offer
        doses = Doses(OFF, COUPONS, COUPON_DAYS, RATES, BUDGETS, EFFORTS)
        self._worths = marginal(world, doses, DAYS, futures)
        self._number = {
            "product": np.array([int(name[1:]) for name in offer.products.ids], np.int64),
            "customer": np.array([int(name[1:]) for name in offer.customers.ids], np.int64),
        }
        self._numbers = {action.key: n for n, action in enumerate(offer.actions)}
        self.first = self._by_setting({lever: self._units(lever) for lever in NAMES})

    @cached_property
    def scale(self) -> dict[Lever, float]:
        """By how much closed forms overstate each lever, when its best settings are pulled together: from 0 to 1.5."""
        chosen = best(self.offer, sure(self.first))
        by_lever = {lever: some for lever in NAMES if (some := [c for c in chosen if c.action.lever == lever])}
        plans = [moves(self.world, some) for some in by_lever.values()]
        effects = compared(self.world, plans, DAYS, futures=(2_001,))
        found = dict.fromkeys(NAMES, 1.0)
        for (lever, some), effect in zip(by_lever.items(), effects, strict=True):
            told = sum(choice.setting.joint.mid for choice in some if choice.setting.joint)
            found[lever] = float(np.clip(effect.joint / told, 0.0, 1.5)) if told > 0 else 1.0
        return found

    @cached_property
    def values(self) -> Values:
        """What each setting of each action is worth."""
        return self._scaled(self.first)

    def _scaled(self, values: Values) -> Values:
        return {key: value * self.scale[self._lever(key)] for key, value in values.items()}

    def _units(self, lever: Lever) -> Array:
        """Joint worth of each setting for each product or customer of the offer: [units, settings]."""
        worths: Array = getattr(self._worths, NAMES[lever]).sum(axis=2)
        who = "customer" if lever in (Lever.COUPON, Lever.OUTREACH) else "product"
        return np.asarray(worths[self._number[who]])

    def _lever(self, key: tuple[int, int]) -> Lever:
        return self.offer.actions[key[0]].lever

    def _by_setting(self, units: Mapping[Lever, Array]) -> Values:
        """What each setting of each action is worth, from what it is worth for each unit."""
        offer, found = self.offer, {}
        segments = {
            lever: np.stack([np.bincount(offer.segment, column) for column in units[lever].T], axis=1)
            for lever in (Lever.COUPON, Lever.OUTREACH)
        }
        for n, place, setting in offer.settings():
            lever, unit = offer.actions[n].lever, offer.unit[n]
            if lever in segments:
                found[n, place] = float(segments[lever][unit, place])
            else:
                column = RATES.index(setting.dose["rate"]) if lever == Lever.COMMISSION else place
                found[n, place] = float(units[lever][unit, column])
        return found

    def worth(self, choice: Choice) -> float:
        """Return what a setting on offer is worth to the first order."""
        return self.first[self._numbers[choice.action.key], choice.place]

    def oracle(self) -> list[Choice]:
        """Choose by what each setting is truly worth."""
        return best(self.offer, sure(self.values))

    def learnable(self, seed: int) -> list[Choice]:
        """Choose by the best guess of the truth from what can be seen (`guess`)."""
        return best(self.offer, sure(self._scaled(self.guess(seed))))

    def guess(self, seed: int) -> Values:
        """Return the best guess of `first` from what can be seen.

        The true worth of each product's and customer's settings is regressed on all that is known of it, by boosting,
        each fold predicted from the others: what is left out is the hidden state that no data of this kind could show.
        """
        units = {}
        for lever in NAMES:
            of_customers = lever in (Lever.COUPON, Lever.OUTREACH)
            known = self.offer.customers if of_customers else self.offer.products
            units[lever] = guessed(known.matrix(), self._units(lever), seed)
        return self._by_setting(units)


def guessed(seen: Array, worth: Array, seed: int) -> Array:
    """Return what is seen's best guess of each column of worths, each row guessed from the other folds.

    Args:
        seen: [n, features].
        worth: [n, settings].
        seed: Draws the folds.
    """
    fold = np.random.default_rng(seed).permutation(len(seen)) % FOLDS
    found = np.zeros_like(worth)
    options = {
        "objective": "regression", "learning_rate": 0.06, "num_leaves": 15, "min_data_in_leaf": 40, "verbosity": -1,
        "deterministic": True, "force_row_wise": True, "seed": seed, "num_threads": 1,
    }  # fmt: skip
    for column in range(worth.shape[1]):
        for part in range(FOLDS):
            mine, others = fold == part, fold != part
            model = lgb.train(options, lgb.Dataset(seen[others], worth[others, column]), num_boost_round=120)
            found[mine, column] = model.predict(seen[mine])
    return found


def sure(values: Values) -> dict[tuple[int, int], Estimate]:
    """Return values as estimates without any doubt."""
    return {key: Estimate(value, value, value) for key, value in values.items()}


__all__ = ["Oracle", "Worths", "guessed"]
