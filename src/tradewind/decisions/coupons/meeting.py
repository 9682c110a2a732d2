"""Meeting: what one coupon is expected to do with each customer while it runs, and what that sums to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.coupons.record import PARTIES
from tradewind.decisions.coupons.teaching import Follow, Looks
from tradewind.decisions.coupons.worth import DEEP, HELD, Background, Terms, Worth
from tradewind.methods.lift import LiftFit, base_of
from tradewind.study import Party

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class People:
    """What is known of customers now; arrays are [customers].

    Args:
        features: [customers, p] features.
        kind: Kind by what they usually spend.
        rate: Orders that they are expected to make on an ordinary day, as the marketplace runs.
        chance: Chance to be given each of the marketplace's own coupons.
    """

    features: Array
    kind: Ints
    rate: Array
    chance: Array


@dataclass(frozen=True)
class Audience:
    """What a coupon is expected to do among some customers.

    Args:
        sums: [payers, k] by how much the gain of each party grows with each coefficient of the lift.
        still: [parties] gain of each party if the coupon changes nobody's mind: below zero for who pays.
        later: [parties] gain of each party from as many later orders as it brings now.
        small: [parties] gain of each party from as many orders too small for it.
        orders: Orders that come anyway.
        brought: Orders that it brings.
        cost: Face value of all coupons used.
        anyway: Face value of coupons used on orders that come anyway.
        used: Orders on which it is used.
        gmv: Their value.
        more: By how much more all parties gain together for each unit by which an assumed margin is larger.
    """

    sums: Array
    still: Array
    later: Array
    small: Array
    orders: float
    brought: float
    cost: float
    anyway: float
    used: float
    gmv: float
    more: float

    def of(self, party: int | slice) -> tuple[Array, float, float, float]:
        """Return what the gain of a party, or of several together, is made of: sums, still, later and small."""
        one = [party] if isinstance(party, int) else range(len(self.still))[party]
        rows = list(one)
        return (
            self.sums[rows].sum(axis=0), float(self.still[rows].sum()), float(self.later[rows].sum()),
            float(self.small[rows].sum()),
        )  # fmt: skip


@dataclass(frozen=True)
class Effect:
    """What coupons do.

    Args:
        looks: How features enter the lift.
        fit: The lift.
        later: Later orders for each that a coupon brings.
        small: Orders too small for it for each that it brings.
        use: Share of the orders that a coupon fits on which it is used.
    """

    looks: Looks
    fit: LiftFit
    later: Follow
    small: Follow
    use: float


class Meeting:
    """What one coupon does with each customer; all arrays are [customers].

    Of orders that come anyway, those that the coupon fits, and no better one is held for, rise by its lift. A coupon
    can be used once: the more orders a customer makes, the sooner it is gone.

    Args:
        people: The customers.
        worth: What orders bring.
        terms: What the coupon meets in orders.
        others: Coupons that are held anyway.
        effect: What coupons do.
        days: Days for which the coupon can be used, in ordinary ones that bring as many orders.
    """

    def __init__(self, people: People, worth: Worth, terms: Terms, others: Background, effect: Effect, days: float):
        looks, fit, self._effect = effect.looks, effect.fit, effect
        self.people, self.looks = people, looks
        place = others.held(people.chance) * (len(HELD) - 1)
        self._low = np.minimum(place.astype(np.int64), len(HELD) - 2)
        self._rest = place - self._low
        flat, deep = looks.parts(people.features, fit.coefficients)
        usual = _usual(worth, others)
        base = base_of(people.rate * days, others.held(people.chance) * (usual[0] * flat + usual[1] * deep))
        fits, fits_deep = self._at(terms.eligible), self._at(terms.eligible_deep)
        uses = base * np.maximum(fits * (1 + flat) + fits_deep * deep, 0.0)
        lasts = np.where(uses > 1e-9, -np.expm1(-uses) / np.maximum(uses, 1e-9), 1.0)
        weight = base * lasts
        self.orders = base
        self.used = uses * lasts
        rise, rise_deep = weight * self._at(terms.rise), weight * self._at(terms.rise_deep)
        self.brought = rise * flat + rise_deep * deep
        self.face, self.face_deep = weight * self._at(terms.face), weight * self._at(terms.face_deep)
        self.spared = weight * self._at(terms.spared)
        value = self._at(terms.value) * (1 + flat) + self._at(terms.value_deep) * deep
        self.gmv = weight * np.maximum(value, 0.0)
        self.cost = np.maximum(self.face * (1 + flat) + self.face_deep * deep, 0.0)
        self.flat = np.stack([weight * self._at(table) for table in terms.flat])  # [parties, customers]
        self.deep = np.stack([weight * self._at(table) for table in terms.deep])
        self.small = np.stack([table[people.kind] for table in terms.small])
        self.small_flat, self.small_deep = self.small * rise, self.small * rise_deep
        more = weight * (self._at(terms.priced) * flat + self._at(terms.priced_deep) * deep)
        less = terms.priced_small[people.kind] * (rise * flat + rise_deep * deep)
        self.more = (1 + self._effect.later.mid) * more + self._effect.small.mid * less
        self._lift = (flat, deep)

    def among(self, who: Ints, shares: Array) -> Audience:
        """Return what it does among some customers.

        Args:
            who: [n] the customers.
            shares: [parties] share of the coupon that each party pays.
        """
        line = (self.people.features[who] - self.looks.centre) / self.looks.scale
        flat, deep = self._lift[0][who], self._lift[1][who]
        sums, still, later, small = [], [], [], []
        none = np.zeros(len(who))
        for n, share in enumerate(shares):
            now = [self.flat[n][who], self.deep[n][who]]
            less = [self.small_flat[n][who], self.small_deep[n][who]]
            saved = self.spared[who] if PARTIES[n] == Party.PLATFORM else none
            by_flat, by_deep = (
                (1 + self._effect.later.mid) * now[k] + self._effect.small.mid * less[k] for k in (0, 1)
            )
            by_flat = by_flat - share * self.face[who] + saved
            by_deep = by_deep - share * self.face_deep[who]
            cells = self.looks.by_cell(self.people.features[who], by_deep)
            sums.append(np.concatenate([[by_flat.sum(), by_deep.sum()], by_flat @ line, by_deep @ line, cells]))
            still.append(float(np.sum(saved - share * self.face[who])))
            later.append(float((now[0] * flat + now[1] * deep).sum()))
            small.append(float((less[0] * flat + less[1] * deep).sum()))
        return Audience(
            np.stack(sums), np.array(still), np.array(later), np.array(small), float(self.orders[who].sum()),
            float(self.brought[who].sum()), float(self.cost[who].sum()), float(self.face[who].sum()),
            float(self.used[who].sum()), float(self.gmv[who].sum()), float(self.more[who].sum()),
        )  # fmt: skip

    def _at(self, table: Array) -> Array:
        """Read a table [kinds, held] for customers, between the chances of holding another coupon."""
        kind = self.people.kind
        return np.asarray(table[kind, self._low] * (1 - self._rest) + table[kind, self._low + 1] * self._rest)


def _usual(worth: Worth, others: Background) -> tuple[float, float]:
    """On what share of all orders the coupons that are held anyway tell, and how deep they are there."""
    points = np.maximum(worth.points, 0.01)
    flat = deep = 0.0
    for face, least, weight in zip(others.face, others.threshold, others.weight, strict=True):
        fits = points >= least
        flat += float(weight * fits.mean())
        deep += float(weight * (fits * np.minimum(face / points, 1.0)).mean()) / DEEP
    return flat, deep
