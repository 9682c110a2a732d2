"""Promoted: what past discounts brought against none, with what was missing afterwards and from other products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from tradewind.study import Estimate

Array = NDArray[np.float64]

AFTER = 2  # weeks after a discount in which what was pulled forward is missing, in equal parts
RISES = np.exp(np.linspace(0.0, np.log(1_000.0), 501))
"""Times as many pieces, among which the least that pays is found."""


class Promoted(NamedTuple):
    """What was sold, had there been no discount in the weeks before; of product-weeks, or summed up over some of them.

    Args:
        paid: What it brought at its prices.
        listed: What as many pieces bring at the list price.
        after: What as many brought in the weeks after, for each piece that would be sold at the list price there.
    """

    paid: Array
    listed: Array
    after: Array

    def of(self, some: NDArray[np.bool_]) -> Promoted:
        """Return the sums over some product-weeks."""
        return Promoted(*(np.asarray(values[some].sum()) for values in self))

    def brought(self, rise: Array | float, lasting: float, diverted: float) -> Array:
        """Return what the discounts brought against none.

        Of b pieces at the list price b·r were sold. In the weeks after, a share 1 − r^(λ − 1) is missing of what would
        be sold there, as weekly regressions tell it; of all that is sold more, other products lose δ.

        Args:
            rise: Times as many pieces as at the list price, r.
            lasting: Share of the logarithm of the rise that lasts, λ.
            diverted: Share of what is sold more that other products lose, δ.
        """
        missing = 1 - np.asarray(rise) ** (lasting - 1)
        otherwise = self.listed * (1 + diverted * (rise - 1 - missing)) + self.after * missing
        return np.asarray(self.paid - otherwise / rise)

    def needed(self, lasting: float, diverted: float) -> float | None:
        """Return by which share pieces must rise for the discounts of these sums to bring nothing less than none.

        None where one more piece, less what other products lose by it, brings nothing.
        """
        if not self.paid > diverted * self.listed:
            return None
        brought = self.brought(RISES, lasting, diverted)
        place = int(np.argmax(brought >= 0)) if (brought >= 0).any() else len(RISES) - 1
        if not place or brought[place] < 0:
            return float(RISES[place]) - 1
        return float(brentq(self.brought, RISES[place - 1], RISES[place], args=(lasting, diverted))) - 1


def promoted(units: Array, at_price: Array, at_list: Array, rise: Array, lasting: float) -> Promoted:
    """Return what was sold at discounts, product-week by product-week.

    Args:
        units: [n, w] pieces sold.
        at_price: [n, w] what a piece brings at the week's price.
        at_list: [n, 1] the same at the list price.
        rise: [n, w] times as many as at the list price, from the week's own price; 1 without a discount.
        lasting: Share of the logarithm of a rise that lasts.
    """
    log, count = np.log(rise), units.shape[1]
    echo, ahead = np.zeros(units.shape), np.zeros(units.shape)
    for lag in range(1, min(AFTER, count - 1) + 1):
        echo[:, lag:] += log[:, :-lag] / AFTER
        ahead[:, :-lag] += (rise * at_price)[:, lag:] / AFTER
        ahead[:, -lag:] += at_list / AFTER
    sold = units * np.exp((1 - lasting) * echo)  # what is missing is charged to the discounts before
    return Promoted(sold * at_price, sold * at_list, sold * ahead)


def within(mid: float, *pairs: Sequence[float], level: float) -> Estimate:
    """Return an estimate from the values at both ends of each thing that is not known, which are unrelated."""
    below, above = (
        float(np.sqrt(sum(max(*(sign * (end - mid) for end in pair), 0.0) ** 2 for pair in pairs))) for sign in (-1, 1)
    )
    return Estimate(mid, mid - below, mid + above, level)
