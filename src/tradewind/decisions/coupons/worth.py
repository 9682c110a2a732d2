"""Worth: what orders of each size bring to each party, and what a coupon of some terms meets in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradewind.decisions.coupons.past import Past
from tradewind.decisions.coupons.record import PARTIES, Record

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

POINTS = 240  # order values that stand for those of a kind of customer
SIZES = 20  # groups of orders by value whose profit is counted
QUARTERS = (0.25, 0.5, 0.75)
FEWEST = 100  # orders that a kind of customer needs for a distribution of its own
DEEP = 0.2
"""Depth of a coupon, face over order value, that counts as one in the regression."""


@dataclass(frozen=True)
class Background:
    """Coupons that customers will hold anyway: terms, how much of the time each runs, and how many run at once.

    Args:
        face: [b] face values.
        threshold: [b] thresholds.
        weight: [b] share of each among those that run, summing to 1.
        at_once: How many run at the same time, on average.
    """

    face: Array
    threshold: Array
    weight: Array
    at_once: float

    def held(self, chance: Array) -> Array:
        """Return the chance [n] of holding one at a time, from the chance [n] of being given each."""
        return np.asarray(1 - (1 - np.clip(chance, 0.0, 1.0)) ** self.at_once)


@dataclass(frozen=True)
class Terms:
    """What a coupon meets in the orders of kinds of customers; arrays [kinds, held], by the chance of other coupons.

    Per order that would come without any coupon.

    Args:
        flat: [parties, kinds, held] profit of orders on which the coupon tells, weighted by 1.
        deep: [parties, kinds, held] the same weighted by how much deeper the coupon is than what is held.
        small: [parties, kinds] profit of an order too small for it; 0 where none is.
        rise: [kinds, held] share of orders on which it tells.
        rise_deep: [kinds, held] the same weighted by how much deeper it is than what is held.
        eligible: [kinds, held] share of orders on which it is the best coupon.
        eligible_deep: [kinds, held] the same weighted by depth.
        face: [kinds, held] face value taken off, over all orders.
        face_deep: [kinds, held] the same weighted by depth.
        spared: [kinds, held] face value of weaker coupons that it replaces.
        value: [kinds, held] value of orders on which it is used.
        value_deep: [kinds, held] the same weighted by depth.
        priced: [kinds, held] what a margin of 1 would leave of orders on which it tells, see `Orders`.
        priced_deep: [kinds, held] the same weighted by how much deeper it is.
        priced_small: [kinds] the same of an order too small for it.
    """

    flat: Array
    deep: Array
    small: Array
    rise: Array
    rise_deep: Array
    eligible: Array
    eligible_deep: Array
    face: Array
    face_deep: Array
    spared: Array
    value: Array
    value_deep: Array
    priced: Array
    priced_deep: Array
    priced_small: Array


HELD = np.linspace(0.0, 1.0, 11)
"""Chances of holding another coupon for which terms are computed; between them they are interpolated."""


class Worth:
    """Knows the values of orders by kind of customer, and what orders of a value bring.

    Customers are of a kind by what they usually spend: none yet, or one of four quarters.

    Args:
        record: What is known.
        past: The same, by moment.
    """

    def __init__(self, record: Record, past: Past):
        orders = record.orders
        usual = past.usual(orders.customer, orders.at)
        known = usual[np.isfinite(usual)]
        self.edges = np.quantile(known, QUARTERS) if len(known) else np.zeros(len(QUARTERS))
        kind = self.kind(usual)
        levels = (np.arange(POINTS) + 0.5) / POINTS
        every = np.quantile(orders.value, levels)
        self.points = np.stack([
            np.quantile(orders.value[kind == k], levels) if (kind == k).sum() >= FEWEST else every
            for k in range(len(QUARTERS) + 2)
        ])  # fmt: skip
        size = np.unique(np.quantile(orders.value, np.linspace(0, 1, SIZES + 1)[1:-1]))
        group = np.searchsorted(size, orders.value, side="right")
        count = np.maximum(np.bincount(group, minlength=len(size) + 1), 1)
        self._value = np.bincount(group, orders.value, len(size) + 1) / count
        net = np.column_stack([orders.profit - orders.value[:, None] * orders.back, orders.priced])
        self._profit = np.stack([np.bincount(group, column, len(size) + 1) / count for column in net.T])
        self.kept = orders.kept
        there = count > 0
        self._value, self._profit = self._value[there], self._profit[:, there]
        *profits, self.priced = self.profit(self.points)
        self.profits = np.stack(profits)

    def kind(self, usual: Array) -> Ints:
        """Return the kind [n] of customers by what they usually spend, NaN for those who never bought."""
        found = 1 + np.searchsorted(self.edges, np.nan_to_num(usual), side="right")
        return np.where(np.isfinite(usual), found, 0)

    def profit(self, value: Array) -> Array:
        """Return what orders of these values bring each party, and what a margin of 1 would leave: [parties + 1, …]."""
        inside = np.clip(value, self._value[0], self._value[-1])
        beyond = np.where(inside > 0, value / np.where(inside > 0, inside, 1.0), 1.0)
        return np.stack([np.interp(inside, self._value, column) * beyond for column in self._profit])

    def terms(self, face: float, threshold: float, others: Background, used: float) -> Terms:
        """Return what a coupon meets, where a customer uses one coupon, the best, on an order.

        Args:
            face: Its face value.
            threshold: Least value of an order.
            others: Coupons that customers hold anyway.
            used: Share of the orders that it fits on which it is used.
        """
        value = np.maximum(self.points, 0.01)  # [kinds, points]
        fits = value >= threshold
        off = np.minimum(face, value) * fits
        depth = off / value / DEEP
        has = others.weight[:, None, None] * (value >= others.threshold[:, None, None])
        theirs = np.minimum(others.face[:, None, None], value)
        taken = (has * fits).sum(axis=0)  # held and usable on the same order
        shallower = (has * np.minimum(theirs / value / DEEP, depth)).sum(axis=0)
        beaten = (has * (theirs >= off) * fits).sum(axis=0)
        weaker = (has * theirs * (theirs < off) * fits).sum(axis=0)
        held = HELD[:, None, None]
        q0 = fits * (1 - held * taken)
        qd = depth - held * shallower
        best = fits * (1 - held * beaten)
        net = (off - held * (has * (theirs >= off) * off).sum(axis=0)) * used * self.kept
        profits = self.profits

        def mean(values: Array) -> Array:
            return np.asarray(np.moveaxis(values.mean(axis=-1), -2, -1) if values.ndim > 2 else values.mean(axis=-1))

        def small(values: Array) -> Array:
            return np.asarray((values * ~fits).sum(axis=-1) / np.maximum((~fits).sum(axis=-1), 1))

        return Terms(
            np.stack([mean(profit * q0) for profit in profits]),
            np.stack([mean(profit * qd) for profit in profits]),
            np.stack([small(profit) for profit in profits]),
            mean(q0), mean(qd), mean(best * used), mean(best * used * depth),
            mean(net), mean(net * depth), mean(held * weaker * used * self.kept),
            mean(best * used * value), mean(best * used * value * depth),
            mean(q0 * self.priced), mean(qd * self.priced), small(self.priced),
        )  # fmt: skip

    def bands(self, edges: Array, face: float) -> tuple[Array, Array, Array]:
        """Return, of orders between edges [b + 1], the share, the mean value and the mean depth: each [kinds, b]."""
        band = np.searchsorted(edges, self.points, side="right") - 1
        count = len(edges) - 1
        share, value = np.zeros((len(self.points), count)), np.zeros((len(self.points), count))
        for b in range(count):
            inside = band == b
            share[:, b] = inside.mean(axis=1)
            total = (self.points * inside).sum(axis=1)
            middle = float(np.sqrt(max(edges[b], 0.01) * min(edges[b + 1], 4 * max(edges[b], 0.01))))
            value[:, b] = np.where(inside.any(axis=1), total / np.maximum(inside.sum(axis=1), 1), middle)
        return share, value, np.minimum(face / np.maximum(value, 0.01), 1.0) / DEEP


__all__ = ["PARTIES", "Background", "Terms", "Worth"]
