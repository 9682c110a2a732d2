"""An intruder: a merchant who turns all figures told into a linear program over what every other shop took.

It is given more than anybody has: the number of shops, how the figures are made, and the order of the shops in every
metric and period. What it finds are the smallest and largest amounts of each shop that fit all that it was told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array

import fair
from tradewind.methods.disclosure import QUARTERS, Disclosure

Array = NDArray[np.float64]
SUMS = {"gmv": (1, 0), "gross_sales": (1, 1), "merchant_discount": (0, 1)}
"""How metrics are made up of GMV and discount."""


@dataclass(frozen=True)
class Told:
    """Figures of one metric over some months, each a weighted sum over the shops in order of that metric.

    Args:
        metric: One of `SUMS`.
        months: Which months.
        weights: [figures, shops] weight of each shop, from the smallest.
        low: [figures] the least that the sum may be.
        high: [figures] the most that it may be.
    """

    metric: str
    months: tuple[int, ...]
    weights: Array
    low: Array
    high: Array

    def unsaid(self) -> Told:
        """The same without a figure: that the shops have an order is left."""
        return replace(self, weights=self.weights[:0], low=self.low[:0], high=self.high[:0])


@dataclass(frozen=True)
class Haul:
    """What an intruder made of it.

    Args:
        guessed: Share of the other shops' monthly GMV that its best guess meets within 10 %.
        certain: Share that it knows for sure within 10 %.
    """

    guessed: float
    certain: float


def rounded(metric: str, months: tuple[int, ...], figures: Sequence[float], shops: int) -> Told:
    """What quartiles rounded to two digits say."""
    half = np.array([10 ** (np.floor(np.log10(figure)) - 1) / 2 for figure in figures])
    weights = np.array([Disclosure().band(shops, quarter) for quarter in QUARTERS])
    return Told(metric, months, weights, np.array(figures) - half, np.array(figures) + half)


def exact_without(values: Array, month: int, own: Sequence[int]) -> Told:
    """What plain quartiles of others say to a merchant who may leave out any of their own shops as they like."""
    order, rows, figures = np.argsort(values), [], []
    for left_out in (subset for n in range(1, len(own) + 1) for subset in combinations(own, n)):
        kept = np.flatnonzero(~np.isin(order, left_out))
        for quarter in QUARTERS:
            at = quarter * (len(kept) - 1)
            row = np.zeros(len(values))
            row[kept[int(at)]] = 1 - at % 1
            row[kept[min(int(at) + 1, len(kept) - 1)]] += at % 1
            rows.append(row)
            figures.append(row @ values[order])
    return Told("gmv", (month,), np.array(rows), np.array(figures) - 1e-6, np.array(figures) + 1e-6)


class Intruder:
    """Owns the first shops of a group.

    Args:
        stands: The group's shops.
        own: How many of them are the intruder's.
    """

    def __init__(self, stands: Sequence[fair.Stand], own: int):
        self.own = own
        gmv = np.array([[one.gmv(month) for one in stands] for month in fair.MONTHS])
        self.truth = np.array([gmv, [[one.discount(month) for one in stands] for month in fair.MONTHS]])

    def haul(self, told: Sequence[Told]) -> Haul:
        """Return how many of the others' monthly GMV it finds out."""
        above, limits = self._constraints(told)
        known = np.zeros_like(self.truth, bool)
        known[:, :, : self.own] = True
        bounds = [(v, v) if k else (0, None) for v, k in zip(self.truth.ravel(), known.ravel(), strict=True)]
        guessed = certain = 0
        sought = np.flatnonzero(~known[0].ravel())
        for place in sought:
            aim = np.zeros(self.truth.size)
            aim[place] = 1
            least, most = (linprog(sign * aim, above, limits, bounds=bounds) for sign in (1, -1))
            assert least.status == 0, least.message
            true = self.truth.ravel()[place]
            low = max(least.fun, 1e-9)
            high = -most.fun if most.status == 0 else low  # no largest one: the least that it may be is the guess
            guessed += abs(np.sqrt(low * high) / true - 1) <= 0.1
            certain += most.status == 0 and low >= 0.9 * true and high <= 1.1 * true
        return Haul(guessed / len(sought), certain / len(sought))

    def _constraints(self, told: Sequence[Told]) -> tuple[csr_array, Array]:
        above, limits = [], []
        for said in told:
            rows = self._rows(said.metric, said.months)
            order = np.argsort(rows @ self.truth.ravel())
            for smaller, larger in pairwise(order):
                above.append(rows[smaller] - rows[larger])
                limits.append(0.0)
            for weight, low, high in zip(said.weights, said.low, said.high, strict=True):
                above += [weight @ rows[order], -weight @ rows[order]]
                limits += [high, -low]
        return csr_array(np.array(above)), np.array(limits)

    def _rows(self, metric: str, months: tuple[int, ...]) -> Array:
        """One row a shop: which of the unknown amounts make up its value."""
        shops = self.truth.shape[2]
        rows = np.zeros((shops, *self.truth.shape))
        for part, counts in enumerate(SUMS[metric]):
            for month in months:
                rows[np.arange(shops), part, month, np.arange(shops)] = counts
        return rows.reshape(shops, -1)
